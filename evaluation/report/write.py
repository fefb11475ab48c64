"""Write the listening report: a folder whose index.html opens from disk, without a server or network."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.audio_files import load_wav
from common.files.atomic import write_whole
from common.files.dllogger_lines import read_json_lines
from common.machine.processes import map_in_processes
from common.plot_log import Curves, read_curves
from evaluation.clips import Clip, find_transcripts
from evaluation.config import EvaluationConfig
from evaluation.report.page import ListeningClip, Player, TrainingRuns, render_page
from evaluation.report.pictures import draw_curves, draw_spectrogram
from evaluation.report.pitch_axis import PitchAxis, draw_pitch
from evaluation.results import EvaluationResults
from evaluation.systems import GROUND_TRUTH

log = logging.getLogger(__name__)
CURVES = "curves.png"


def write_report(results: EvaluationResults, cfg: EvaluationConfig) -> None:
    """Write index.html, audio/, pictures/ and the curves of `--logs` into the folder of `--report`."""
    folder = Path(cfg.report)
    clips = choose_clips(results, cfg.report_clips)
    texts = find_transcripts(Path(cfg.reference), Path(cfg.dataset_path))
    listening, pictures = [], []
    for number, clip in enumerate(clips, 1):
        players = []
        for column, system in enumerate(results.systems):
            if (system.name, clip.name) not in results.figures:
                continue
            # Numbered, because names may contain characters that are invalid in addresses.
            name = f"{number:02d}-{column}"
            audio, picture = f"audio/{name}.wav", f"pictures/{name}.png"
            wav = results.plan.wav(system.name, clip.name)
            (folder / "audio").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(wav, folder / audio)
            pictures.append((wav, folder / picture))
            players.append(Player(system.name, audio, picture, results.figures[system.name, clip.name]))
        text = texts.get(Path(clip.name).name, "")
        listening.append(ListeningClip(clip.name, text, players, _draw_pitches(clip.name, results)))
    for _ in map_in_processes(_draw, pictures, cfg.num_jobs, "drawing"):
        pass
    training = None
    if cfg.logs:
        draw_curves(read_logs(cfg.logs), folder / CURVES)
        training = TrainingRuns(CURVES, read_settings(cfg.logs))
    identity = json.dumps([dict(results.header), [clip.name for clip in clips]])
    report_id = hashlib.sha256(identity.encode()).hexdigest()[:12]
    write_whole(folder / "index.html", render_page(results, listening, training, report_id).encode())
    log.info("listening report: %s (open it in a browser)", folder / "index.html")


def choose_clips(results: EvaluationResults, limit: int) -> list[Clip]:
    """Return up to `limit` readable recordings (0: all), evenly spaced over the list."""
    usable = [clip for clip in results.plan.clips if (GROUND_TRUTH, clip.name) in results.figures]
    if not limit or len(usable) <= limit:
        return usable
    return [usable[round(place)] for place in np.linspace(0, len(usable) - 1, limit)]


def read_logs(logs: Sequence[str]) -> list[tuple[str, Curves]]:
    """Return the curves of nvlog.json files or run directories, with the directories' names.

    Raises:
        FileNotFoundError, InputError: a log is missing or has no curves.
    """
    return [(name, read_curves(file)) for name, file in _log_files(logs)]


def read_settings(logs: Sequence[str]) -> list[tuple[str, dict[str, object]]]:
    """Return the settings that each run logged when it last started, with the directories' names."""
    settings = []
    for name, file in _log_files(logs):
        written = [data for step, data in read_json_lines(file) if step == "PARAMETER"]
        settings += [(name, written[-1])] if written else []
    return settings


def _log_files(logs: Sequence[str]) -> list[tuple[str, Path]]:
    files = [Path(name) / "nvlog.json" if Path(name).is_dir() else Path(name) for name in logs]
    return [(file.resolve().parent.name, file) for file in files]


def _draw(item: tuple[Path, Path]) -> None:
    wav, target = item
    draw_spectrogram(target, *load_wav(wav))


def _draw_pitches(clip: str, results: EvaluationResults) -> PitchAxis | None:
    names = [system.name for system in results.systems if (system.name, clip) in results.pitches]
    audio = results.plan.audio
    samples, rate = load_wav(results.plan.wav(GROUND_TRUTH, clip))
    pitches = {name: results.pitches[name, clip] for name in names}
    return draw_pitch(pitches, len(samples) / rate, audio.hop_length / audio.sampling_rate)
