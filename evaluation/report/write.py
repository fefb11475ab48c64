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
from evaluation.config import EvaluationConfig
from evaluation.report.content import Content
from evaluation.report.page import ListeningClip, Player, TrainingRuns, render_page
from evaluation.report.pictures import draw_curves, draw_spectrogram
from evaluation.report.pitch_axis import draw_pitch
from evaluation.results import BaseResults
from evaluation.systems import GROUND_TRUTH

log = logging.getLogger(__name__)
CURVES = "curves.png"


def write_report(results: BaseResults, content: Content, cfg: EvaluationConfig) -> None:
    """Write index.html, audio/, pictures/ and the curves of `--logs` into the folder of `--report`."""
    folder = Path(cfg.report)
    clips = choose_clips(results, cfg.report_clips)
    listening, pictures = [], []
    for number, clip in enumerate(clips, 1):
        players = []
        for column, system in enumerate(results.system_names):
            key = system, clip
            if key not in results.figures:
                continue
            # Numbered, because names may contain characters that are invalid in addresses.
            name = f"{number:02d}-{column}"
            audio, picture = f"audio/{name}.wav", f"pictures/{name}.png"
            wav = results.plan.wav(system, clip)
            (folder / "audio").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(wav, folder / audio)
            pictures.append((wav, folder / picture))
            figures = {} if system == GROUND_TRUTH and results.recordings_are_ideal else results.figures[key]
            players.append(Player(system, audio, picture, figures, content.words.get(key)))
        pitches = {
            name: results.pitches[name, clip] for name in results.system_names if (name, clip) in results.pitches
        }
        listening.append(ListeningClip(clip, content.texts[clip], players, draw_pitch(pitches)))
    for _ in map_in_processes(_draw, pictures, cfg.num_jobs, "drawing"):
        pass
    training = None
    if cfg.logs:
        draw_curves(read_logs(cfg.logs), folder / CURVES)
        training = TrainingRuns(CURVES, read_settings(cfg.logs))
    identity = json.dumps([dict(results.header), clips])
    report_id = hashlib.sha256(identity.encode()).hexdigest()[:12]
    write_whole(folder / "index.html", render_page(results, content, listening, training, report_id).encode())
    log.info("listening report: %s (open it in a browser)", folder / "index.html")


def choose_clips(results: BaseResults, limit: int) -> list[str]:
    """Return up to `limit` clips that can be heard (0: all), evenly spaced over the list."""
    audible = {clip for _, clip in results.figures}
    usable = [clip for clip in results.clip_names if clip in audible]
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
