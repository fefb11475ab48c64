"""Building a wheel: modules that were deleted since, and the libraries of the CPU engine."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.support.paths import REPOSITORY

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "two-modules"
version = "1"

[tool.setuptools]
packages = ["package"]

[tool.setuptools.cmdclass]
build_py = "scripts.fresh_build.FreshBuild"
"""
PLATFORM_WHEEL = 'bdist_wheel = "scripts.fresh_build.PlatformWheel"\n'


def make_project(folder, settings=PYPROJECT):
    (folder / "package").mkdir()
    (folder / "scripts").mkdir()
    for name in ("__init__", "first", "second"):
        (folder / "package" / f"{name}.py").touch()
    (folder / "scripts" / "fresh_build.py").write_bytes((REPOSITORY / "scripts" / "fresh_build.py").read_bytes())
    (folder / "pyproject.toml").write_text(settings)


def build(folder, **variables):
    """Return the wheel."""
    words = [
        "-m",
        "pip",
        "wheel",
        "--no-build-isolation",
        "--no-deps",
        "--wheel-dir",
        str(folder / "dist"),
        str(folder),
    ]
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env={**os.environ, **variables})
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def list_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.mark.medium
def test_a_second_build_has_no_deleted_modules(tmp_path):
    make_project(tmp_path)
    assert list_files(build(tmp_path)) == {"package/__init__.py", "package/first.py", "package/second.py"}
    assert (tmp_path / "build" / "lib" / "package" / "second.py").is_file()  # what a plain build would reuse
    (tmp_path / "package" / "second.py").unlink()
    assert list_files(build(tmp_path)) == {"package/__init__.py", "package/first.py"}


@pytest.mark.medium
@pytest.mark.parametrize("has_compiler", [True, False])
def test_libraries_are_compiled_if_possible(tmp_path, has_compiler):
    """The wheel works with any Python, and on the platform of its libraries if it has some."""
    if has_compiler and shutil.which((os.environ.get("CC") or "cc").split()[0]) is None:
        pytest.skip("no C compiler")
    make_project(tmp_path, PYPROJECT + PLATFORM_WHEEL)
    for package in ("common", "hifigan"):
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    wheel = build(tmp_path, **({} if has_compiler else {"CC": "no-such-compiler"}))
    libraries = [name for name in list_files(wheel) if name.startswith("hifigan/engine/native/libraries/")]
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_") if has_compiler else "any"
    assert (wheel.name, bool(libraries)) == (f"two_modules-1-py3-none-{platform}.whl", has_compiler)
