"""Generators in other programs, where these are installed, and messages where they are not."""

import pytest
import torch

from benchmarks import runtimes
from common.errors import InputError
from hifigan.backend import eager_backend
from hifigan.config import PRESETS
from hifigan.generator import Generator
from tests.support.models import TINY
from tests.support.programs import snr_db


def test_what_is_missing_is_named():
    runtimes.require("pip install torch", "torch")
    with pytest.raises(InputError, match="needs: pip install a b"):
        runtimes.require("pip install a b", "torch", "no_such_package")


@pytest.mark.medium
@pytest.mark.parametrize("config", [TINY, PRESETS["v3"]], ids=["tiny", "v3"])
def test_ncnn_speaks_like_pytorch(config, tmp_path):
    """Batches and lengths that were not traced."""
    pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    torch.manual_seed(0)
    generator = Generator(config).eval()
    param = runtimes.convert_to_ncnn(generator, tmp_path)
    for precision, least_db in (("fp32", 80), ("bf16", 15)):
        backend = runtimes.load_ncnn(param, generator, precision)
        for shape in ((1, 80, 37), (2, 80, 150)):
            mel = torch.randn(shape)
            assert snr_db(eager_backend(generator)(mel), backend(mel)) > least_db


@pytest.mark.medium
def test_what_ncnn_cannot_load_is_an_error(tmp_path):
    pytest.importorskip("ncnn")
    (tmp_path / runtimes.NCNN_FILE).write_text("7767517\n1 1\nNoSuchLayer a 0 1 b\n")
    with pytest.raises(RuntimeError, match=r"ncnn: traced\.ncnn\.param cannot be loaded"):
        runtimes.load_ncnn(tmp_path / runtimes.NCNN_FILE, Generator(TINY), "fp32")


@pytest.mark.medium
def test_what_pnnx_cannot_convert_is_an_error(tmp_path, monkeypatch):
    pnnx = pytest.importorskip("pnnx")
    monkeypatch.setattr(pnnx, "EXEC_PATH", "false")
    with pytest.raises(RuntimeError, match="pnnx: status 1"):
        runtimes.convert_to_ncnn(Generator(TINY), tmp_path)
