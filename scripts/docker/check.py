"""Checks of the Docker build. Each ends with one line and status 1 if it fails.

python check.py record FILE    write the versions of torch and numpy as a constraints file of pip
python check.py compare FILE   fail unless they are still these versions and work together
python check.py speak          fail unless the installed command `hifigan-say` speaks

The first two run before the package is there, so this file imports nothing of it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

KEPT = ("torch", "numpy")
SHORTEST_SEC = 0.3


def read_versions() -> str:
    """Return the installed versions of KEPT, one `name==version` in a line.

    Raises:
        SystemExit: one of them is missing.
    """
    try:
        return "".join(f"{name}=={importlib.metadata.version(name)}\n" for name in KEPT)
    except importlib.metadata.PackageNotFoundError as error:
        raise SystemExit(f"error: the base image has no {error.name}: choose another FROM_IMAGE") from error


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
    """Speak a sentence with the installed command, in an empty folder.

    Raises:
        SystemExit: it fails, or the audio is silent or too short.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["hifigan-say", "Hello world.", "-o", "hello.wav"]
        try:
            subprocess.run(command, cwd=folder, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"error: {error}") from error
        with wave.open(str(Path(folder) / "hello.wav")) as audio:
            duration_sec, samples = audio.getnframes() / audio.getframerate(), audio.readframes(audio.getnframes())
    if duration_sec < SHORTEST_SEC or not any(samples):
        raise SystemExit(f"error: hifigan-say wrote {duration_sec:.2f} s of audio, or silence")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("record", "compare"):
        commands.add_parser(name).add_argument("file", type=Path, metavar="FILE")
    commands.add_parser("speak")
    args = parser.parse_args()
    if args.command == "record":
        args.file.write_text(read_versions(), encoding="utf-8")
    elif args.command == "compare":
        compare(args.file)
    else:
        speak()
    return 0


if __name__ == "__main__":
    sys.exit(main())
