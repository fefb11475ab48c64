"""Run the generator on an utterance that arrives in chunks, computing each frame once.

Every layer keeps the part of its input that it needs again: a convolution the span of its kernel, a transposed
convolution the overlap with its next output, a residual connection the frames that its branch has not reached yet. The
joined chunks then equal the output of `Generator` (paper section 2.2) for the whole utterance.

Shapes: B batch, M mel bands, L frames, C channels, T samples.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from common.errors import InputError
from hifigan.backend import check_mels
from hifigan.generator import Generator, ResBlock1, activate
from hifigan.layers import WeightNormConv1d

# Inputs that the layers keep. Tensors are replaced and never changed in place, so a shallow copy is enough.
Memory = dict[Hashable, Tensor]


class _Pass:
    """One pass of the generator over the next chunk of an utterance. Updates `memory` for the chunk after it.

    Args:
        generator: without weight norm.
        memory: left by the previous chunk, or empty at the start of an utterance.
        last: the utterance ends with this chunk. Each layer then pads its own input with zeros, as it does at the
            start. Zero frames before the first layer would not do, since the biases make the later inputs nonzero.
    """

    def __init__(self, generator: Generator, memory: Memory, last: bool) -> None:
        self.generator = generator
        self.memory = memory
        self.last = last

    def __call__(self, mel: Tensor) -> Tensor:
        """mel [B, M, L], L >= 0 -> the samples [B, 1, T] that became final."""
        device = mel.device.type
        with torch.autocast(device, enabled=False):  # rounding is audible here, see `Generator.upsampled`
            pre = self._conv(self.generator.conv_pre, self.generator.normalise(mel.float()))
            x = self._upsample(self.generator.ups[0], activate(pre))
        for number, (up, blocks) in enumerate(zip(self.generator.ups, self.generator.resblocks, strict=True)):
            if number > 0:
                x = self._upsample(up, activate(x))
            x = self._fusion(blocks, x)
        with torch.autocast(device, enabled=False):  # as in the generator
            return torch.tanh(self._conv(self.generator.conv_post, F.leaky_relu(x.float())))

    def _fusion(self, blocks: Any, x: Tensor) -> Tensor:
        """Return the mean of the residual blocks, up to the frames that all blocks have reached."""
        outputs = [self._remembered(block, self._block(block, x)) for block in blocks]
        ready = min(y.size(2) for y in outputs)
        for block, y in zip(blocks, outputs, strict=True):
            self._keep(block, y[:, :, ready:])
        total = outputs[0][:, :, :ready]
        for y in outputs[1:]:
            total = total + y[:, :, :ready]
        return total / len(outputs)

    def _block(self, block: Any, x: Tensor) -> Tensor:
        if isinstance(block, ResBlock1):
            for dilated, plain in zip(block.convs1, block.convs2, strict=True):
                x = self._delayed_sum(plain, x, self._conv(plain, activate(self._conv(dilated, activate(x)))))
        else:
            for conv in block.convs:
                x = self._delayed_sum(conv, x, self._conv(conv, activate(x)))
        return x

    def _delayed_sum(self, conv: Any, x: Tensor, branch: Tensor) -> Tensor:
        """Return x + branch, where the branch, which ends with `conv`, lags behind x."""
        x = self._remembered(("sum", conv), x)
        ready = branch.size(2)
        self._keep(("sum", conv), x[:, :, ready:])
        return x[:, :, :ready] + branch

    def _conv(self, conv: Any, x: Tensor) -> Tensor:
        padding, span = conv.padding[0], conv.dilation[0] * (conv.kernel_size[0] - 1)
        x = self._remembered(conv, x, zeros=padding)
        if self.last:
            x = F.pad(x, (0, padding))
        ready = max(0, x.size(2) - span)
        self._keep(conv, x[:, :, ready:])
        if ready == 0:
            return x.new_zeros(x.size(0), conv.out_channels, 0)
        return F.conv1d(x, conv.weight, conv.bias, dilation=conv.dilation)

    def _upsample(self, up: Any, x: Tensor) -> Tensor:
        padding, overlap = up.padding[0], up.kernel_size[0] - up.stride[0]
        # Unfinished output, without bias, that later inputs add to. It starts with the next sample to return. At the
        # start of an utterance, the samples before are those that the whole-utterance layer cuts off as padding.
        y = self.memory.get(up, x.new_zeros(x.size(0), up.out_channels, overlap - padding))
        if x.size(2) > 0:
            fresh = F.conv_transpose1d(x, up.weight, stride=up.stride)[:, :, overlap - y.size(2) :]
            y = fresh + F.pad(y, (0, fresh.size(2) - y.size(2))).to(fresh.dtype)
        ready = max(0, y.size(2) - (padding - up.output_padding[0] if self.last else overlap))
        self._keep(up, y[:, :, ready:])
        return y[:, :, :ready] + up.bias.to(y.dtype)[:, None]

    def _remembered(self, key: Hashable, x: Tensor, zeros: int = 0) -> Tensor:
        """Put the input kept under `key` before x, or `zeros` zeros at the start of an utterance."""
        kept = self.memory.get(key)
        return F.pad(x, (zeros, 0)) if kept is None else torch.cat([kept.to(x.dtype), x], dim=2)

    def _keep(self, key: Hashable, x: Tensor) -> None:
        self.memory[key] = x.clone()  # a view would keep the activations of the whole chunk


class StreamingGenerator:
    """Turn mel chunks of any size into audio while the utterance is still arriving.

    With the full look-ahead, the joined audio equals `generator(mel)` up to rounding. With less, each call repeats the
    last frame in place of the missing ones, on a copy of the state, and cross-fades from the audio that the previous
    call predicted. Without the cross-fade the joints click, and cause most of the error. The kept state stays exact.
    The cost is `receptive_field_frames - look_ahead + 1` more frames in each call, and the loss of quality in
    benchmarks/results/streaming.md.

    Args:
        generator: with weight norm removed, as `load_generator` returns it. Its weights are shared, not copied.
        look_ahead: frames after its own that a frame's audio waits for, from 0 to the generator's
            `receptive_field_frames` (13 in V1 and V2, 11 in V3), which is the default and exact.

    Raises:
        InputError: the generator has weight norm, or `look_ahead` is out of range.
    """

    def __init__(self, generator: Generator, look_ahead: int | None = None) -> None:
        whole = generator.config.receptive_field_frames
        if look_ahead is None:
            look_ahead = whole
        if not 0 <= look_ahead <= whole:
            raise InputError(f"streaming: look_ahead is {look_ahead}, not 0 to {whole} frames")
        if isinstance(generator.conv_pre, WeightNormConv1d):
            raise InputError("streaming: the generator has weight norm; call its remove_weight_norm() first")
        if generator.config.padding != "zeros":
            raise InputError("streaming: this generator pads by reflection, which needs the whole utterance")
        self.generator: Generator = generator
        self.look_ahead: int = look_ahead
        self._missing: int = whole - look_ahead
        self._hop_length: int = generator.config.hop_length
        self.reset()

    @property
    def latency_samples(self) -> int:
        """Samples between the end of the audio sent so far and the end of the last frame received."""
        return self.look_ahead * self._hop_length

    def latency_sec(self, sampling_rate: int) -> float:
        """`latency_samples` in seconds of audio at `sampling_rate` Hz."""
        return self.latency_samples / sampling_rate

    def reset(self) -> None:
        """Drop the current utterance. The next chunk begins a new one."""
        self._memory: Memory = {}
        self._frames = 0
        self._recent: Tensor | None = None  # the last frame [B, M, 0 or 1]
        self._unsent: Tensor | None = None  # final samples that are not due yet, [B, 1, T], less than a frame
        self._ahead = 0  # samples sent that were not final yet
        self._expected: Tensor | None = None  # prediction of the samples after these, [B, 1, fade], to fade from

    @torch.no_grad()
    def stream(self, mel: Tensor) -> Tensor:
        """mel chunk [B, M, L], L >= 0 -> the next samples [B, 1, T] in [-1, 1], T >= 0.

        After N frames of an utterance, max(0, N - look_ahead) * hop_length samples have been sent.

        Raises:
            InputError: wrong shape or type, an empty batch, a batch of another size than before, or values that are
                not finite. The stream is unchanged then.
        """
        self._check(mel)
        memory, expected = self._memory.copy(), self._expected
        final = _Pass(self.generator, memory, last=False)(mel)
        recent = mel[:, :, -1:]
        if self._unsent is not None and self._recent is not None:
            final = torch.cat([self._unsent, final], dim=2)
            recent = torch.cat([self._recent, recent], dim=2)[:, :, -1:]
        frames = self._frames + mel.size(2)
        due = max(0, frames - self.look_ahead) - max(0, self._frames - self.look_ahead)
        end = self._ahead + due * self._hop_length
        wav = final
        if end > final.size(2):
            future = self._future(recent, self._missing + 1)  # one more for the fade
            wav = torch.cat([final, _Pass(self.generator, memory.copy(), last=False)(future)], dim=2)
            expected = wav[:, :, end : end + self._hop_length // 2]
        sent = self._faded(wav[:, :, self._ahead : end])
        self._memory, self._frames, self._recent, self._expected = memory, frames, recent.clone(), expected
        self._unsent, self._ahead = final[:, :, end:], max(0, end - final.size(2))
        return sent

    @torch.no_grad()
    def finish(self) -> Tensor:
        """Return the remaining samples [B, 1, T] of the utterance. The stream is then ready for the next one.

        Raises:
            InputError: no frame since the last utterance.
        """
        if self._frames == 0 or self._recent is None or self._unsent is None:
            raise InputError("streaming: no frames to finish")
        final = _Pass(self.generator, self._memory.copy(), last=True)(self._recent[:, :, :0])
        rest = self._faded(torch.cat([self._unsent, final], dim=2)[:, :, self._ahead :])
        self.reset()
        return rest

    def _future(self, recent: Tensor, frames: int) -> Tensor:
        """Repeat the last frame [B, M, 1] in place of the next `frames` frames."""
        return recent.expand(-1, -1, frames)

    def _faded(self, wav: Tensor) -> Tensor:
        """Cross-fade the beginning of wav [B, 1, T] from the predicted samples."""
        if self._expected is None or wav.size(2) == 0:
            return wav
        length = self._expected.size(2)
        weight = torch.linspace(0, 1, length + 2, device=wav.device)[1:-1]
        return torch.cat([torch.lerp(self._expected, wav[:, :, :length], weight), wav[:, :, length:]], dim=2)

    def _check(self, mel: Tensor) -> None:
        bands = self.generator.num_mels
        if mel.dim() != 3:
            raise InputError(f"streaming: expected a mel chunk of shape [B, {bands}, L], got {list(mel.shape)}")
        check_mels(list(mel), bands, min_frames=0)
        if self._recent is not None and mel.size(0) != self._recent.size(0):
            raise InputError(
                f"streaming: the batch size changed from {self._recent.size(0)} to {mel.size(0)} within an utterance"
            )
