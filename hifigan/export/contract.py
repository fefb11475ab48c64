"""The contract of an exported file: architecture, signal settings and origin, stored as JSON inside the file."""

from __future__ import annotations

import dataclasses
import json

from common.audio_config import OUR_MELS, AudioConfig, MelConvention
from common.errors import InputError
from common.files.exports import EXPORT_METADATA
from hifigan.config import GeneratorConfig, check_hop_length

VERSION = 1  # of the contract
CONTRACT_FILE = f"{EXPORT_METADATA}.json"  # in archives


@dataclasses.dataclass(frozen=True)
class ExportContract:
    """Everything that a program needs to know about an exported file.

    Attributes:
        format: a key of `FORMATS`.
        config: architecture of the generator inside.
        audio: signal settings of its mels.
        convention: how its mels differ from this project's beyond `audio`.
        output_rate: sampling rate of its audio in Hz, or None if it is that of the mels.
        denoising_strength: strength of the denoiser inside, 0 without one.
        precision: a key of `DTYPES`, of all layers but the first two, the last one and the denoiser.
        device: "cpu" or "cuda", where it was exported. Some formats run only there.
        checkpoint_sha256: checksum of the checkpoint that the weights come from.
        torch_version: version of PyTorch that exported it.
    """

    format: str
    config: GeneratorConfig
    audio: AudioConfig
    denoising_strength: float
    precision: str
    device: str
    checkpoint_sha256: str
    torch_version: str
    convention: MelConvention = OUR_MELS
    output_rate: int | None = None

    @property
    def min_frames(self) -> int:
        """Frames of the shortest mel. A denoiser inside reflects half its filter length at the ends."""
        half = -(-self.audio.filter_length // 2)  # `Denoiser` makes odd lengths even
        denoised = half // self.config.hop_length + 1 if self.denoising_strength > 0 else 1
        return max(denoised, self.config.min_frames)

    def to_json(self) -> str:
        plain = {**dataclasses.asdict(self), "config": self.config.to_dict(), **self.convention.to_dict()}
        for name in ("convention", *(["output_rate"] if self.output_rate is None else [])):
            del plain[name]
        return json.dumps({"version": VERSION, **plain})

    @classmethod
    def from_json(cls, text: str) -> ExportContract:
        """Read the text that `to_json` wrote.

        Raises:
            InputError: another text, another version, or contradictory values.
        """
        try:
            values = json.loads(text)
            if values.pop("version") != VERSION:
                raise InputError("of another version of this program")
            named = {field.name for field in dataclasses.fields(MelConvention)}
            convention = MelConvention.from_dict({name: values.pop(name) for name in named & values.keys()})
            audio = AudioConfig(**values.pop("audio"))
            config = GeneratorConfig.from_dict(values.pop("config"), audio.num_mels)
            contract = cls(config=config, audio=audio, convention=convention, **values)
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"unreadable ({error})") from error
        try:
            check_hop_length(config, audio, contract.output_rate)
        except InputError as error:
            raise InputError(f"contradictory ({error})") from error
        return contract
