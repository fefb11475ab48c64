"""The checks of the Docker build, run as the Dockerfile runs them, with packages and commands that are broken."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import REPOSITORY

SCRIPT = REPOSITORY / "scripts/docker/check.py"


def run_check(folder, *words, **variables):
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True)


@pytest.mark.medium
def test_unchanged_versions_pass(tmp_path):
    assert run_check(tmp_path, "record", "kept").returncode == 0
    lines = (tmp_path / "kept").read_text().splitlines()
    assert [line.partition("==")[0] for line in lines] == ["torch", "numpy"]
    assert run_check(tmp_path, "compare", "kept").returncode == 0


@pytest.mark.parametrize("name", ["torch", "numpy"])
def test_a_replaced_package_fails(name, tmp_path):
    run_check(tmp_path, "record", "kept")
    kept = tmp_path / "kept"
    kept.write_text(kept.read_text().replace(f"{name}==", f"{name}==0."))
    done = run_check(tmp_path, "compare", "kept")
    assert done.returncode == 1
    assert f"the installation replaced {' '.join(kept.read_text().split())} by torch==" in done.stderr


@pytest.mark.medium
def test_packages_that_do_not_work_together_fail(tmp_path):
    """This numpy imports, but is not the one that torch was built for."""
    run_check(tmp_path, "record", "kept")
    (tmp_path / "numpy.py").write_text("def zeros(size): return [0] * size\n")
    done = run_check(tmp_path, "compare", "kept", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "do not work together" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: torch==")


def test_a_base_image_without_torch_is_named(tmp_path):
    without_packages = [sys.executable, "-I", "-S"]
    done = subprocess.run(
        [*without_packages, str(SCRIPT), "record", "kept"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "error: the base image has no torch: choose another FROM_IMAGE\n")


def write_command(folder, code):
    """Write a `hifigan-say` that runs code, where `output` is the file after -o, and return the PATH that has it."""
    command = folder / "bin" / "hifigan-say"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nimport sys, wave\noutput = sys.argv[-1]\n{code}\n")
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


def write_audio(samples):
    settings = "(1, 2, 22050, 0, 'NONE', '')"
    return f"w = wave.open(output, 'wb'); w.setparams({settings}); w.writeframes({samples}); w.close()"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("sys.exit(3)", "exit status 3"),
        (write_audio("bytes(44100)"), "1.00 s of audio, or silence"),
        (write_audio("b'ab' * 5000"), "0.23 s of audio, or silence"),
    ],
)
def test_speech_that_fails_is_found(code, error, tmp_path):
    done = run_check(tmp_path, "speak", PATH=write_command(tmp_path, code))
    assert done.returncode == 1
    assert error in done.stderr


def test_speech_passes(tmp_path):
    done = run_check(tmp_path, "speak", PATH=write_command(tmp_path, write_audio("b'ab' * 22050")))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_command_is_found(tmp_path):
    done = run_check(tmp_path, "speak", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "hifigan-say" in done.stderr


@pytest.mark.medium
def test_the_shipped_voice_passes(tmp_path):
    main = "from voice.say import main; sys.exit(main())"
    path = write_command(tmp_path, f"sys.path.insert(0, {str(REPOSITORY)!r}); {main}")
    assert run_check(tmp_path, "speak", PATH=path).returncode == 0
