"""Export FastPitch as TorchScript or ONNX, and compare the file with the eager model.

Shapes: B batch, S symbols, L mel frames, M mel bands.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import InputError, first_line
from common.files.exports import sealed
from common.machine.pytorch import torchscript
from common.machine.pytorch.torchscript import quietly
from fastpitch.config import FastPitchInfo
from fastpitch.layers import length_mask
from fastpitch.length_regulator import durations_from_log, regulate, round_durations
from fastpitch.model import FastPitch

CONTRACT = (
    "fastpitch"  # ONNX metadata property, and name (.json) of an extra file in TorchScript: what the symbols mean
)
SUFFIXES = {"torchscript": ".ts", "onnx": ".onnx"}
# Largest difference of two mel values, in natural logarithms. Rounding errors of fp32 alone give about 1e-5.
LARGEST_DIFFERENCE = 1e-3
Run = Callable[[Tensor, float, Tensor], tuple[Tensor, Tensor]]  # ids, pace, speaker -> mel, mel_lens


class ExportedFastPitch(nn.Module):
    """Synthesis as one graph of tensors, without checks of the input."""

    def __init__(self, model: FastPitch) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, pace: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map ids [B, S], pace [1] and speaker [B] to mel [B, M, L], mel_lens [B], and durations in frames [B, S].

        L is at least 2, with silence past the end.
        """
        model = self.model
        mask = ids != model.padding_idx
        x = model.encoder.word_emb(ids)
        if model.speaker_emb is not None:
            x = x + model.speaker_emb_weight * model.speaker_emb(speaker).unsqueeze(1)
        x = model.encoder(x, mask)
        durations = durations_from_log(model.duration_predictor(x, mask)) / pace
        x = x + model.pitch_emb(model.pitch_predictor(x, mask).unsqueeze(1)).transpose(1, 2)
        if model.energy_predictor is not None and model.energy_emb is not None:
            x = x + model.energy_emb(model.energy_predictor(x, mask).unsqueeze(1)).transpose(1, 2)
        frames = round_durations(durations)
        mel_lens = frames.sum(dim=1)
        num_frames: Any = mel_lens.max().clamp(min=2).item()  # int() would fix the number
        torch._check(num_frames >= 2)  # a size of 1 would mean broadcasting to the exporter
        y = model.decoder(regulate(x, frames, num_frames), length_mask(mel_lens, num_frames))
        mel = model.proj(y).transpose(1, 2)
        return mel.masked_fill(~length_mask(mel_lens, num_frames).unsqueeze(1), model.silence), mel_lens, frames


def describe(model: FastPitch, info: FastPitchInfo, symbols: list[str]) -> dict[str, Any]:
    """Return what a program needs to know to use the file, as JSON inside it: symbols, signal and text settings."""
    text = {key: info.train_setup.get(key) for key in ("symbol_set", "text_cleaners", "p_arpabet", "speakers")}
    return {
        "config": model.config.to_dict(),
        "audio": dataclasses.asdict(info.audio),
        "symbols": symbols,
        "padding_idx": model.padding_idx,
        **text,
    }


def export(model: FastPitch, contract: dict[str, Any], path: Path, format: str) -> float:
    """Write a file that takes any number and length of texts, and compare it with the eager model on random texts.

    Args:
        model: in evaluation mode, on the CPU.
        contract: from `describe`.
        path: file to write.
        format: a key of `SUFFIXES`.

    Returns:
        The largest difference of two mel values.

    Raises:
        InputError: the exporter fails, or the file's lengths or mels differ from the eager model's.
    """
    text = json.dumps(contract)
    with torch.no_grad(), quietly():
        if format == "torchscript":
            content = io.BytesIO()
            torch.jit.save(torchscript.script(model), content, _extra_files={f"{CONTRACT}.json": text})
            path.write_bytes(content.getvalue())
        else:
            _write_onnx(model, path, text)
        return compare(model, load(path, format))


def _write_onnx(model: FastPitch, path: Path, contract: str) -> None:
    examples = (torch.ones(2, 7, dtype=torch.long) * (model.padding_idx == 0), torch.ones(1), torch.zeros(2).long())
    batch, symbols = torch.export.Dim("batch"), torch.export.Dim("symbols")
    try:
        program = torch.onnx.export(
            ExportedFastPitch(model).eval(),
            examples,
            dynamo=True,
            verbose=False,
            input_names=["ids", "pace", "speaker"],
            output_names=["mel", "mel_lens", "durations"],
            dynamic_shapes={"ids": {0: batch, 1: symbols}, "pace": {}, "speaker": {0: batch}},
        )
    except Exception as error:  # the exporter has errors of its own
        raise InputError(f"--format onnx: PyTorch cannot export this model: {first_line(error)}") from error
    assert program is not None
    program.model.metadata_props[CONTRACT] = contract
    path.write_bytes(sealed(program.model_proto.SerializeToString()))


def load(path: Path, format: str) -> Run:
    """Load an exported file for the CPU."""
    if format == "torchscript":
        model = torchscript.load(path, torch.device("cpu"))

        def run_script(ids: Tensor, pace: float, speaker: Tensor) -> tuple[Tensor, Tensor]:
            output = model(ids, pace, speaker)
            return output.mel, output.mel_lens

        return run_script
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run_onnx(ids: Tensor, pace: float, speaker: Tensor) -> tuple[Tensor, Tensor]:
        values = {"ids": ids.numpy(), "pace": torch.tensor([pace]).numpy(), "speaker": speaker.numpy()}
        known = {value.name for value in session.get_inputs()}  # one voice needs no speaker
        mel, lens, _ = session.run(None, {name: value for name, value in values.items() if name in known})
        return torch.from_numpy(mel), torch.from_numpy(lens)

    return run_onnx


def compare(model: FastPitch, run: Run) -> float:
    """Return the largest difference of two mel values, over random texts of several numbers, lengths, paces and voices.

    Raises:
        InputError: other lengths, or a difference above `LARGEST_DIFFERENCE`.
    """
    source = torch.Generator().manual_seed(0)
    largest = 0.0
    for batch, symbols, pace in ((1, 1, 1.0), (1, 40, 1.0), (3, 23, 1.3), (2, 90, 0.7)):
        ids = torch.randint(model.n_symbols, (batch, symbols), generator=source)
        ids[ids == model.padding_idx] = (model.padding_idx + 1) % model.n_symbols
        if batch > 1:
            ids[1, symbols // 2 :] = model.padding_idx
        speaker = torch.randint(model.n_speakers, (batch,), generator=source)
        expected = model(ids, pace, speaker)
        mel, lens = run(ids, pace, speaker)
        mel = mel[:, :, : expected.mel.size(2)]
        if not torch.equal(lens, expected.mel_lens) or mel.shape != expected.mel.shape:
            wanted = expected.mel_lens.tolist()
            raise InputError(f"the exported model gives {lens.tolist()} frames where the eager one gives {wanted}")
        largest = max(largest, float((mel - expected.mel).abs().nan_to_num(torch.inf).max()))
    if not largest <= LARGEST_DIFFERENCE:
        raise InputError(
            f"the exported model differs from the eager one by {largest:.2g}; {LARGEST_DIFFERENCE:g} is allowed"
        )
    return largest
