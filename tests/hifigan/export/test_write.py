"""Each export is loaded back and equals the eager model: sizes, structures, precisions, the denoiser inside."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from typing import Any

import pytest
import torch

from common.errors import InputError
from hifigan import Denoiser, Generator, load_generator
from hifigan.config import PRESETS
from hifigan.denoiser import ConvolutionalDenoiser
from hifigan.export.files import load_export, read_export_contract
from hifigan.export.formats import FORMATS
from hifigan.export.write import check_exportable, compare, comparison_mels, eager_reference, export, verify
from hifigan.synthesis.vocoder import Vocoder
from tests.support.models import TINY, make_checkpoint
from tests.support.paths import REPOSITORY

CPU = torch.device("cpu")
# The structures of the published generators, with few channels and fewer residual blocks.
FEWER: dict[str, Any] = {"resblock_kernel_sizes": (3, 7), "resblock_dilation_sizes": ((1, 3), (1, 5))}
STRUCTURES = {
    "v1": dataclasses.replace(PRESETS["v1"], upsample_initial_channel=32, **FEWER),
    "v2": dataclasses.replace(PRESETS["v2"], upsample_initial_channel=16, **FEWER),
    "v3": dataclasses.replace(
        PRESETS["v3"],
        upsample_initial_channel=16,
        resblock_kernel_sizes=(3, 5),
        resblock_dilation_sizes=((1, 2), (2, 6)),
    ),
}
LOUD = 1.5  # an untrained generator is nearly silent


def model(folder, config=TINY):
    """A loud generator and what is known about it."""
    torch.manual_seed(0)
    state = {
        name: tensor * (LOUD if name.endswith("weight_g") else 1)
        for name, tensor in Generator(config).state_dict().items()
    }
    content = {"generator": state, "config": config.to_dict()}
    path = make_checkpoint(folder / "generator.pt", lambda _: content)
    return load_generator(path)


def needs(format):
    for package in (*FORMATS[format].reads_with, *FORMATS[format].writes_with):
        pytest.importorskip(package)
    if format == "aoti" and not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("no C++ compiler")


def exported(folder, format, config=TINY, precision="fp32", strength=0.0):
    needs(format)
    generator, info = model(folder, config)
    path = folder / f"model{FORMATS[format].suffix}"
    contract = export(generator, info, path, format, precision, strength)
    backend, told = load_export(path, CPU, format)
    assert told == contract == read_export_contract(path)
    return backend, generator, contract


def equal_to_eager(backend, generator, contract, tolerance=1e-5):
    """Also for batches and lengths that the exporter has not seen."""
    strength, denoiser = contract.denoising_strength, Denoiser(generator)
    for batch, frames in ((1, contract.min_frames), (1, 17), (2, 3), (5, contract.min_frames), (3, 60)):
        mel = torch.randn(batch, 80, frames) * 2 - 5
        with torch.no_grad():
            expected = generator(mel)[:, 0]
            if strength:
                plain, expected = expected, denoiser(expected, strength)
                assert (expected - plain).abs().max() > 1e-3
        assert expected.abs().max() > 0.01, "nearly silent: nothing was compared"
        made = backend(mel)
        assert made.shape == (batch, frames * 256)
        assert made.dtype == torch.float32
        assert (made - expected).abs().max() <= tolerance


@pytest.mark.medium
@pytest.mark.parametrize(
    ("format", "structure"),
    [("torchscript", "v1"), ("torchscript", "v2"), ("torchscript", "v3"), ("torch-export", "v1"), ("onnx", "v1")],
)
def test_loaded_back_it_is_the_generator(format, structure, tmp_path):
    equal_to_eager(*exported(tmp_path, format, STRUCTURES[structure]))


@pytest.mark.parametrize(
    ("format", "structure"),
    [
        ("torchscript", "v1"),
        ("torch-export", "v3"),
        ("onnx", "v3"),
        pytest.param("aoti", "v3", marks=pytest.mark.slow),
    ],
)
def test_denoiser_inside(format, structure, tmp_path):
    backend, generator, contract = exported(tmp_path, format, STRUCTURES[structure], strength=0.05)
    equal_to_eager(backend, generator, contract)
    with pytest.raises(InputError, match="2 frames are too few"):
        backend(torch.zeros(1, 80, 2))


@pytest.mark.medium
@pytest.mark.parametrize(
    ("format", "precision", "snr_db"),
    [("torchscript", "bf16", 35), ("torchscript", "fp16", 50), ("torch-export", "bf16", 35), ("onnx", "fp16", 50)],
)
def test_half_precision(format, precision, snr_db, tmp_path):
    backend, generator, contract = exported(tmp_path, format, precision=precision)
    difference = compare(backend, eager_reference(generator, contract), comparison_mels(contract, CPU))
    assert snr_db < difference.snr_db < 80, "as good as fp32: the precision had no effect"
    assert backend(torch.zeros(1, 80, 4)).dtype == torch.float32
    # The last layer is in fp32: samples are not rounded to 8 or 11 bits.
    wav = backend(torch.randn(1, 80, 30) * 2 - 5)
    assert (wav != wav.to(torch.float16).float()).float().mean() > 0.5


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("format", FORMATS)
def test_on_the_gpu(format, precision, tmp_path):
    needs(format)
    if format == "onnx" and "CUDAExecutionProvider" not in pytest.importorskip("onnxruntime").get_available_providers():
        pytest.skip("this onnxruntime has no CUDAExecutionProvider")
    model(tmp_path)
    generator, info = load_generator(tmp_path / "generator.pt", device="cuda")
    path = tmp_path / f"model{FORMATS[format].suffix}"
    contract = export(generator, info, path, format, precision, denoising_strength=0.05)
    assert contract.device == "cuda"
    assert verify(path, generator, contract).max_error < (1e-2 if precision == "fp32" else 0.2)  # TF32 in convolutions


def middle_of_the_weights(path):
    """Return a position inside the largest member of an archive, or the middle of an ONNX file (nearly all weights)."""
    if path.suffix == ".onnx":
        return path.stat().st_size // 2
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
        assert largest.compress_type == zipfile.ZIP_STORED
        content, whole = archive.read(largest), path.read_bytes()
    return whole.index(content) + len(content) // 2


@pytest.mark.parametrize(
    "format", ["torchscript", "onnx", "torch-export", pytest.param("aoti", marks=pytest.mark.slow)]
)
def test_copies_of_a_file(format, tmp_path):
    backend, _, contract = exported(tmp_path, format)
    path, copy = (tmp_path / f"{name}{FORMATS[format].suffix}" for name in ("model", "flipped"))
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            assert {member.split("/")[0] for member in archive.namelist()} == {"archive"}, "a name of this export alone"
    other = shutil.copy(path, path.with_name(f"COPY{path.suffix.upper()}"))
    suffix_in_upper_case, told = load_export(other)
    assert told == contract
    mel = torch.randn(1, 80, 9) * 2 - 5
    assert torch.equal(suffix_in_upper_case(mel), backend(mel))
    content = bytearray(path.read_bytes())
    content[middle_of_the_weights(path)] ^= 64
    copy.write_bytes(content)
    assert read_export_contract(copy) == contract, "the contract is still readable"
    with pytest.raises(InputError, match=rf"^{copy}: damaged or changed [^\n]*; export it again$"):
        load_export(copy)


def test_onnx_files_without_a_checksum(tmp_path):
    backend, _, contract = exported(tmp_path, "onnx")
    import onnx

    model = onnx.load(tmp_path / "model.onnx")
    assert [entry.key for entry in model.metadata_props] == ["hifigan", "hifigan.sha256"]
    del model.metadata_props[1]  # as exports were before
    onnx.save(model, tmp_path / "older.ONNX")
    older, told = load_export(tmp_path / "older.ONNX")
    assert told == contract
    mel = torch.randn(1, 80, 9) * 2 - 5
    assert torch.equal(older(mel), backend(mel))


def test_a_session_takes_long_and_is_made_once(tmp_path, monkeypatch):
    exported(tmp_path, "onnx")
    import onnxruntime

    made, real = [], onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **kw: made.append(args) or real(*args, **kw))
    load_export(tmp_path / "model.onnx")
    assert len(made) == 1


@pytest.mark.parametrize("format", ["torchscript", "onnx", "torch-export"])
def test_exports_of_one_model_are_alike(format, tmp_path):
    needs(format)
    generator, info = model(tmp_path)
    paths = [tmp_path / f"{name}{FORMATS[format].suffix}" for name in ("first", "other")]
    for path in paths:
        export(generator, info, path, format)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_checkpoint_is_wanted_and_an_export_given(tmp_path):
    exported(tmp_path, "torchscript")
    with pytest.raises(
        InputError, match=r"model\.ts: an exported model, not a checkpoint; python inference\.py --backend auto"
    ):
        load_generator(tmp_path / "model.ts")


def test_contract_of_a_file(tmp_path):
    checkpoint = make_checkpoint(tmp_path / "g.pt", sampling_rate=16000, mel_fmax=7000.0)
    generator, info = load_generator(checkpoint)
    export(generator, info, tmp_path / "model.ts", "torchscript", denoising_strength=0.125)
    told = read_export_contract(tmp_path / "model.ts")
    assert told.audio == info.audio
    assert (told.audio.sampling_rate, told.audio.mel_fmax) == (16000, 7000.0)
    assert told.config == TINY
    assert (told.format, told.precision, told.denoising_strength) == ("torchscript", "fp32", 0.125)
    assert told.checkpoint_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert told.torch_version == torch.__version__


@pytest.mark.medium
def test_exported_files_need_no_code_of_ours(tmp_path):
    backend, _, _ = exported(tmp_path, "torchscript", strength=0.05)
    mel = torch.randn(1, 80, 9) * 2 - 5
    torch.save({"mel": mel, "wav": backend(mel).clone()}, tmp_path / "pair.pt")
    lines = (
        "import json, torch; extra = {'hifigan.json': ''}; model = torch.jit.load('model.ts', _extra_files=extra)",
        "pair = torch.load('pair.pt'); assert torch.equal(model(pair['mel']), pair['wav'])",
        "print(json.loads(extra['hifigan.json'])['audio']['sampling_rate'])",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "22050\n", done.stderr
    assert str(REPOSITORY) not in json.dumps(read_export_contract(tmp_path / "model.ts").to_json())


@pytest.mark.parametrize("strength", [0.0, 0.05, 2.0])
@pytest.mark.parametrize("rates", [(8, 8, 4), (8, 4, 4), (8, 8, 5)])
def test_denoiser_of_convolutions(rates, strength, tmp_path):
    kernels = tuple(2 * rate + rate % 2 for rate in rates)
    generator = Generator(dataclasses.replace(TINY, upsample_rates=rates, upsample_kernel_sizes=kernels)).eval()
    hop = generator.config.hop_length
    denoiser = Denoiser(generator)
    denoiser.bias_spec += 0.5  # an untrained generator hums little
    convolutions = ConvolutionalDenoiser(denoiser, strength)
    for batch, frames in ((1, 512 // hop + 1), (2, 9), (1, 40)):
        wav = torch.rand(batch, frames * hop) - 0.5
        wav[:, 3 * hop :: 2] = 0
        assert (convolutions(wav) - denoiser(wav, strength)).abs().max() <= 1e-5
        assert convolutions(wav).shape == wav.shape
    silence = convolutions(torch.zeros(1, 9 * hop))
    assert silence.count_nonzero() == 0


def test_clips_in_a_batch_do_not_mix(tmp_path):
    lengths = (1, 70, 3, 23, 45, 2)
    mels = [torch.randn(80, frames) * 2 - 5 for frames in lengths]
    for strength in (0.0, 0.05):
        backend, generator, _ = exported(tmp_path, "torchscript", strength=strength)
        denoiser = Denoiser(generator)
        for mel, wav in zip(mels, Vocoder(backend)(mels), strict=True):
            assert wav.shape == (mel.size(1) * 256,)
            with torch.no_grad():
                alone = generator(mel[None])[:, 0]
                if strength and mel.size(1) < 3:
                    continue  # too short for the transform: extended by silence, and cut
                alone = denoiser(alone, strength)[0] if strength else alone[0]
            assert (wav - alone).abs().max() <= 1e-5


def test_denoiser_outside_an_exported_generator(tmp_path):
    backend, generator, _ = exported(tmp_path, "torchscript")
    mels = [torch.randn(80, frames) * 2 - 5 for frames in (2, 30)]
    for made, expected in zip(Vocoder(backend, 0.05)(mels), Vocoder(generator, 0.05)(mels), strict=True):
        assert (made - expected).abs().max() <= 1e-5


def test_what_cannot_be_exported(monkeypatch):
    with pytest.raises(InputError, match="--precision: onnx takes fp32, fp16, not bf16"):
        check_exportable("onnx", "bf16", CPU)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InputError, match="--format aoti: compiles C"):
        check_exportable("aoti", "fp32", CPU)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(InputError, match="--format tensorrt: runs only on GPUs; add --cuda"):
        check_exportable("tensorrt", "fp32", CPU)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="not installed: pip install torch-tensorrt"):
        check_exportable("tensorrt", "fp32", CPU)
    with pytest.raises(InputError, match="not installed: pip install onnxruntime onnx onnxscript"):
        check_exportable("onnx", "fp32", CPU)


def test_a_package_that_does_not_load(tmp_path, monkeypatch):
    (tmp_path / "torch_tensorrt.py").write_text("raise OSError('libnv.so: none\\nmore')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"^--format tensorrt: torch_tensorrt does not load \(libnv\.so: none\); inst"):
        check_exportable("tensorrt", "fp32", torch.device("cuda"))
