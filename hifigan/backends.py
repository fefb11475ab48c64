"""What turns mels into waveforms: the generator itself, or a file that `hifigan.export` made of it.

An exported file carries its `Contract` as JSON: TorchScript, `torch.export` and AOTInductor files are zip archives and
have it as `extra/hifigan.json`, ONNX files as the metadata property `hifigan`.

Shapes: B batch, M mel bands, L frames, T = L * hop samples.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import torchscript
from common.audio import AudioConfig
from common.errors import InputError
from common.export_files import check_undamaged, is_onnx
from common.mel_contract import EXPORT_METADATA, export_metadata
from hifigan.config import GeneratorConfig
from hifigan.export_formats import FORMATS, Run
from hifigan.generator import Generator

VERSION = 1  # of the contract
CONTRACT_FILE = f"{EXPORT_METADATA}.json"


@dataclasses.dataclass(frozen=True)
class Contract:
    """What an exported file says about itself.

    Attributes:
        format: a key of `FORMATS`.
        config: architecture of the generator inside.
        audio: signal contract of the mels that it takes and the audio that it makes.
        denoising_strength: of the denoiser inside, 0 without one.
        precision: a key of `DTYPES`, of all layers but the first two, the last one and the denoiser.
        device: "cpu" or "cuda", where it was exported; some formats run there alone.
        checkpoint_sha256: of the file that the weights are from.
        torch_version: of the PyTorch that exported it.
    """

    format: str
    config: GeneratorConfig
    audio: AudioConfig
    denoising_strength: float
    precision: str
    device: str
    checkpoint_sha256: str
    torch_version: str

    @property
    def min_frames(self) -> int:
        """The shortest mel: a denoiser inside reflects half its filter length at the ends, which must be there."""
        half = -(-self.audio.filter_length // 2)  # `Denoiser` makes odd lengths even
        return half // self.audio.hop_length + 1 if self.denoising_strength > 0 else 1

    def to_json(self) -> str:
        plain = {**dataclasses.asdict(self), "config": self.config.to_dict()}
        return json.dumps({"version": VERSION, "log_base": "ln", **plain})

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Reads what `to_json` wrote.

        Raises:
            InputError: not such a text, of another version, or with contradictory values.
        """
        try:
            values = json.loads(text)
            if values.pop("version") != VERSION or values.pop("log_base") != "ln":
                raise InputError("of another version of this program")
            audio = AudioConfig(**values.pop("audio"))
            config = GeneratorConfig.from_dict(values.pop("config"), audio.num_mels)
            contract = cls(config=config, audio=audio, **values)
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"unreadable ({error})") from error
        if contract.format not in FORMATS or audio.hop_length != config.hop_length:
            raise InputError(f"format {contract.format!r}, hop length {audio.hop_length} and {config.hop_length}")
        return contract


class Backend:
    """Mel [B, M, L] -> wav [B, T], wherever it runs.

    Args:
        run: does it, for float32 mels of the right shape on `device`.
        config: architecture of the generator.
        device: where mels are expected and waveforms returned.
        denoising_strength: above 0, `run` denoises: clips must then come whole and without padding.
        min_frames: of the shortest mel that `run` takes.
        frame_step: `run` is fastest for multiples of so many frames.
        window_frames: of the longest mel that is best given to `run` at once; None is as for other backends.
    """

    def __init__(
        self,
        run: Run,
        config: GeneratorConfig,
        device: torch.device,
        denoising_strength: float = 0.0,
        min_frames: int = 1,
        frame_step: int = 1,
        window_frames: int | None = None,
    ) -> None:
        self.run = run
        self.config = config
        self.device = device
        self.denoising_strength = denoising_strength
        self.min_frames = min_frames
        self.frame_step = frame_step
        self.window_frames = window_frames

    @torch.inference_mode()
    def __call__(self, mel: Tensor) -> Tensor:
        """mel [B, M, L], float32, L >= `min_frames` -> wav [B, T], float32, in [-1, 1].

        Raises:
            InputError: another shape or type, too short, or values that are not finite.
        """
        if mel.dim() != 3:
            raise InputError(f"mel: expected shape [batch, {self.config.num_mels}, frames], got {list(mel.shape)}")
        check_mels(list(mel), self.config.num_mels)
        if mel.size(2) < self.min_frames:
            raise InputError(f"mel: {mel.size(2)} frames are too few for the denoiser inside, give {self.min_frames}")
        return self.run(mel.to(self.device))


def check_mels(mels: Sequence[Tensor], num_mels: int) -> None:
    """Raises `InputError`, with the remedy, unless all are float32 [M, L] of finite values."""
    if not mels:
        raise InputError("mel: there is none in the batch")
    for mel in mels:
        shape = list(mel.shape)
        if mel.dim() != 2:
            raise InputError(f"mel: expected shape [{num_mels}, frames], got {shape}")
        if mel.size(0) != num_mels:
            hint = "transpose it" if mel.size(1) == num_mels else f"this model takes {num_mels} bands"
            raise InputError(f"mel: expected shape [{num_mels}, frames], got {shape}; {hint}")
        if mel.size(1) == 0:
            raise InputError(f"mel: it is empty, {shape}")
        if mel.dtype != torch.float32:
            raise InputError(f"mel: it is {str(mel.dtype).removeprefix('torch.')}; convert it to float32")
    if not torch.stack([torch.isfinite(mel).all() for mel in mels]).all():
        raise InputError("mel: it has values that are not finite numbers (NaN or infinite)")


def eager_backend(generator: Generator, scripted: bool = False, amp: bool = False) -> Backend:
    """The generator itself, as TorchScript or not, in mixed precision (fp16 on GPUs, bf16 on CPUs) or not."""
    device = generator.device
    dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    model: Any = torchscript.script(generator) if scripted else generator

    def run(mel: Tensor) -> Tensor:
        x = model.upsampled(mel)
        with torch.autocast(device.type, dtype, enabled=amp):
            hidden = model.refined(x)
        return model.output(hidden.float()).squeeze(1)  # scripted code cannot leave autocast itself

    return Backend(run, generator.config, device)


def load_export(path: str | Path, device: str | torch.device = "cpu", format: str = "auto") -> tuple[Backend, Contract]:
    """Loads a file that `hifigan.export` made.

    Args:
        path: the file.
        device: where it is to run.
        format: what it is expected to be; "auto" takes any.

    Returns:
        the backend, and what the file says about itself.

    Raises:
        FileNotFoundError: no such file.
        InputError: no exported file, one of another format, damaged, made for another device, or its package is not
            installed.
    """
    path, device = Path(path), torch.device(device)
    contract = read_contract(path)
    if contract is None:
        raise InputError(f"{path}: not an exported model, or damaged; make one with: python export.py")
    if format not in ("auto", contract.format):
        raise InputError(f"{path}: an export of format {contract.format}, not {format} (--backend)")
    kind = FORMATS[contract.format]
    kind.check_installed(contract.format, kind.reads_with)
    if kind.bound_to_device and device.type != contract.device:
        raise InputError(f"{path}: this {contract.format} file was made for {contract.device}, and runs there alone")
    check_undamaged(path)  # flipped bits in weights would load, and be noise
    try:
        run = kind.load(path, device)
    except Exception as error:  # each library has errors of its own for files that it does not understand
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:150]
        made = f"made with PyTorch {contract.torch_version}, here is {torch.__version__}"
        raise InputError(f"{path}: does not load as {contract.format} ({made}): {reason}") from error
    return Backend(run, contract.config, device, contract.denoising_strength, contract.min_frames), contract


def is_export(path: Path) -> bool:
    """Whether the file is an export, by its suffix (ONNX) or the contract inside; nothing is loaded."""
    return path.is_file() and (is_onnx(path) or _metadata(path) is not None)


def read_contract(path: Path) -> Contract | None:
    """What an exported file says about itself, without loading it; None for any other file.

    Raises:
        FileNotFoundError: no such file.
        InputError: its contract is unreadable or of another version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint or exported model (--hifigan)")
    text = _metadata(path)
    try:
        return Contract.from_json(text) if text is not None else None
    except InputError as error:
        raise InputError(f"{path}: what the file says about itself is {error}; export it again") from error


def _metadata(path: Path) -> str | None:
    try:
        return export_metadata(path)
    except zipfile.BadZipFile:  # whoever loads the file will say what is wrong with it
        return None
