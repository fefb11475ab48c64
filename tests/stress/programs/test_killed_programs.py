"""Programs that are killed or stopped at random moments, then started again, end with the same files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.stress.programs.inputs import Inputs
from tests.stress.programs.victims import Disturbances, Program
from tests.support.stress import cases, record


def copy_data(folder: Path, inputs: Inputs) -> None:
    shutil.copytree(inputs.data / "wavs", folder / "wavs")
    shutil.copy(inputs.data / "metadata.csv", folder)


SPEECH = ["--batch-size", "1", "--fade-out", "1"]
PROGRAMS = {
    "inference.py of texts": Program(
        "inference",
        lambda folder, inputs: [
            *("--hifigan", str(inputs.vocoder), "--fastpitch", str(inputs.fastpitch), "-i", str(inputs.texts)),
            *("-o", str(folder / "out"), "--save-mels", "--speaker", "1", *SPEECH),
        ],
        changing=("nvlog_infer.json",),
    ),
    "inference.py of mels, in chunks": Program(
        "inference",
        lambda folder, inputs: [
            *("--hifigan", str(inputs.vocoder), "-i", str(inputs.mels), "--dataset-path", str(inputs.data)),
            *("-o", str(folder / "out"), "--stream"),
        ],
        changing=("nvlog_infer.json",),
    ),
    "prepare_dataset.py": Program(
        "prepare_dataset",
        lambda folder, inputs: [
            *("-d", str(folder), "--extract-mels", "--extract-pitch", "--n-workers", "2"),
            *("--write-filelists", str(folder / "lists"), "--split", "own", "--name", "x"),
        ],
        copy_data,
        ("pitch_statistics.json",),
    ),
    "prepare_dataset.py --convert-to": Program(
        "prepare_dataset",
        lambda folder, inputs: [
            *("-d", str(inputs.data), "--convert-to", str(folder / "out"), "--sampling-rate", "16000"),
            *("--n-workers", "2"),
        ],
    ),
    "fastpitch.extract_mels": Program(
        "fastpitch.extract_mels",
        lambda folder, inputs: [
            *("--fastpitch", str(inputs.fastpitch), "-d", str(inputs.data), "-o", str(folder / "out")),
            *("--filelists", str(inputs.data / "speech_train.txt"), "--batch-size", "1", "--num-workers", "1"),
        ],
    ),
    "voice.pack": Program(
        "voice.pack",
        lambda folder, inputs: [
            *("--hifigan", str(inputs.vocoder), "--fastpitch", str(inputs.fastpitch), "-o", str(folder / "voice")),
        ],
    ),
    "export.py --format torchscript": Program(
        "export",
        lambda folder, inputs: [
            *("--hifigan", str(inputs.vocoder), "--format", "torchscript", "-o", str(folder / "out" / "m.ts")),
        ],
    ),
    "export.py --format coqui": Program(
        "export",
        lambda folder, inputs: [
            *("--hifigan", str(inputs.vocoder), "--format", "coqui", "-o", str(folder / "out" / "model.pth")),
        ],
    ),
}


# Of those with most state.
FULL_COUNTS = {"inference.py of texts": 30, "prepare_dataset.py": 20}


@pytest.mark.medium
@pytest.mark.parametrize("name", PROGRAMS)
def test_outputs_are_those_of_an_undisturbed_run(name: str, tmp_path: Path, inputs: Inputs) -> None:
    disturbed = Disturbances(PROGRAMS[name], inputs, tmp_path)
    disturbed.run(cases(1, FULL_COUNTS.get(name, 10)))
    record(
        f"{name}, killed or stopped at random moments, ends with the same bytes",
        disturbed.kills + disturbed.stops,
        f"{disturbed.kills} kills, {disturbed.stops} stops, {disturbed.finished} runs finished the work: equal files",
    )
