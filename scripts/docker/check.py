"""Checks of the Docker build. Each ends with one line and status 1 if it fails.

python check.py cpu            fail unless torch is a build without CUDA
python check.py record FILE    write the versions of torch and numpy as a constraints file of pip
python check.py compare FILE   fail unless they are still these versions and work together
python check.py speak          fail unless the installed commands speak and resynthesise
python check.py train          fail unless the installed command `hifigan-train` trains a step on data/demo
python check.py size MB        fail if this environment has more than these megabytes beyond PyTorch

The first three run before the package is there, so this file imports nothing of it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

KEPT = ("torch", "numpy")
SHORTEST_SEC = 0.3
DEMO_DATA = Path(__file__).resolve().parents[2] / "data" / "demo"
TINY_GENERATOR = {
    "upsample_rates": [8, 8, 4],
    "upsample_kernel_sizes": [16, 16, 8],
    "upsample_initial_channel": 16,
    "resblock": "2",
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 2]],
}


def read_versions() -> str:
    """Return the installed versions of KEPT, one `name==version` in a line.

    Raises:
        SystemExit: one of them is missing.
    """
    try:
        return "".join(f"{name}=={importlib.metadata.version(name)}\n" for name in KEPT)
    except importlib.metadata.PackageNotFoundError as error:
        raise SystemExit(f"error: the base image has no {error.name}: choose another FROM_IMAGE") from error


def check_cpu_build() -> None:
    """Find out whether torch is a build without CUDA. PyPI's default build for Linux has gigabytes of CUDA libraries.

    Raises:
        SystemExit: it is built for CUDA, or there is no torch.
    """
    try:
        import torch
    except Exception as error:
        raise SystemExit(f"error: torch cannot be imported: {error}") from error
    if torch.version.cuda is not None:
        raise SystemExit(
            f"error: torch {torch.__version__} is built for CUDA {torch.version.cuda}, not for CPUs: "
            "set TORCH_CPU_INDEX to an index of PyTorch's CPU builds (--build-arg)"
        )


def compare(path: Path) -> None:
    """Compare the installed versions with those recorded in `path`, and pass an array through torch and back.

    Raises:
        SystemExit: they differ, or torch and numpy do not work together.
    """
    before, now = path.read_text(encoding="utf-8"), read_versions()
    if before != now:
        raise SystemExit(f"error: the installation replaced {' '.join(before.split())} by {' '.join(now.split())}")
    try:
        import numpy
        import torch

        torch.from_numpy(numpy.zeros(1)).numpy()
    except Exception as error:
        raise SystemExit(f"error: {' '.join(now.split())} do not work together: {error}") from error


def speak() -> None:
    """Speak a sentence with the installed command, in an empty folder, and resynthesise it.

    Raises:
        SystemExit: a command fails, or the audio is silent or too short.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(folder, "hifigan-say", "Hello world.", "-o", "hello.wav")
        _check_audio("hifigan-say", folder / "hello.wav")
        _run(folder, "hifigan-infer", "-i", "hello.wav", "-o", "copy.wav")
        _check_audio("hifigan-infer", folder / "copy.wav")


def train() -> None:
    """Train a tiny generator for one step on the clips in data/demo, in an empty folder.

    Raises:
        SystemExit: the training fails, or writes no checkpoint.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = sorted(path.relative_to(DEMO_DATA).as_posix() for path in DEMO_DATA.glob("wavs/*"))
        (folder / "train.txt").write_text("\n".join(clips[:2]) + "\n", encoding="utf-8")
        (folder / "val.txt").write_text("\n".join(clips[2:3]) + "\n", encoding="utf-8")
        (folder / "tiny.json").write_text(json.dumps(TINY_GENERATOR), encoding="utf-8")
        lists = ["--training-files", "train.txt", "--validation-files", "val.txt"]
        model = ["--hifigan-config", "tiny.json", "--discriminator-width", "0.125"]
        step = [
            "--batch-size",
            "2",
            "--segment-size",
            "2048",
            "--epochs",
            "1",
            "--num-workers",
            "0",
            "--output",
            "output",
        ]
        _run(folder, "hifigan-train", "--dataset-path", str(DEMO_DATA), *lists, *model, *step)
        if not (folder / "output" / "hifigan_gen_checkpoint_1.pt").is_file():
            raise SystemExit("error: hifigan-train wrote no checkpoint")


def measure() -> tuple[float, float]:
    """Return the MB of PyTorch with the packages that it requires, and of everything else in this environment."""
    pytorch: set[str] = set()
    waiting = ["torch"]
    while waiting:
        name = waiting.pop()
        if name in pytorch:
            continue
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # only needed on other systems
            continue
        pytorch.add(name)
        waiting += [re.split(r"[^\w.-]", line)[0] for line in required if "extra ==" not in line]
    files: set[Path] = set()
    for name in pytorch:
        for file in importlib.metadata.files(name) or []:
            path = Path(str(file.locate()))
            files |= {path, *path.parent.glob(f"__pycache__/{path.stem}.*.pyc")}
    of_pytorch = everything = 0
    for path in Path(sys.prefix).rglob("*"):
        if path.is_file() and not path.is_symlink():
            everything += path.stat().st_size
            of_pytorch += path.stat().st_size if path in files else 0
    return of_pytorch / 1e6, (everything - of_pytorch) / 1e6


def check_size(limit_mb: float) -> None:
    """Print the size of the environment.

    Raises:
        SystemExit: it has more than `limit_mb` beyond PyTorch.
    """
    of_pytorch, beyond = measure()
    print(f"{sys.prefix}: PyTorch and its requirements {of_pytorch:.0f} MB, everything else {beyond:.0f} MB")
    if beyond > limit_mb:
        raise SystemExit(f"error: {sys.prefix} has {beyond:.0f} MB beyond PyTorch, more than {limit_mb:.0f} MB")


def _run(folder: Path, *command: str) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True)
    except OSError as error:
        raise SystemExit(f"error: {command[0]}: {error}") from error
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"error: {error}") from error


def _check_audio(program: str, path: Path) -> None:
    try:
        with wave.open(str(path)) as audio:
            duration_sec, samples = audio.getnframes() / audio.getframerate(), audio.readframes(audio.getnframes())
    except OSError as error:
        raise SystemExit(f"error: {program}: {error}") from error
    if duration_sec < SHORTEST_SEC or not any(samples):
        raise SystemExit(f"error: {program} wrote {duration_sec:.2f} s of audio, or silence")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("cpu")
    for name in ("record", "compare"):
        commands.add_parser(name).add_argument("file", type=Path, metavar="FILE")
    commands.add_parser("speak")
    commands.add_parser("train")
    commands.add_parser("size").add_argument("limit_mb", type=float, metavar="MB")
    args = parser.parse_args()
    if args.command == "cpu":
        check_cpu_build()
    elif args.command == "record":
        args.file.write_text(read_versions(), encoding="utf-8")
    elif args.command == "compare":
        compare(args.file)
    elif args.command == "speak":
        speak()
    elif args.command == "train":
        train()
    else:
        check_size(args.limit_mb)
    return 0


if __name__ == "__main__":
    sys.exit(main())
