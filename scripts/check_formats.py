"""Check the files that export.py writes for other programs, in these programs themselves.

    python -m scripts.check_formats PEERS_PYTHON CHECKPOINT...

PEERS_PYTHON is the interpreter of an environment with torch, transformers, coqui-tts and parallel_wavegan, which this
project does not need otherwise (docs/formats.md tells how to make it). Prints a table of the largest differences
between the samples of both programs, and between the tensors before and after a round trip.

Shapes: B batch, M mel bands, L frames, T samples.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from common.cli import ArgumentParser
from common.cli import run as run_program
from common.errors import InputError
from common.files.generators.write import WRITERS
from common.markdown import table_head, table_row
from hifigan.checkpoint import load_generator
from hifigan.export.programs import LARGEST_DIFFERENCE, write_for_program

PEER = Path(__file__).with_name("peer_samples.py")
FILES = {"hifigan-authors": "g_1", "coqui": "model.pth", "parallel-wavegan": "checkpoint-1steps.pkl"}
FRAMES = 200


def check(python: str, checkpoint: Path, format: str, folder: Path) -> tuple[str, str, str]:
    """Write a checkpoint for a program, load it there and here.

    Args:
        python: interpreter of the environment with the other programs.
        checkpoint: of any format.
        format: a key of `WRITERS`.
        folder: empty folder.

    Returns:
        The program and its version, the largest difference of two samples, and the number of tensors that differ after
        the round trip.
    """
    path = folder / FILES.get(format, "model")
    try:
        write_for_program(checkpoint, path, format)
    except InputError as error:
        return format, f"refused: {str(error).removeprefix('--format: ')}", "-"
    generator, _ = load_generator(checkpoint)
    again, _ = load_generator(path)
    before, after = generator.state_dict(), again.state_dict()
    after = {name: after[name] for name in before}  # a file for transformers has a normalisation that changes nothing
    changed = sum(not torch.equal(before[name], after[name]) for name in before)
    mel = torch.randn(generator.num_mels, FRAMES, generator=torch.Generator().manual_seed(0)) * 2 - 5
    with torch.inference_mode():
        ours = generator(mel[None]).flatten().numpy()
    trip = f"{changed} of {len(before)}"
    if format == "hifigan-authors":  # no package: its own class is a file of its repository
        with torch.inference_mode():
            return format, f"{np.abs(again(mel[None]).flatten().numpy() - ours).max():.1e} (our reader)", trip
    np.save(folder / "mel.npy", mel.numpy())
    command = [python, str(PEER), format, str(path), str(folder / "mel.npy"), str(folder / "samples.npy")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if run.returncode:
        return format, f"failed: {(run.stderr.strip().splitlines() or ['no message'])[-1]}", trip
    theirs = np.load(folder / "samples.npy")
    difference = f"{np.abs(theirs - ours).max():.1e}" if theirs.shape == ours.shape else f"{theirs.shape} samples"
    return run.stdout.strip().splitlines()[-1], difference, trip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and return 1 if a program refuses a file or makes other samples."""
    parser = ArgumentParser(
        prog="check_formats",
        usage="python -m scripts.check_formats PEERS_PYTHON CHECKPOINT...",
        description="Load files that export.py writes for other programs in these programs, and compare samples.",
    )
    parser.add_argument("python", metavar="PEERS_PYTHON", help="interpreter of an environment with the other programs")
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="generator of any format")
    given = parser.parse_args(arguments)
    if shutil.which(given.python) is None:
        raise InputError(f"PEERS_PYTHON: {given.python} is no interpreter")
    torch.set_num_threads(1)  # as in the peers: more threads round differently
    rows = []
    print("\n".join(table_head(("checkpoint", "--format", "loaded by", "largest difference", "tensors changed"))))
    for checkpoint in given.checkpoints:
        for format in WRITERS:
            with tempfile.TemporaryDirectory() as folder:
                program, difference, trip = check(given.python, checkpoint, format, Path(folder))
            rows.append((checkpoint.name, format, program, difference, trip))
            print(table_row(rows[-1]), flush=True)
    return int(any(is_failure(row[3]) for row in rows))


def is_failure(difference: str) -> bool:
    """Return whether a cell of the table tells of a file that its program does not load, or of other samples."""
    if difference.startswith("refused"):
        return False
    number = difference.split()[0]
    return not (number[0].isdigit() and float(number) <= LARGEST_DIFFERENCE)


if __name__ == "__main__":
    run_program(main, "check_formats")
