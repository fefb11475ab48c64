"""FastPitch (Łańcucki 2020, arXiv:2006.06873) with the aligner of arXiv:2108.10447.

Shapes: B batch, S symbols, L mel frames, M mel bands. One model serves eager and scripted use: `forward` is synthesis,
and `teacher_forced` is never compiled.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.audio import SILENCE, AudioConfig
from common.errors import InputError
from common.files.checkpoints import check_tensors, dictionary
from common.mel_contract import MelContract
from common.pretrained import PretrainedModel, unknown_settings
from common.text.settings import TextConfig
from fastpitch.alignment import ConvAttention, monotonic_durations
from fastpitch.config import FastPitchConfig, FastPitchInfo, config_of_tensors
from fastpitch.layers import Embedding, Predictor, length_mask, linear_in_fp32
from fastpitch.length_regulator import (
    durations_from_log,
    mean_per_symbol,
    regulate,
    round_durations,
)
from fastpitch.pitch_transform import DEFAULT_MEAN_HZ, DEFAULT_STD_HZ
from fastpitch.speakers import stored_pitch
from fastpitch.transformer import FFTransformer

ALIGNER_PREFIX = "attention."


class FastPitchOutput(NamedTuple):
    """Result of `FastPitch.forward`.

    Attributes:
        mel: [B, M, L] natural-log mel ("tacotron" framing), silence past an item's end.
        mel_lens: [B] frames of each item, int64.
        durations: [B, S] frames per symbol as predicted, in [0, 75], before pace and rounding.
        pitch: [B, 1, S] in standard deviations from the voice's mean, after the pitch transform.
        energy: [B, S] ln(1 + energy), or None in models without energy.
    """

    mel: Tensor
    mel_lens: Tensor
    durations: Tensor
    pitch: Tensor
    energy: Tensor | None


class SpeechPlan(NamedTuple):
    """Result of `FastPitch.plan`: the decoder's inputs, and values as in `FastPitchOutput`.

    Attributes:
        x: [B, S, C] encoded symbols with pitch and energy.
        frames: [B, S] whole frames per symbol, int64.
        mel_lens, durations, pitch, energy: see `FastPitchOutput`.
    """

    x: Tensor
    frames: Tensor
    mel_lens: Tensor
    durations: Tensor
    pitch: Tensor
    energy: Tensor | None


class TeacherForced(NamedTuple):
    """Result of `FastPitch.teacher_forced`: predictions, and the targets that condition the decoder instead.

    Attributes:
        mel: [B, M, L], silence past an item's end.
        mel_lens: [B] frames of each item.
        text_lens: [B] symbols of each item.
        log_durations: [B, S] predicted ln(d + 1).
        durations: [B, S] frames per symbol by hard alignment, int64.
        pitch: [B, 1, S] predicted, in standard deviations.
        pitch_target: [B, 1, S] of the recordings.
        energy: [B, S] predicted ln(1 + energy), or None in models without energy.
        energy_target: [B, S] of the recordings, or None.
        log_soft: [B, L, S] of the aligner, see `ConvAttention`.
        logits: [B, L, S] of the aligner, see `ConvAttention`.
    """

    mel: Tensor
    mel_lens: Tensor
    text_lens: Tensor
    log_durations: Tensor
    durations: Tensor
    pitch: Tensor
    pitch_target: Tensor
    energy: Tensor | None
    energy_target: Tensor | None
    log_soft: Tensor
    logits: Tensor


class FastPitch(PretrainedModel):
    """Acoustic model: symbol ids -> log mel spectrogram, in one pass.

    Args:
        config: architecture.
        aligner: build the modules that only training and teacher forcing need (`attention.*`).

    Attributes:
        pitch_transform: None or a `PitchTransform`, applied to the predicted pitch. Assign it before scripting.
        info: description of the file that it was loaded from, with its signal and text settings, or None.
    """

    STATE = "state_dict"
    TITLE = "FastPitch: text to mel spectrogram"

    pitch_mean: Tensor
    pitch_std: Tensor
    speaker_pitch: Tensor

    def __init__(self, config: FastPitchConfig, aligner: bool = True) -> None:
        super().__init__()
        self.config = config
        self.info: FastPitchInfo | None = None
        self.n_symbols = config.n_symbols
        self.padding_idx = config.padding_idx
        self.n_speakers = config.n_speakers
        self.speaker_emb_weight = config.speaker_emb_weight
        self.silence = SILENCE  # an attribute, since TorchScript does not see globals
        width = config.symbols_embedding_dim
        # Zeros mean unknown. Published files use these names in this order.
        self.register_buffer("pitch_mean", torch.zeros(1))
        self.register_buffer("pitch_std", torch.zeros(1))
        # Pitch of each voice in Hz, from the `train_setup` of its file. In the transforms only: the published recipe
        # normalises all voices alike, and the speaker embedding learns the difference.
        self.register_buffer("speaker_pitch", torch.zeros(config.n_speakers, 2), persistent=False)
        word_emb = Embedding(config.n_symbols, width, padding_idx=config.padding_idx)
        self.encoder = FFTransformer(width, config.encoder, word_emb)
        self.speaker_emb = Embedding(config.n_speakers, width) if config.n_speakers > 1 else None
        self.duration_predictor = Predictor(width, config.predictor("dur"))
        self.decoder = FFTransformer(width, config.decoder)
        self.pitch_predictor = Predictor(width, config.predictor("pitch"))
        self.pitch_emb = _value_embedding(width, config.pitch_embedding_kernel_size)
        self.energy_predictor = Predictor(width, config.predictor("energy")) if config.energy_conditioning else None
        self.energy_emb = (
            _value_embedding(width, config.energy_embedding_kernel_size) if config.energy_conditioning else None
        )
        self.proj = nn.Linear(width, config.n_mel_channels)
        self.attention = ConvAttention(config.n_mel_channels, width) if aligner else None
        self.pitch_transform: nn.Module | None = None

    def forward(
        self, ids: Tensor, pace: float = 1.0, speaker: Tensor | None = None, pitch: Tensor | None = None
    ) -> FastPitchOutput:
        """Synthesise a batch of texts. Each item's result is independent of the others.

        Args:
            ids: [B, S] symbol ids. `padding_idx` fills the end of short items.
            pace: divides the durations, so 2 is twice as fast.
            speaker: [B], or [1] for all: the voice, by default 0.
            pitch: [B, 1, S] pitch before the pitch transform, in standard deviations from the voice's mean, 0 where
                unvoiced. NaN, and None for all symbols, select the model's prediction.

        Raises:
            InputError: ids or speakers unknown to the model (see `check_texts` for tensors on a GPU), a wrong shape,
                or a pace that is not above 0.
        """
        plan = self.plan(ids, pace, speaker, pitch)
        # The longest item gives the size of the result, the only value that the CPU waits for.
        mel = self.decode(plan.x, plan.frames, plan.mel_lens, max(1, int(plan.mel_lens.max())))
        return FastPitchOutput(mel, plan.mel_lens, plan.durations, plan.pitch, plan.energy)

    def plan(self, ids: Tensor, pace: float, speaker: Tensor | None, pitch: Tensor | None) -> SpeechPlan:
        """Return everything that the decoder needs. Arguments and errors are as for `forward`."""
        if not (pace > 0.0 and math.isfinite(pace)):
            raise InputError(f"FastPitch: pace is {pace}, must be above 0")
        self.check_texts(ids, speaker)
        x, mask = self.encode(ids, speaker)
        durations = durations_from_log(self.duration_predictor(x, mask))
        spoken = self.pitch_predictor(x, mask)
        if pitch is not None:
            if pitch.shape != (ids.size(0), 1, ids.size(1)):
                raise InputError(f"FastPitch: pitch has shape {list(pitch.shape)}, expected [B, 1, S] as ids [B, S]")
            given = pitch.squeeze(1).to(spoken.dtype)
            spoken = torch.where(given.isnan(), spoken, given).masked_fill(~mask, 0.0)
        if self.pitch_transform is not None:
            model_mean_hz, model_std_hz = self.pitch_statistics()
            mean_hz, std_hz = self.voice_statistics(speaker)
            # From deviations of the model's mean to those of each voice's mean, and back.
            offset, scale = (mean_hz - model_mean_hz) / model_std_hz, std_hz / model_std_hz
            spoken = self.pitch_transform((spoken - offset) / scale, mask, mean_hz, std_hz)
            spoken = (spoken * scale + offset).masked_fill(~mask, 0.0)
        spoken = spoken.unsqueeze(1)
        x = x + self.pitch_emb(spoken).transpose(1, 2)
        energy: Tensor | None = None
        if self.energy_predictor is not None and self.energy_emb is not None:
            energy = self.energy_predictor(x, mask)
            x = x + self.energy_emb(energy.unsqueeze(1)).transpose(1, 2)
        frames = round_durations(durations, pace)
        return SpeechPlan(x, frames, frames.sum(dim=1), durations, spoken, energy)

    def check_texts(self, ids: Tensor, speaker: Tensor | None) -> None:
        """Raise `InputError` unless the model can speak ids [B, S] with speakers [B] or [1].

        Of tensors on a GPU only shapes are checked, because the CPU would wait for their values. Check these before
        they are moved there.
        """
        readable = not ids.is_cuda
        if ids.dim() != 2 or ids.numel() == 0:
            raise InputError(f"FastPitch: expected symbol ids of shape [B, S], got {list(ids.shape)}")
        if readable and (int(ids.min()) < 0 or int(ids.max()) >= self.n_symbols):
            raise InputError(f"FastPitch: symbol ids must lie between 0 and {self.n_symbols - 1}")
        if speaker is not None:
            if speaker.numel() != 1 and speaker.numel() != ids.size(0):
                raise InputError(f"FastPitch: {speaker.numel()} speakers for {ids.size(0)} texts")
            if readable and (int(speaker.min()) < 0 or int(speaker.max()) >= self.n_speakers):
                raise InputError(
                    f"FastPitch: speaker {int(speaker.min())} to {int(speaker.max())}, "
                    f"but the model's are 0 to {self.n_speakers - 1}"
                )

    def encode(self, ids: Tensor, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map ids [B, S] and speaker [B], [1] or None to encoded symbols [B, S, C] and mask [B, S]."""
        mask = ids != self.padding_idx
        x = self.encoder.word_emb(ids)
        if self.speaker_emb is not None:
            if speaker is None:
                speaker = torch.zeros(1, dtype=torch.long, device=ids.device)
            x = x + self.speaker_emb_weight * self.speaker_emb(speaker.reshape(-1).long()).unsqueeze(1)
        return self.encoder(x, mask), mask

    def decode(self, x: Tensor, frames: Tensor, mel_lens: Tensor, num_frames: int) -> Tensor:
        """Map conditioned symbols [B, S, C] and whole frames per symbol [B, S] to mel [B, M, num_frames]."""
        mask = length_mask(mel_lens, num_frames)
        y = self.decoder(regulate(x, frames, num_frames), mask)
        mel = linear_in_fp32(y, self.proj.weight, self.proj.bias).transpose(1, 2)
        return mel.masked_fill(~mask.unsqueeze(1), self.silence)

    def pitch_statistics(
        self, default_mean_hz: float = DEFAULT_MEAN_HZ, default_std_hz: float = DEFAULT_STD_HZ
    ) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the voice's pitch in Hz, [1] each, or the defaults if unknown."""
        known = self.pitch_std > 0
        mean_hz = torch.where(known, self.pitch_mean, torch.full_like(self.pitch_mean, default_mean_hz))
        return mean_hz, torch.where(known, self.pitch_std, torch.full_like(self.pitch_std, default_std_hz))

    def voice_statistics(self, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each voice's own pitch in Hz, [B, 1] or [1, 1] each.

        Without statistics of the speakers, these are the model's.

        Args:
            speaker: [B], [1], or None for voice 0.
        """
        mean_hz, std_hz = self.pitch_statistics()
        if speaker is None:
            speaker = torch.zeros(1, dtype=torch.long, device=self.speaker_pitch.device)
        own = self.speaker_pitch[speaker.reshape(-1).long()]
        known = own[:, 1:] > 0
        return torch.where(known, own[:, :1], mean_hz), torch.where(known, own[:, 1:], std_hz)

    @torch.jit.unused
    def teacher_forced(
        self,
        ids: Tensor,
        mel: Tensor,
        mel_lens: Tensor,
        pitch: Tensor,
        prior: Tensor | None = None,
        speaker: Tensor | None = None,
    ) -> TeacherForced:
        """Decode with the durations, pitch and energy of recordings, which the aligner aligns with their texts.

        Args:
            ids: [B, S] symbol ids, padding at the end only.
            mel: [B, M, L] log mel of the recordings ("tacotron" framing).
            mel_lens: [B] frames of each recording.
            pitch: [B, 1, L] per frame, in standard deviations from the voice's mean, 0 where unvoiced.
            prior: [B, L, S], see `alignment.interpolated_prior`.
            speaker: [B], or [1] for all.

        Raises:
            InputError: as `check_recordings`, or a model without aligner.
        """
        if self.attention is None:
            raise InputError("FastPitch: this model has no aligner (attention.*), which teacher forcing needs")
        self.check_recordings(ids, mel, mel_lens, pitch, prior, speaker)
        x, mask = self.encode(ids, speaker)
        text_lens = mask.sum(dim=1)
        mel_mask = length_mask(mel_lens, mel.size(2))
        log_soft, logits = self.attention(mel, self.encoder.word_emb(ids), mel_mask, mask, prior)
        durations = monotonic_durations(log_soft, text_lens, mel_lens)

        log_durations = self.duration_predictor(x, mask)
        pitch_frames = pitch.squeeze(1)
        pitch_target = mean_per_symbol(pitch_frames, durations, pitch_frames != 0).unsqueeze(1)
        pitch_predicted = self.pitch_predictor(x, mask).unsqueeze(1)
        x = x + self.pitch_emb(pitch_target).transpose(1, 2)
        energy: Tensor | None = None
        energy_target: Tensor | None = None
        if self.energy_predictor is not None and self.energy_emb is not None:
            energy_frames = torch.linalg.vector_norm(mel.float(), dim=1)
            energy_target = torch.log1p(mean_per_symbol(energy_frames, durations, mel_mask))
            energy = self.energy_predictor(x, mask)
            x = x + self.energy_emb(energy_target.unsqueeze(1)).transpose(1, 2)
        mel_out = self.decode(x, durations, mel_lens, mel.size(2))
        return TeacherForced(
            mel_out,
            mel_lens,
            text_lens,
            log_durations,
            durations,
            pitch_predicted,
            pitch_target,
            energy,
            energy_target,
            log_soft,
            logits,
        )

    @classmethod
    def from_checkpoint(cls, file: Path, content: Mapping[str, Any], trainable: bool = False) -> "FastPitch":
        stored = dictionary(file, content, "config")
        setup, epoch, state = dictionary(file, content, "train_setup"), content.get("epoch"), content[cls.STATE]
        has_aligner = any(name.startswith(ALIGNER_PREFIX) for name in state)
        config = FastPitchConfig.from_dict(stored, config_of_tensors(state))
        audio = AudioConfig.from_dict({**setup, "num_mels": config.n_mel_channels}, framing="tacotron")
        with torch.device("meta"):  # allocates nothing for a file that does not fit
            model = cls(config, aligner=has_aligner)
        expected = model.state_dict()
        check_tensors(state, expected, cls.__name__)
        # Assigned, since allocating tensors for a model on "meta" would import sympy, which takes half a second.
        model.load_state_dict({name: value.to(expected[name].dtype) for name, value in state.items()}, assign=True)
        model.speaker_pitch = torch.tensor(stored_pitch(setup, config.n_speakers))
        model.info = FastPitchInfo(file, config, audio, setup, epoch if isinstance(epoch, int) else None, has_aligner)
        return model

    def _checkpoint_values(self, setup: Mapping[str, Any] | None) -> dict[str, Any]:
        if setup is None and self.info is None:
            raise unknown_settings(self)
        known = {} if self.info is None else {**self.info.train_setup, **dataclasses.asdict(self.info.audio)}
        values = {**known, **(setup or {})}
        contract = MelContract.from_dict(values, num_mels=self.config.n_mel_channels, framing="tacotron")
        text = dataclasses.asdict(TextConfig.from_setup(values))
        epoch = None if self.info is None else self.info.epoch
        return {
            "config": self.config.to_dict(),
            "train_setup": {**values, **contract.to_dict(), **text},
            **({} if epoch is None else {"epoch": epoch}),
        }

    @torch.jit.unused
    def check_recordings(
        self,
        ids: Tensor,
        mel: Tensor,
        mel_lens: Tensor,
        pitch: Tensor,
        prior: Tensor | None = None,
        speaker: Tensor | None = None,
    ) -> None:
        """Raise `InputError` unless the arguments suit `teacher_forced`.

        Of tensors on a GPU only shapes are checked, as in `check_texts`.
        """
        self.check_texts(ids, speaker)
        (batch, num_symbols), num_frames = ids.shape, mel.size(-1)
        given = {"mel": mel.shape, "mel_lens": mel_lens.shape, "pitch": pitch.shape}
        expected = {
            "mel": (batch, self.config.n_mel_channels, num_frames),
            "mel_lens": (batch,),
            "pitch": (batch, 1, num_frames),
        }
        if prior is not None:
            given["prior"], expected["prior"] = prior.shape, (batch, num_frames, num_symbols)
        for name, shape in given.items():
            if tuple(shape) != expected[name]:
                raise InputError(f"FastPitch: {name} has shape {list(shape)}, expected {list(expected[name])}")
        if ids.is_cuda:
            return
        text_lens = (ids != self.padding_idx).sum(dim=1)
        if int(text_lens.min()) < 1 or int(mel_lens.min()) < 1 or int(mel_lens.max()) > num_frames:
            raise InputError(f"FastPitch: texts and mel_lens must be 1 or more, and mel_lens at most {num_frames}")


def _value_embedding(width: int, kernel_size: int) -> nn.Conv1d:
    """Return a convolution from one value per symbol [B, 1, S] to [B, C, S]."""
    return nn.Conv1d(1, width, kernel_size, padding=kernel_size // 2)
