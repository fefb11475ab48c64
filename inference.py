"""Synthesise speech from texts, mel spectrograms, or audio, with a voice or with your own models. See --help.

`hifigan/synthesis/flags.py` and `fastpitch/synthesis/pieces.py` declare the flags, and `voice/choose.py` chooses the
models.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import sys
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import NoReturn

from common.cli import check_command_line, is_started, run
from hifigan.synthesis.flags import STDOUT, InferenceConfig, StreamConfig
from voice.choose import describe, make_parser, parse

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(make_parser().parse_args, "inference.py")

import torch

from common import distributed
from common.audio_files import describe_clipping
from common.audio_input.names import is_audio
from common.errors import InputError
from common.files.locks import lock_folder
from common.machine.progress import progress_bar
from common.machine.pytorch.determinism import be_deterministic, nondeterminism_named
from common.machine.signals_and_streams import CLOSED_PIPE
from common.synthesis.outputs import PcmWriter, SpeechWriter, open_stdout
from common.synthesis.phrases import Phrase, read_phrases
from common.synthesis.resume import SynthesisJob, share_outputs, unusable_inputs
from common.synthesis.sources import Target, copy_synthesis_job, prepared_mels_job
from common.synthesis.speed import log_figures, report, summarise
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.job import check_models_fit, describe_spoken_mels, load_synthesiser, speech_job
from fastpitch.synthesis.show_text import show_texts
from hifigan.checkpoint import GeneratorInfo
from hifigan.synthesis.load import load_model, make_vocoder, resolve_precision
from hifigan.synthesis.run import limit_kernel_cache, synthesise

log = logging.getLogger(__name__)
PATIENCE = datetime.timedelta(days=30)  # one process may finish hours before another


@nondeterminism_named()
@distributed.lost_peers_named()
def main(argv: Sequence[str] | None = None) -> int:
    cfg, stream, speech = parse(argv)
    if speech and speech.show_text:
        source = Path(cfg.input)
        show_texts(
            [Phrase("", text=cfg.text)] if cfg.text else read_phrases(source), "--text" if cfg.text else source, speech
        )
        return 0
    if cfg.output != STDOUT:
        infer(cfg, stream, speech)
        return 0
    samples = open_stdout()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # only samples go to stdout
            infer(cfg, stream, speech, samples)
    except BrokenPipeError:  # the player exited
        return CLOSED_PIPE
    return 0


def infer(
    cfg: InferenceConfig, stream: StreamConfig | None, speech: SpeechConfig | None, samples: FileIO | None = None
) -> None:
    """Synthesise to files, or to `samples`, and report the speed.

    Raises:
        InputError: bad input. If only some input files are bad, the other outputs are made first.
    """
    limit_kernel_cache(cfg, streams=stream is not None)
    if cfg.deterministic:
        be_deterministic()
    place = distributed.init(cfg.cuda, PATIENCE)
    resources = contextlib.ExitStack()

    def enter(lock: contextlib.AbstractContextManager[int]) -> None:
        resources.enter_context(lock)

    try:
        wav_file = cfg.wav_file
        if place.world_size > 1 and (samples or wav_file):
            raise InputError(
                f"-o {cfg.output}: {place.world_size} processes cannot share one {'pipe' if samples else 'file'}; "
                "start one, without torchrun"
            )
        if cfg.voice and place.is_main:
            print(describe(cfg.voice, cfg.hifigan))
        model, info = load_model(cfg, place.device, speaks=speech is not None)
        cfg = resolve_precision(cfg, place)
        job = choose_job(cfg, speech, info, place.device)
        vocoder = make_vocoder(model, info, cfg, stream)
        writer: SpeechWriter | PcmWriter
        if samples:
            writer, names = PcmWriter(samples, info.output_audio, cfg.fade_out), list(job.sources)
        elif wav_file:
            check_single(job, cfg, speech)
            writer, names = (
                SpeechWriter(wav_file.parent, info.output_audio, cfg.fade_out, file=wav_file),
                list(job.sources),
            )
        else:
            lock = lock_folder(Path(cfg.output), "give another -o")
            distributed.first_on_main(lambda: enter(lock), place)
            save_mels = speech is not None and speech.save_mels
            writer = SpeechWriter(Path(cfg.output), info.output_audio, cfg.fade_out, save_mels)
            settings = cfg.sound_settings(info)
            settings |= speech.sound_settings() if speech else {}
            settings |= stream.sound_settings(cfg.amp) if stream else {}
            names = share_outputs(Path(cfg.output), settings, job, cfg.redo, writer.companions, place)
        with progress_bar("synthesising", "utt", len(names), place.rank, place.world_size) as bar:
            times = synthesise(job, names, vocoder, writer, cfg, bar.update)
        if writer.clipped:
            log.warning("%s", describe_clipping(writer.clipped))
        figures = summarise(distributed.gather(times), job.speaks, info.sampling_rate * cfg.repeats)
        # Every process reads all texts.
        problems = list(dict.fromkeys(problem for found in distributed.gather(job.problems) for problem in found))
        total = len(job.sources) + (len(problems) if job.speaks else job.refused)
        if place.is_main:
            if cfg.log_file or not (samples or wav_file):
                log_figures(figures, Path(cfg.log_file) if cfg.log_file else Path(cfg.output) / "nvlog_infer.json")
            report(figures, total, "stdout" if samples else cfg.output, len(problems))
    finally:
        resources.close()
        distributed.shutdown()
    if problems and place.is_main:  # once for all processes
        raise InputError(unusable_inputs(problems, total, "texts" if job.speaks else "input files"))


def choose_job(
    cfg: InferenceConfig, speech: SpeechConfig | None, vocoder: GeneratorInfo, device: torch.device
) -> SynthesisJob:
    """Return the job: audio files to resynthesise, texts to speak, or mel files to vocode."""
    source, dataset = Path(cfg.input), Path(cfg.dataset_path)
    target = Target(vocoder.contract, vocoder.sampling_rate, peak_normalised=not vocoder.program)
    output = None if cfg.output == STDOUT else Path(cfg.output)
    if not cfg.text and is_audio(source):
        if speech:
            raise InputError(f"-i: {source} is audio; with --fastpitch, give a phrase file")
        return copy_synthesis_job(source, output, target)
    if speech is None:
        return prepared_mels_job(source, dataset, target, cfg.mel_framing, cfg.mel_log)
    synthesiser, info = load_synthesiser(speech, device, cfg.torchscript, cfg.amp)
    check_models_fit(info, vocoder.path, vocoder.contract)
    phrases = [Phrase("audio_1.wav", text=cfg.text)] if cfg.text else read_phrases(source)
    job = speech_job(phrases, "--text" if cfg.text else source, dataset, speech, synthesiser, info)
    if speech.save_mels and not cfg.wav_file:
        describe_spoken_mels(phrases, dataset, Path(cfg.output), info.audio)
    return job


def check_single(job: SynthesisJob, cfg: InferenceConfig, speech: SpeechConfig | None) -> None:
    """Raise `InputError` unless -o FILE.wav can hold the job's output, and nothing else has to be written."""
    if len(job.sources) > 1:
        raise InputError(
            f"-o: {cfg.output} is one file, but {cfg.input} makes {len(job.sources)} outputs; give a folder"
        )
    if speech and speech.save_mels:
        raise InputError(f"--save-mels: needs a folder; -o {cfg.output} is one file")
    if cfg.overwrite:
        raise InputError(f"--overwrite: has no effect with -o {cfg.output}: one file is always written")


def console() -> NoReturn:
    run(main, "inference.py")


if __name__ == "__main__":
    console()
