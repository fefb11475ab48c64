"""Which modules a program imports before it answers a command line."""

import subprocess
from pathlib import Path

# Their imports take seconds, or are not needed to answer.
SLOW = {"torch", "numpy", "scipy", "librosa", "matplotlib", "soundfile", "safetensors", "gradio", "huggingface_hub"}


def answer(words: list[str], folder: Path, variables: dict[str, str]) -> tuple[int, list[str], set[str]]:
    """Run a Python program. Return its status, the lines of both outputs, and the top-level packages it imported."""
    done = subprocess.run(
        words, cwd=folder, env={**variables, "PYTHONPROFILEIMPORTTIME": "1"}, capture_output=True, text=True
    )
    mark = "import time:"
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines() if mark in line}
    lines = [line for line in (done.stdout + done.stderr).splitlines() if mark not in line]
    return done.returncode, lines, imported
