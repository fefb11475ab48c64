"""Building twice from one folder, with a module deleted between."""

import subprocess
import sys
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


def build(folder):
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
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    with zipfile.ZipFile(next((folder / "dist").glob("*.whl"))) as wheel:
        return {name for name in wheel.namelist() if name.startswith("package/")}


@pytest.mark.medium
def test_a_second_build_has_no_deleted_modules(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "scripts").mkdir()
    for name in ("__init__", "first", "second"):
        (tmp_path / "package" / f"{name}.py").touch()
    (tmp_path / "scripts" / "fresh_build.py").write_bytes((REPOSITORY / "scripts" / "fresh_build.py").read_bytes())
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    assert build(tmp_path) == {"package/__init__.py", "package/first.py", "package/second.py"}
    assert (tmp_path / "build" / "lib" / "package" / "second.py").is_file()  # what a plain build would reuse
    (tmp_path / "package" / "second.py").unlink()
    assert build(tmp_path) == {"package/__init__.py", "package/first.py"}
