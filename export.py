"""Export a HiFi-GAN generator as TorchScript, ONNX or another deployment format. See --help."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from common.cli import check_command_line, from_flags, is_started, run
from hifigan.export.flags import ExportConfig, make_parser

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(make_parser().parse_args, "export.py")

from common import distributed
from common.files.atomic import replacing
from hifigan.checkpoint import load_generator
from hifigan.export.formats import FORMATS
from hifigan.export.write import check_exportable, export, verify


def main(argv: Sequence[str] | None = None) -> int:
    cfg = from_flags(ExportConfig, vars(make_parser().parse_args(argv)))
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


def console() -> NoReturn:
    run(main, "export.py")


if __name__ == "__main__":
    console()
