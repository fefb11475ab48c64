"""The command lines that evaluate a trained voice."""

from __future__ import annotations

from pathlib import Path

from common.project import PROJECT
from voice.training.commands import Command, VoicePaths, as_path, workers
from voice.training.flags import VoiceTrainingConfig

VOICE, BASE = "voice", "base"  # names of the systems
SENTENCES = PROJECT / "phrases" / "new_voice.txt"


def resynthesis_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that evaluates copy synthesis of the test clips."""
    config = f":config={as_path(cfg.vocoder_config)}" if cfg.vocoder_config else ""
    others = ["=".join((name, as_path(source))) for name, _, source in (word.partition("=") for word in cfg.compare)]
    return [
        "evaluate.py",
        *("-i", str(paths.audio_list("test")), "-d", str(paths.data)),
        *(
            "--system",
            f"{VOICE}={paths.voice.hifigan}",
            *([f"{BASE}={paths.base}{config}"] if paths.base else []),
            *others,
        ),
        *(("--baseline", BASE) if paths.base else ()),
        *_clips_and_jobs(cfg),
        *("-o", str(paths.resynthesis)),
    ]


def speech_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that evaluates the texts of the test clips as the voice speaks them."""
    return [
        "evaluate.py",
        *("--texts", str(paths.speech_list("test")), "-d", str(paths.data)),
        *("--system", f"{VOICE}=voice:{paths.voice.folder}"),
        *_recogniser(cfg),
        *_clips_and_jobs(cfg),
        *("-o", str(paths.speech), "--report", str(paths.report)),
    ]


def sentences_command(paths: VoicePaths, cfg: VoiceTrainingConfig) -> Command:
    """Return the command that lets the voice speak the sentences of the user's choice, for the listening report."""
    sentences = Path(cfg.sentences).absolute() if cfg.sentences else SENTENCES
    return [
        "evaluate.py",
        *("--texts", str(sentences)),
        *("--system", f"{VOICE}=voice:{paths.voice.folder}"),
        *_recogniser(cfg),
        *workers(cfg, "--jobs"),
        *("-o", str(paths.sentences), "--report", str(paths.sentences_report), "--report-clips", "0"),
    ]


def _recogniser(cfg: VoiceTrainingConfig) -> Command:
    return ["--recogniser", as_path(cfg.recogniser)] if cfg.recogniser else []


def _clips_and_jobs(cfg: VoiceTrainingConfig) -> Command:
    clips = ["--clips", str(cfg.evaluation_clips)] if cfg.evaluation_clips else []
    return [*clips, *workers(cfg, "--jobs")]
