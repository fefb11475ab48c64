"""The weights in a folder of any program."""

import pytest

from common.errors import InputError
from common.files.generators.folders import find_weights
from tests.support.models import make_model_folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["config.json", "model.safetensors", "pytorch_model.bin"], "model.safetensors"),
        (["config.json", "pytorch_model.bin"], "pytorch_model.bin"),
        (["model_index.json", "vocoder/config.json", "vocoder/model.safetensors"], "vocoder/model.safetensors"),
        (["hyperparams.yaml", "generator.ckpt"], "generator.ckpt"),
        (["tts_hifigan.nemo"], "tts_hifigan.nemo"),
        (["checkpoint-1steps.pkl", "config.yml", "stats.h5"], "checkpoint-1steps.pkl"),
        (["config.json", "model_file.pth.tar"], "model_file.pth.tar"),
        (["config.json", "g_02500000", "do_02500000"], "g_02500000"),
    ],
)
def test_files_of_each_program(files, expected, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_weights(tmp_path) == tmp_path / expected


def test_a_file_stands_for_itself(tmp_path):
    assert find_weights(tmp_path / "missing.pt") == tmp_path / "missing.pt"


def test_our_own_folder(tmp_path):
    assert find_weights(make_model_folder(tmp_path)) == tmp_path / "model.safetensors"


def test_folders_without_weights_or_with_several(tmp_path):
    with pytest.raises(InputError, match=r"no weights are in it, such as model\.safetensors"):
        find_weights(tmp_path)
    for name in ("checkpoint-1steps.pkl", "checkpoint-2steps.pkl"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"2 files could be the model \(checkpoint-1steps\.pkl, \.\.\.\); name one"):
        find_weights(tmp_path)
