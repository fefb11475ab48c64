"""The Dockerfile, .dockerignore and the scripts that build and start the image. `docker` prints its arguments here."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tests.test_requirements import PYPROJECT

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
STEPS = re.findall(r"^RUN (.+)", DOCKERFILE.replace("\\\n", " "), re.MULTILINE)
PROGRAMS = ("apt-get", "bash", "chmod", "diff", "grep", "mkdir", "pip", "python", "python3", "rm", "sed", "useradd")
# Each call adds its words to $LOG. The call with the words $FAIL fails.
STUB = """#!/bin/sh
echo "${0##*/} $*" >> "$LOG"
[ "${0##*/} $*" != "$FAIL" ]
"""


def write_programs(folder: Path, names: tuple[str, ...], text: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def run_step(step: str, folder: Path, programs: Path, fail: str) -> tuple[int, list[str]]:
    """Run a step of the Dockerfile in its shell, without pipefail. Return its status and calls."""
    log = folder / "log"
    log.write_text("")
    env = {"PATH": str(programs), "LOG": str(log), "FAIL": fail}
    status = subprocess.run(["/bin/sh", "-c", step], cwd=folder, env=env).returncode
    return status, log.read_text().splitlines()


def hidden_failures(step: str, folder: Path) -> list[str]:
    """Return the calls of a step that may fail without failing the build."""
    programs = write_programs(folder / "bin", PROGRAMS, STUB)
    status, calls = run_step(step, folder, programs, fail="")
    assert status == 0
    return [call for call in calls if run_step(step, folder, programs, fail=call)[0] == 0]


@pytest.mark.parametrize("step", STEPS, ids=[step.split()[0] for step in STEPS])
def test_each_program_that_fails_fails_the_build(step: str, tmp_path: Path) -> None:
    assert hidden_failures(step, tmp_path) == []


def test_a_pipe_would_hide_a_failure(tmp_path: Path) -> None:
    assert hidden_failures("python print_versions.py | diff - kept", tmp_path) == ["python print_versions.py"]


def test_the_build_checks_versions_and_speech() -> None:
    cpu, gpu, whole, as_user = [re.findall(r"check\.py (\w+)", step) for step in STEPS if "check.py" in step]
    assert cpu == ["cpu"]
    assert gpu == ["record", "compare"]
    assert whole == ["speak", "train", "size"]
    assert as_user == ["speak"]
    assert DOCKERFILE.index("check.py size") < DOCKERFILE.index("USER 10001") < DOCKERFILE.rindex("check.py speak")


def test_the_size_of_the_cpu_image_is_limited() -> None:
    """In MB beyond PyTorch. The base of the GPU image has what it has."""
    assert dict(zip(("cpu", "gpu"), re.findall(r"SIZE_MB=(\S+)", DOCKERFILE), strict=True)) == {
        "cpu": "350",
        "gpu": "inf",
    }


def test_stages_fit_together() -> None:
    """Bases, stages to copy from, and copied files exist, and each argument is declared where it is used."""
    instructions = re.findall(r"^([A-Z]+) (.+)", DOCKERFILE.replace("\\\n", " "), re.MULTILINE)
    everywhere = dict(words.partition("=")[::2] for name, words in instructions if name == "ARG" and "=" in words)
    stages: list[str] = []
    declared: set[str] = set()
    for name, words in instructions:
        if name == "FROM":
            base, _, stage = words.partition(" AS ")
            bases = [base.replace("${VARIANT}", variant) for variant in ("cpu", "gpu")]
            assert all(found in stages or found.strip("${}") in everywhere for found in bases), words
            stages.append(stage)
            declared = {"PATH", "HOME"}
        elif name == "ARG" and stages:
            argument, _, default = words.partition("=")
            assert default or argument in everywhere
            declared.add(argument)
        elif name == "COPY" and words.startswith("--from="):
            assert words.removeprefix("--from=").partition(" ")[0] in stages[:-1]
        elif name == "COPY":
            assert all((REPOSITORY / source).exists() for source in words.split()[:-1]), words
        elif name in ("RUN", "ENV") and stages[-1]:
            used = set(re.findall(r"\$\{?([A-Z_]+)", words))
            assert used <= declared, words
            declared |= set(re.findall(r"([A-Z_]+)=", words)) if name == "ENV" else set()
    assert stages == ["cpu-build", "cpu-packages", "gpu-packages", ""]


def test_the_compiler_is_not_in_the_image() -> None:
    build, rest = DOCKERFILE.split("FROM ${CPU_IMAGE} AS cpu-packages")
    assert "gcc" in build
    assert "apt-get" not in rest


def test_the_tested_versions_are_installed_beside_the_kept_ones() -> None:
    """The step's expression removes torch and numpy from requirements.txt, and nothing else."""
    expression = re.search(r"sed .*'/(.+)/d'", DOCKERFILE)
    assert expression
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    removed = {line.partition("==")[0] for line in lines if re.search(expression[1], line)}
    assert removed == {"torch", "numpy"}


def test_the_image_holds_the_code_but_no_data() -> None:
    sent = set(re.findall(r"^!(\S+)", (REPOSITORY / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    packages = {name.partition(".")[0] for name in PYPROJECT["tool"]["setuptools"]["packages"]} - {"hifigan_recipe"}
    assert sent >= packages | {"scripts", "platform", "phrases", "pretrained", "*.py", "pyproject.toml", "README.md"}
    assert all(list(REPOSITORY.glob(name)) for name in sent)
    assert sent.isdisjoint({"data", "output", "pretrained_models", ".git", ".venv", "tests"})


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a clone that has only the scripts, so that they create their folders there."""
    for folder in ("docker", "lib"):
        shutil.copytree(REPOSITORY / "scripts" / folder, tmp_path / "clone" / "scripts" / folder)
    return (tmp_path / "clone").resolve()


def run_script(clone: Path, name: str, *arguments: str, **variables: str) -> list[str]:
    """Run a script from outside the clone and return the arguments that `docker` gets."""
    tools = clone.parent / "tools"
    if not tools.is_dir():
        write_programs(tools, ("docker",), "#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        write_programs(tools / "smi", ("nvidia-smi",), '#!/bin/sh\necho "$GPU_LIST"\n')
    env = {"PATH": f"{tools}:{tools / 'smi'}:{os.environ['PATH']}", **variables}
    command = ["bash", str(clone / "scripts" / "docker" / name), *arguments]
    done = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_build_makes_the_gpu_image_by_default(clone: Path) -> None:
    words = run_script(clone, "build.sh", "--no-cache")
    assert words == ["build", "--tag", "hifigan", "--build-arg", "VARIANT=gpu", "--no-cache", "."]


def test_build_takes_variant_image_and_base(clone: Path) -> None:
    words = run_script(clone, "build.sh", VARIANT="cpu")
    assert words == ["build", "--tag", "hifigan:cpu", "--build-arg", "VARIANT=cpu", "."]
    for variant, base in (("gpu", "FROM_IMAGE"), ("cpu", "CPU_IMAGE")):
        words = run_script(clone, "build.sh", VARIANT=variant, FROM_IMAGE="my/base", IMAGE="mine")
        assert words[2:] == ["mine", "--build-arg", f"VARIANT={variant}", "--build-arg", f"{base}=my/base", "."]
        assert re.search(rf"^ARG {base}=\S+$", DOCKERFILE, re.MULTILINE)
        assert f"AS {variant}-packages" in DOCKERFILE


def test_build_names_the_variants(clone: Path) -> None:
    with pytest.raises(AssertionError, match="error: VARIANT: tpu is neither gpu nor cpu"):
        run_script(clone, "build.sh", VARIANT="tpu")


def mounts(words: list[str]) -> list[str]:
    return [value for flag, value in itertools.pairwise(words) if flag == "--volume"]


def test_folders_of_the_clone_are_mounted(clone: Path) -> None:
    words = run_script(clone, "interactive.sh")
    inside = "/workspace/hifigan"
    folders = ("data", "output", "pretrained_models")
    assert mounts(words) == [f"{clone / name}:{inside}/{name}" for name in folders]
    assert all((clone / name).is_dir() for name in folders)
    assert words[words.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    assert words[-2:] == ["hifigan", "bash"]
    assert f"WORKDIR {inside}\n" in DOCKERFILE


def test_the_clone_can_be_mounted(clone: Path) -> None:
    """Its folders come after it, so that they lie over it."""
    words = run_script(clone, "interactive.sh", MOUNT="true")
    assert mounts(words)[0] == f"{clone}:/workspace/hifigan"
    assert len(mounts(words)) == 4


@pytest.mark.parametrize(("gpus", "given"), [("GPU 0: NVIDIA H200", True), ("No devices found", False)])
def test_all_gpus_are_used(clone: Path, gpus: str, given: bool) -> None:
    words = run_script(clone, "interactive.sh", GPU_LIST=gpus)
    assert ("--gpus" in words) is given
    assert not given or words[words.index("--gpus") + 1] == "all"


def test_a_command_and_another_data_folder(clone: Path, tmp_path: Path) -> None:
    variables = {"DATA_DIR": str(tmp_path / "sets"), "GPUS": "", "GPU_LIST": "GPU 0", "IMAGE": "hifigan:cpu"}
    words = run_script(clone, "interactive.sh", "python", "-V", **variables)
    assert f"{tmp_path / 'sets'}:/workspace/hifigan/data" in mounts(words)
    assert "--gpus" not in words
    assert words[-3:] == ["hifigan:cpu", "python", "-V"]
