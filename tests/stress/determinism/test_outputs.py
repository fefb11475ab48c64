"""Programs write the same bytes twice, in whatever order Python hashes."""

import json
import shutil

import numpy as np
import pytest

import evaluate
import export
import inference
import prepare_dataset
from hifigan.export.formats import FORMATS
from tests.support.data_sets import write_data_set
from tests.support.long_runs.loops import mels, random_texts
from tests.support.models import make_checkpoint, make_fastpitch
from tests.support.preparation import contents
from tests.support.programs import one_line_of_error
from tests.support.stress import FULL, cases, record
from tests.support.training import finished, train_process
from voice import pack

# In a short run, only the fastest to write. Other formats contain compiled code.
EQUAL_FORMATS = ("torchscript", "onnx", "torch-export") if FULL else ("torchscript",)
TIMES = {"timestamp", "date", "command"}
MEASURED = ("nvlog_infer.json",)  # speeds


def once(program, argv, main, seed=1):
    """Run a program in this process, or in a full run in one of its own with this seed of Python's hashes."""
    words = [str(word) for word in argv]
    if not FULL:
        assert main(words) in (0, None)
        return
    status, _, stderr = finished(train_process(*program, *words, variables={"PYTHONHASHSEED": str(seed)}))
    assert status == 0, stderr


def twice(program, argv, outputs, main):
    """Run a program with different seeds. The word OUT stands for each of the outputs."""
    for seed, output in enumerate(outputs, 1):
        once(program, [output if word == "OUT" else word for word in argv], main, seed)


def equal_files(first, second, ignored=()):
    ours, theirs = contents(first), contents(second)
    assert ours.keys() == theirs.keys()
    assert ours
    return [name for name in ours if ours[name] != theirs[name] and name not in ignored]


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "first", tmp_path / "second"


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["texts", "mels", "streams"])
def test_inference(kind, outputs, one_thread, tmp_path):
    count = cases(4, 60)
    if kind == "mels":
        for number, mel in enumerate(mels(count)):
            np.save(tmp_path / f"{number}.npy", mel.numpy())
        rows = "\n".join(["mel\toutput", *(f"{number}.npy\t{number}.wav" for number in range(count))])
        more = ["-d", tmp_path, "--hifigan", "pretrained/kathleen/hifigan.safetensors", "--denoising-strength", "0.01"]
    else:
        rows = "\n".join(f"{number}.wav|{text}" for number, text in enumerate(random_texts(count)))
        more = ["--stream"] if kind == "streams" else []
    source = tmp_path / ("phrases.tsv" if kind == "mels" else "phrases.txt")
    source.write_text(rows + "\n")
    twice(["inference.py"], ["-i", source, "-o", "OUT", "--deterministic", *more], outputs, deterministic_inference)
    assert equal_files(*outputs, MEASURED) == []
    record(f"inference.py makes the same bytes twice ({kind})", count, "equal")


def deterministic_inference(words):
    import torch

    try:
        return inference.main(words)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_measured_precision_is_not_deterministic(capsys):
    argv = "--text hello -o a.wav --deterministic --precision auto".split()
    error = one_line_of_error(inference.main, argv, capsys)
    assert "--deterministic: --precision auto is chosen by a measurement" in error


@pytest.mark.medium
@pytest.mark.parametrize("format", EQUAL_FORMATS)
def test_exports(format, tmp_path):
    for package in (*FORMATS[format].reads_with, *FORMATS[format].writes_with):
        pytest.importorskip(package)
    checkpoint = make_checkpoint(tmp_path / "g.pt")
    name = f"model{FORMATS[format].suffix}"
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
    argv = ["--hifigan", checkpoint, "--format", format, "-o", "OUT"]
    twice(["export.py"], argv, [folder / name for folder in folders], export.main)
    assert equal_files(*folders) == []
    record(f"export.py makes the same bytes twice ({format})", 2, "equal")


@pytest.mark.medium
def test_prepared_data(tmp_path, outputs):
    """Mels, pitch, lists and reports of a data set, in one process and in two."""
    data = write_data_set(tmp_path / "set", [0.3 + 0.05 * i for i in range(cases(4, 24))])
    for workers, output in enumerate(outputs, 1):
        shutil.copytree(data, output / "set")
        words = ["--dataset-path", output / "set", "--extract-mels", "--extract-pitch", "--n-workers", workers]
        words += ["--write-filelists", output / "lists"]
        once(["prepare_dataset.py"], words, prepare_dataset.main, seed=workers)
    assert equal_files(*outputs) == []
    record("prepare_dataset.py makes the same bytes twice", cases(4, 24), "equal, with one worker and with two")


@pytest.mark.medium
def test_packed_voices(tmp_path):
    hifigan, fastpitch = make_checkpoint(tmp_path / "g.pt"), make_fastpitch(tmp_path / "f.pt")
    folders = tmp_path / "first" / "ann", tmp_path / "second" / "ann"
    twice(["-m", "voice.pack"], ["--hifigan", hifigan, "--fastpitch", fastpitch, "-o", "OUT"], folders, pack.main)
    assert equal_files(*folders) == []
    record("voice.pack makes the same bytes twice", 2, "equal")


@pytest.mark.medium
@pytest.mark.skipif(not FULL, reason="takes ten seconds; scripts/stress.sh runs it")
def test_evaluations(tmp_path, outputs):
    """The measured audio and all figures. The results also hold date and command."""
    data = write_data_set(tmp_path / "set", [0.6, 0.8])
    argv = ["-i", data / "wavs", "-o", "OUT", "--jobs", "1", "--system"]
    argv += ["mine=pretrained/kathleen/hifigan.safetensors", "griffin-lim"]
    twice(["evaluate.py"], argv, outputs, evaluate.main)
    assert equal_files(*(output / "wavs" for output in outputs)) == []
    assert equal_files(*outputs, ("results.json", "summary.md")) == []
    found = [json.loads((output / "results.json").read_text()) for output in outputs]
    for result in found:
        for key in [key for key in result if key in TIMES or key in ("header", "measurement")]:
            del result[key]
    assert without_times(found[0]) == without_times(found[1])
    record("evaluate.py finds the same figures twice", 2, "equal")


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value
