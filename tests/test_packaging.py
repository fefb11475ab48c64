"""The package metadata, and the wheel: installed in an environment of its own, its commands work."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import soundfile

from common.project import COMMANDS as COMMANDS_OF_PROJECT
from common.project import VERSION
from tests.support.paths import REPOSITORY
from tests.support.programs import SLOW, answer
from tests.test_requirements import PYPROJECT

PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
TOP = ("common", "evaluation", "fastpitch", "hifigan", "voice")
COMMANDS = sorted(PROJECT["scripts"])
VOCODE = """
import torch
from hifigan import Generator
from hifigan.backend import eager_backend
from hifigan.config import PRESETS
from hifigan.engine.native import vector
from hifigan.engine.select import engine_backend
generator = Generator(PRESETS["v2"]).eval()
generator.remove_weight_norm()
mel = torch.randn(1, 80, 20)
wavs = [make(generator)(mel) for make in (engine_backend, eager_backend)]
print(vector.library()._name, float((wavs[0] - wavs[1]).abs().max()))
"""


def test_all_packages_are_listed():
    found = {
        ".".join(path.parent.relative_to(REPOSITORY).parts)
        for package in TOP
        for path in (REPOSITORY / package).rglob("__init__.py")
    }
    assert set(SETUPTOOLS["packages"]) == found | {"hifigan_recipe"}


def test_commands_lead_to_functions():
    for command, target in PROJECT["scripts"].items():
        module, _, function = target.partition(":")
        path = REPOSITORY.joinpath(*module.removeprefix("hifigan_recipe.").split(".")).with_suffix(".py")
        assert f"def {function}() -> NoReturn:" in path.read_text(encoding="utf-8"), command


def test_one_version():
    assert PROJECT["dynamic"] == ["version"]
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == VERSION


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build from the tracked files alone, so that nothing that lies about in the clone is needed."""
    folder = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        source, target = REPOSITORY / name, folder / "clone" / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target) if source.stat().st_dev == folder.stat().st_dev else target.write_bytes(
                source.read_bytes()
            )
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(folder / "clone")]
    subprocess.run([sys.executable, *build], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Return the folder of the commands of an environment with the wheel, and the packages of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    install = ["-m", "pip", "--python", str(folder), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (site / "packages-of-the-tests.pth").write_text("\n".join(ours) + "\n")
    return folder / "bin"


def start(environment, folder, *words, **changes):
    """Run a command of the environment in a folder outside the clone. `changes` are environment variables."""
    command = [str(environment / words[0]), *words[1:]]
    return subprocess.run(command, cwd=folder, env={**variables(folder), **changes}, capture_output=True, text=True)


def variables(folder):
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}


@pytest.mark.slow
def test_the_wheel_holds_code_data_and_voice(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "hifigan_recipe/train.py",
        "hifigan_recipe/pretrained/kathleen/hifigan.safetensors",
        "hifigan/engine/native/vector.c",
        "common/data/ljspeech_split.json",
        "evaluation/report/assets/report.html",
        *(f"{package}/py.typed" for package in TOP),
    ):
        assert name in names
    roots = {name.partition("/")[0] for name in names}
    assert roots == {*TOP, "hifigan_recipe", f"hifigan_recipe-{VERSION}.dist-info"}


@pytest.mark.slow
def test_the_installed_command_speaks(environment, tmp_path):
    done = start(environment, tmp_path, "hifigan-say", "Hello world.", "-o", "hello.wav")
    assert done.returncode == 0, done.stderr
    assert 0.5 < soundfile.info(tmp_path / "hello.wav").duration < 3
    done = start(environment, tmp_path, "hifigan-infer", "-i", "hello.wav", "-o", "copy.wav")
    assert done.returncode == 0, done.stderr
    assert soundfile.info(tmp_path / "copy.wav").frames == soundfile.info(tmp_path / "hello.wav").frames


@pytest.mark.slow
def test_the_installed_package_is_used(environment, tmp_path):
    code = "import hifigan, common.project as p; print(hifigan.__file__, hifigan.__version__, p.models_dir())"
    done = start(environment, tmp_path, "python", "-c", code)
    file, version, models = done.stdout.split()
    assert Path(file).is_relative_to(environment.parent)
    assert (version, models) == (VERSION, str(tmp_path / "cache" / "hifigan" / "pretrained_models"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler where the wheel is built")
def test_the_installed_package_needs_no_compiler(environment, tmp_path):
    done = start(environment, tmp_path, "python", "-c", VOCODE, PATH=str(environment))
    assert done.returncode == 0, done.stderr
    library, difference = done.stdout.split()
    assert Path(library).is_relative_to(environment.parent)
    assert float(difference) < 1e-5
    assert not (tmp_path / "cache").exists()
    assert "no C compiler" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_installed_commands_answer(command, environment, tmp_path):
    def ask(*words):
        return answer([str(environment / command), *words], tmp_path, variables(tmp_path))

    status, lines, imported = ask("--version")
    assert (status, lines) == (0, [f"{command}, version {VERSION} of hifigan-recipe"])
    assert not imported & SLOW
    for words in (["--helpp"], []):
        status, (line,), imported = ask(*words)
        assert status in (1, 2)
        assert line.startswith(f"{command}: error: ")
        assert not imported & SLOW


@pytest.mark.slow
def test_commands_that_installed_programs_recommend_exist(environment, tmp_path):
    for words in map(str.split, COMMANDS_OF_PROJECT.values()):
        if words[0] != "pip":
            done = start(environment, tmp_path, *words, "--help")
            assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("hifigan-infer -i absent.wav -o x.wav --hifigan absent.pt", "python -m common.download.models"),
        ("hifigan-prepare -d absent --extract-mels", "python -m common.download.datasets ljspeech"),
        ("hifigan-infer -o x.wav", "(see hifigan-infer --help)"),
        (
            "hifigan-train --training-files a.txt --validation-files a.txt",
            "make it with: hifigan-prepare -",
        ),
        ("hifigan-say Hello. -o x.wav --voice absent", "python -m voice.pack"),
        ("hifigan-vocode . x.wav", "hifigan-infer -i takes folders"),
    ],
)
def test_messages_of_installed_programs_name_what_is_installed(words, message, environment, tmp_path):
    done = start(environment, tmp_path, *words.split())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert message in line
    assert "scripts/" not in line
    assert ".py" not in line


@pytest.mark.slow
def test_installed_programs_share_work_between_processes(environment, tmp_path):
    """Functions of a program have to be found again in its worker processes."""
    words = ["hifigan-prepare", "-d", str(REPOSITORY / "data" / "demo"), "--convert-to", "copy", "--n-workers", "2"]
    done = start(environment, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "copy" / "wavs").iterdir())) == 40
