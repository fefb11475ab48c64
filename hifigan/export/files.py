"""What turns mels into waveforms: the generator itself, or a file that `hifigan.export` made of it.

An exported file carries its `Contract` as JSON: TorchScript, `torch.export` and AOTInductor files are zip archives and
have it as `extra/hifigan.json`, ONNX files as the metadata property `hifigan`.

Shapes: B batch, M mel bands, L frames, T = L * hop samples.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

from common.audio import AudioConfig
from common.errors import InputError
from common.files.exports import EXPORT_METADATA, check_undamaged, readable_metadata
from hifigan.backend import Backend
from hifigan.config import GeneratorConfig
from hifigan.export.formats import FORMATS

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


def read_contract(path: Path) -> Contract | None:
    """What an exported file says about itself, without loading it; None for any other file.

    Raises:
        FileNotFoundError: no such file.
        InputError: its contract is unreadable or of another version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint or exported model (--hifigan)")
    text = readable_metadata(path)
    try:
        return Contract.from_json(text) if text is not None else None
    except InputError as error:
        raise InputError(f"{path}: what the file says about itself is {error}; export it again") from error
