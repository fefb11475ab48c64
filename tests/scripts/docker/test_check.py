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


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("__version__ = '2.13.0+cpu'; version = types.SimpleNamespace(cuda=None)", ""),
        (
            "__version__ = '2.13.0'; version = types.SimpleNamespace(cuda='13.0')",
            "error: torch 2.13.0 is built for CUDA 13.0, not for CPUs: set TORCH_CPU_INDEX",
        ),
        ("raise OSError('libgomp.so.1: no such file')", "error: torch cannot be imported: libgomp.so.1: no such file"),
    ],
)
def test_the_cpu_image_needs_a_cpu_build(code, error, tmp_path):
    (tmp_path / "torch.py").write_text(f"import types\n{code}\n")
    done = run_check(tmp_path, "cpu", PYTHONPATH=str(tmp_path))
    assert done.returncode == bool(error)
    assert done.stderr.startswith(error)
    assert done.stderr.count("\n") == bool(error)


def write_commands(folder, **codes):
    """Write commands that run code, where `output` is the file after the last flag. Return the PATH that has them."""
    programs = folder / "bin"
    programs.mkdir()
    for name, code in codes.items():
        command = programs / f"hifigan-{name}"
        command.write_text(f"#!{sys.executable}\nimport os, sys, wave\noutput = sys.argv[-1]\n{code}\n")
        command.chmod(0o755)
    return f"{programs}:{os.environ['PATH']}"


def write_audio(samples):
    settings = "(1, 2, 22050, 0, 'NONE', '')"
    return f"w = wave.open(output, 'wb'); w.setparams({settings}); w.writeframes({samples}); w.close()"


GOOD = write_audio("b'ab' * 22050")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("sys.exit(3)", "exit status 3"),
        (write_audio("bytes(44100)"), "1.00 s of audio, or silence"),
        (write_audio("b'ab' * 5000"), "0.23 s of audio, or silence"),
    ],
)
def test_speech_that_fails_is_found(code, error, tmp_path):
    for name, codes in (("say", {"say": code, "infer": GOOD}), ("infer", {"say": GOOD, "infer": code})):
        (tmp_path / name).mkdir()
        done = run_check(tmp_path, "speak", PATH=write_commands(tmp_path / name, **codes))
        assert done.returncode == 1
        assert error in done.stderr
        assert f"hifigan-{name}" in done.stderr


def test_speech_passes(tmp_path):
    done = run_check(tmp_path, "speak", PATH=write_commands(tmp_path, say=GOOD, infer=GOOD))
    assert (done.returncode, done.stderr) == (0, "")


def test_missing_commands_are_found(tmp_path):
    for command, program in (("speak", "hifigan-say"), ("train", "hifigan-train")):
        done = run_check(tmp_path, command, PATH=str(tmp_path))
        assert done.returncode == 1
        assert program in done.stderr


def test_audio_that_is_not_written_is_found(tmp_path):
    done = run_check(tmp_path, "speak", PATH=write_commands(tmp_path, say="pass", infer="pass"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: hifigan-say: ")


@pytest.mark.parametrize(
    ("code", "error"), [("sys.exit(3)", "exit status 3"), ("pass", "hifigan-train wrote no checkpoint")]
)
def test_training_that_fails_is_found(code, error, tmp_path):
    done = run_check(tmp_path, "train", PATH=write_commands(tmp_path, train=code))
    assert done.returncode == 1
    assert error in done.stderr


def installed(main):
    return f"sys.path.insert(0, {str(REPOSITORY)!r}); {main}"


@pytest.mark.slow
def test_the_shipped_voice_and_the_trainer_pass(tmp_path):
    path = write_commands(
        tmp_path,
        say=installed("from voice.say import main; sys.exit(main())"),
        infer=installed("from inference import main; sys.exit(main())"),
        train=installed("from train import main; sys.exit(main())"),
    )
    for command in ("speak", "train"):
        done = run_check(tmp_path, command, PATH=path)
        assert done.returncode == 0, done.stderr


def make_environment(folder):
    """An environment with a small torch, which requires another package, and a third package."""
    for name, required, content in (("torch", "helper", 3), ("helper", "", 2), ("other", "torch", 4)):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_bytes(bytes(content * 1_000_000))
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        requires = f"Requires-Dist: {required} (>=1)\nRequires-Dist: absent; extra == 'more'\n" if required else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n{info.name}/METADATA,,\n")
    (folder / "torch" / "__pycache__").mkdir()
    (folder / "torch" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(bytes(1_000_000))
    (folder / "cache").write_bytes(bytes(1_000_000))


@pytest.mark.parametrize(("limit", "status"), [("5.1", 0), ("4.9", 1)])
def test_what_is_beyond_pytorch_is_limited(limit, status, tmp_path):
    """6 MB belong to PyTorch, with its bytecode and the package that it requires; 5 MB do not."""
    make_environment(tmp_path / "site")
    code = "import runpy, sys; sys.prefix, sys.path[0] = sys.argv.pop(1), sys.argv[1]; sys.path.insert(0, sys.prefix); "
    code += f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "site"), "size", limit]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "PyTorch and its requirements 6 MB, everything else 5 MB" in done.stdout, done.stderr
    assert done.returncode == status
    assert ("has 5 MB beyond PyTorch, more than 5 MB" in done.stderr) == bool(status)
