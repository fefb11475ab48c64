"""Flags of `export.py`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from common.cli import ArgumentParser, add_flags, command_line, flag, list_words, not_negative
from common.download.hub import find_fastpitch, find_generator
from common.errors import InputError
from common.files.generators.names import COMPANIONS, PROGRAMS
from common.machine.hardware import PRECISIONS
from hifigan.export.formats import FORMATS

_NO_BF16 = list_words(name for name, kind in FORMATS.items() if "bf16" not in kind.precisions)
_BOUND = list_words(name for name, kind in FORMATS.items() if kind.bound_to_device)

FASTPITCH_FORMATS = ("torchscript", "onnx")
_REQUIRED = "--hifigan: is required, or --fastpitch"


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """The generator or FastPitch model, the format, and the file to write."""

    hifigan: str = flag(
        "",
        "generator checkpoint of any public format, a model's folder or a hub name, org/name",
        metavar="NAME|PATH",
        convert=find_generator,
    )
    fastpitch: str = flag(
        "",
        "FastPitch checkpoint, a model's folder or a hub name, in place of --hifigan; only "
        f"{list_words(FASTPITCH_FORMATS)}, in fp32",
        metavar="NAME|PATH",
        convert=find_fastpitch,
    )
    output: str = flag("", "file to write, with the suffix of the format", short=("-o",), metavar="PATH", required=True)
    format: str = flag(
        "",
        f"{list_words(f'{name} ({kind.about or kind.suffix})' for name, kind in FORMATS.items())}; "
        f"for another program: {list_words(f'{name} ({about})' for name, about in PROGRAMS.items())}",
        choices=(*FORMATS, *PROGRAMS),
        required=True,
    )
    precision: str = flag(
        "fp32",
        f"of all layers but the first two, the last one and the denoiser; no bf16 with {_NO_BF16}",
        choices=PRECISIONS,
    )
    denoising_strength: float = flag(0.0, "add a denoiser of this strength after the generator; 0.005 to 0.1 is usual")
    cuda: bool = flag(False, f"export on the GPU ({_BOUND} files run only on the kind of device they were made on)")
    hifigan_config: str = flag(
        "", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration", metavar="NAME|PATH"
    )
    ema: bool = flag(False, "use the checkpoint's moving average of the weights (from training with --ema)")
    opset: int | None = flag(
        None, "operator set, 18 or higher; without it, the exporter's own choice", only_with="format=onnx"
    )

    def __post_init__(self) -> None:
        if bool(self.hifigan) == bool(self.fastpitch):
            raise InputError("--hifigan: give it, or --fastpitch, and not both" if self.hifigan else _REQUIRED)
        if self.fastpitch:
            self._check_fastpitch()
        not_negative(denoising_strength=self.denoising_strength)
        if self.opset is not None and self.opset < 18:
            raise InputError(f"--opset: {self.opset} is below 18")
        if self.format in PROGRAMS:
            self._check_for_program()
        else:
            suffix = FORMATS[self.format].suffix
            if Path(self.output).suffix.lower() != suffix:
                raise InputError(f"-o: {self.output} does not end in {suffix}, the suffix of {self.format} files")
        for path in (Path(self.output), *self.companions):
            if os.path.lexists(path):
                raise InputError(f"-o: {path} exists already; remove it or name another place")

    @property
    def companions(self) -> list[Path]:
        """Files that some programs need beside the output."""
        return [Path(self.output).with_name(name) for name in COMPANIONS.get(self.format, ())]

    def _check_for_program(self) -> None:
        """Raise `InputError` for flags that have no effect on another program's file."""
        for name, given in (
            ("precision", self.precision != "fp32"),
            ("denoising-strength", self.denoising_strength > 0),
            ("cuda", self.cuda),
        ):
            if given:
                raise InputError(f"--{name}: has no effect on --format {self.format}, which stores the weights in fp32")

    def _check_fastpitch(self) -> None:
        if self.format not in FASTPITCH_FORMATS:
            raise InputError(f"--format: FastPitch is exported as {list_words(FASTPITCH_FORMATS)}, not {self.format}")
        for field in dataclasses.fields(self):
            idle = field.name in ("precision", "denoising_strength", "cuda", "hifigan_config", "opset")
            if idle and getattr(self, field.name) != field.default:
                raise InputError(f"--{field.name.replace('_', '-')}: has no effect with --fastpitch")


def _require_model(given: MutableMapping[str, Any]) -> None:
    if not given.get("hifigan") and not given.get("fastpitch"):
        raise InputError(f"{_REQUIRED} (see {command_line('export.py')} --help)")


def make_parser() -> ArgumentParser:
    """Return the parser of `export.py`."""
    parser = ArgumentParser(
        prog="export.py",
        needs="(--hifigan NAME|PATH | --fastpitch NAME|PATH)",
        description="Generator or FastPitch checkpoint -> file for deployment, verified.",
        complete=_require_model,
        examples=(
            "--hifigan G.pt --format onnx -o hifigan.onnx",
            "--hifigan G.pt --format torchscript --denoising-strength 0.01 -o hifigan.ts",
            "--hifigan G.pt --format coqui -o coqui/model.pth",
            "--fastpitch F.pt --format onnx -o fastpitch.onnx",
        ),
    )
    add_flags(parser, ExportConfig, "export")
    return parser
