"""Export a HiFi-GAN generator or a FastPitch model as TorchScript, ONNX or another format. See --help."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from common.cli import check_command_line, from_flags, is_started, run
from hifigan.export.flags import ExportConfig, make_parser

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(make_parser().parse_args, "export.py")

from common import distributed
from common.files.atomic import beside, replacing
from common.files.generators.names import PROGRAMS
from fastpitch.checkpoint import load_fastpitch
from fastpitch.synthesis.export import LARGEST_DIFFERENCE, describe
from fastpitch.synthesis.export import export as write_fastpitch
from fastpitch.synthesis.text_flags import TextFlags, text_config
from hifigan.checkpoint import load_generator
from hifigan.export.formats import FORMATS, check_installed
from hifigan.export.programs import write_for_program
from hifigan.export.write import check_exportable, export, verify


def main(argv: Sequence[str] | None = None) -> int:
    cfg = from_flags(ExportConfig, vars(make_parser().parse_args(argv)))
    if cfg.fastpitch:
        return export_fastpitch(cfg)
    if cfg.format in PROGRAMS:
        return export_for_program(cfg)
    device = distributed.select_device(cfg.cuda)
    check_exportable(cfg.format, cfg.precision, device)
    generator, info = load_generator(cfg.hifigan, cfg.hifigan_config or None, device, cfg.ema)
    output = Path(cfg.output)
    with replacing(output, suffix=FORMATS[cfg.format].suffix) as unverified:
        unverified.touch()  # fails before minutes of compilation if the output cannot be written
        contract = export(generator, info, unverified, cfg.format, cfg.precision, cfg.denoising_strength, cfg.opset)
        difference = verify(unverified, generator, contract)
    size_mb = output.stat().st_size / 1e6
    denoiser = f", denoiser {contract.denoising_strength:g}" if contract.denoising_strength else ""
    print(
        f"{output}: {contract.format}, {contract.precision}{denoiser}, {size_mb:.1f} MB; "
        f"compared with eager fp32: SNR {difference.snr_db:.1f} dB, largest error {difference.max_error:.2g}"
    )
    return 0


def export_for_program(cfg: ExportConfig) -> int:
    """Write and verify the files of another program, or none of them."""
    output = Path(cfg.output)
    with beside(output) as folder:
        folder.mkdir()
        unverified = folder / output.name
        difference, notes = write_for_program(cfg.hifigan, unverified, cfg.format, cfg.hifigan_config or None, cfg.ema)
        for path in cfg.companions:
            (folder / path.name).rename(path)
        unverified.rename(output)
    for note in notes:
        print(note)
    companions = "".join(f", {path.name}" for path in cfg.companions)
    print(f"{output}{companions}: {cfg.format}; read back, the largest difference of its samples is {difference:.2g}")
    return 0


def export_fastpitch(cfg: ExportConfig) -> int:
    """Export a FastPitch model, which takes symbol ids, with the list of its symbols inside the file."""
    check_installed(f"--format {cfg.format}", (*FORMATS[cfg.format].reads_with, *FORMATS[cfg.format].writes_with))
    model, info = load_fastpitch(cfg.fastpitch, ema=cfg.ema)
    symbols = text_config(TextFlags(), info).symbols()
    output = Path(cfg.output)
    with replacing(output, suffix=FORMATS[cfg.format].suffix) as unverified:
        unverified.touch()
        difference = write_fastpitch(model, describe(model, info, symbols), unverified, cfg.format)
    print(
        f"{output}: FastPitch, {cfg.format}, {output.stat().st_size / 1e6:.1f} MB; largest difference of a mel value "
        f"from eager on random texts: {difference:.2g} (at most {LARGEST_DIFFERENCE:g})"
    )
    return 0


def console() -> NoReturn:
    run(main, "export.py")


if __name__ == "__main__":
    console()
