"""The model card of a trained voice: what it is, how it was made, and how good it is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from common.files.atomic import write_whole
from common.files.checkpoints import read_file
from common.files.json_files import read_json
from common.files.model_folders import card_metadata
from common.files.text_files import read_lines
from common.machine.hardware import describe
from common.machine.timing import in_words
from common.markdown import table
from common.project import PROJECT
from common.text.languages import find_language_code
from voice.consent import consent_line
from voice.folder import VOICE_TAGS
from voice.recordings.preparation import Preparation, read_times
from voice.recordings.segment import EDITED, GIVEN, RECOGNISED
from voice.training import commands, evaluations
from voice.training.commands import Command, VoicePaths
from voice.training.estimate import Estimate, training_sec
from voice.training.evaluations import BASE, VOICE
from voice.training.flags import VoiceTrainingConfig
from voice.training.stages import StageRecords

GROUND_TRUTH = "ground-truth"
# In the order of the tables. Further systems follow.
SYSTEMS = {VOICE: "this voice", BASE: "generator it started from", GROUND_TRUTH: "recordings"}


def write_card(
    cfg: VoiceTrainingConfig, paths: VoicePaths, records: StageRecords, estimate: Estimate, words: Sequence[str]
) -> None:
    """Write the README.md of a finished voice.

    Args:
        cfg: how it was trained.
        paths: its files and logs.
        records: the finished stages.
        estimate: size of the data set.
        words: command line of the training, without the program.
    """
    parts = [
        introduction(cfg, paths),
        data_section(cfg, paths, estimate),
        training_section(cfg, paths, records, words),
        quality_section(paths),
        faults_section(cfg),
    ]
    write_whole(paths.voice.card, ("\n\n".join("\n".join(lines) for lines in parts) + "\n").encode())


def introduction(cfg: VoiceTrainingConfig, paths: VoicePaths) -> list[str]:
    voice = paths.voice
    rows, cleaners = [], ()
    for path, what in ((voice.hifigan, "HiFi-GAN, mel to audio"), (voice.fastpitch, "FastPitch, text to mel")):
        content = read_file(path)
        made = content.get("provenance", {})
        averaged = ", moving average of the weights" if made.get("moving_average") else ""
        rows.append([f"`{path.name}`", what, f"{path.stat().st_size / 1e6:.1f} MB", f"{made.get('epoch')}{averaged}"])
        rate = content["train_setup"]["sampling_rate"]
        cleaners = content["train_setup"].get("text_cleaners", cleaners)
    return [
        *card_metadata(VOICE_TAGS, cfg.licence, find_language_code(cleaners)),
        "",
        f"# {voice.name}",
        "",
        f"A voice of {rate} Hz for this project's programs.",
        "",
        "```bash",
        'python inference.py --voice VOICE --text "Hello world." -o hello.wav   # VOICE: this folder',
        "```",
        "",
        *table(["file", "model", "size", "epochs"], rows),
    ]


def data_section(cfg: VoiceTrainingConfig, paths: VoicePaths, estimate: Estimate) -> list[str]:
    rows = [[name, estimate.clips[part], f"{estimate.hours[part]:.2f}"] for part, name in PART_NAMES.items()]
    return [
        "## Data",
        "",
        f"- Recordings: {cfg.description or 'not described (`--description`)'}",
        f"- Licence of the recordings: {cfg.licence or 'not stated (`--licence`). Ask before you share this voice.'}",
        consent_line(cfg.consent),
        *_describe_preparation(Preparation.load(paths.work)),
        "",
        *table(["part", "clips", "hours"], rows),
        "",
        "No prompt and no text of the validation and test clips is in training (`prepare_dataset.py --split prompt`).",
    ]


def _describe_preparation(found: Preparation) -> list[str]:
    sources = {GIVEN: "given with the recordings", RECOGNISED: "recognised", EDITED: "corrected by hand"}
    texts = ", ".join(f"{count} {sources[source]}" for source, count in found.sources.items())
    sure = "" if found.confidence is None else f" (mean confidence of the recogniser {found.confidence:.2f})"
    return [
        f"- Clips: {found.clips} of {found.recordings} recordings, {found.minutes:.1f} minutes. {found.skipped} "
        "further ones were not used",
        f"- Texts: {texts}{sure}",
        *([f"- Speakers: {', '.join(found.speakers)}"] if found.speakers else []),
    ]


PART_NAMES = {"train": "training", "val": "validation", "test": "test"}


def training_section(
    cfg: VoiceTrainingConfig, paths: VoicePaths, records: StageRecords, words: Sequence[str]
) -> list[str]:
    steps = [
        ("split", commands.split_command(paths)),
        *commands.training_commands(paths, cfg).items(),
        ("pack", commands.pack_command(paths, cfg)),
        ("copy-synthesis", evaluations.resynthesis_command(paths, cfg)),
    ]
    machine = describe(torch.device("cuda" if cfg.num_gpus else "cpu"), "voice.training", words)
    found = sorted({record.get("commit", "") for name, _ in steps if (record := records.read(name))} - {""})
    return [
        "## Training",
        "",
        f"- {_history(cfg, paths)}",
        f"- Time on this machine: {_list_times(paths, records)}",
        f"- Seed: {cfg.seed}",
        f"- Machine: {machine['machine']}",
        f"- Versions: {machine['versions']}",
        f"- Commit: {', '.join(found) or machine['commit']}",
        f"- Date: {machine['date']}",
        "",
        "The whole training, and its steps. DATASET is the data set, WORK the working folder, and VOICE this folder:",
        "",
        "```bash",
        _in_words(["-m", "voice.training", *words], paths),
        "",
        *(_in_words(command, paths) for _, command in steps),
        "```",
    ]


# Stages whose time is worth a word, in their order.
TIMED = ("estimate", "pitch", "fastpitch", "vocoder", "predicted", "fine-tuning", "copy-synthesis", "speech")


def _list_times(paths: VoicePaths, records: StageRecords) -> str:
    """Return the time of each part of the work. Of an interrupted training, the time after its last start counts."""
    found = read_times(paths.work) | {name: record["seconds"] for name in TIMED if (record := records.read(name))}
    return ", ".join(f"{name} {in_words(seconds)}" for name, seconds in found.items())


def quality_section(paths: VoicePaths) -> list[str]:
    lines = ["## Quality on held-out clips", "", "Means, with 95 % intervals in brackets."]
    if results := _read_results(paths.resynthesis):
        lines += [
            "",
            "### Copy synthesis",
            "",
            "The vocoder alone: recordings of the test part are turned into mels and back.",
            "",
            *_figures(results, BASE),
            "",
            *_legend(results),
        ]
    lines += ["", "### Speech", ""]
    if results := _read_results(paths.speech):
        lines += ["The whole voice: it speaks the texts of the test part.", ""]
        lines += [*_figures(results), "", *_legend(results), ""]
        return [*lines, "To listen: [test texts](report/index.html), [other sentences](sentences/index.html)."]
    return [*lines, "Not measured: `evaluate.py --texts` needs a recogniser (requirements-evaluation.txt)."]


def faults_section(cfg: VoiceTrainingConfig) -> list[str]:
    lines = read_lines(cfg.known_faults) if cfg.known_faults else ["None were listed (`--known-faults`)."]
    return ["## Known faults", "", *"\n".join(lines).strip().split("\n")]


def _read_results(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _figures(results: Mapping[str, Any], other: str = "") -> list[str]:
    """Return a table with a row for each metric, and the voice's differences from another system if one is named."""
    systems = sorted(results["means"], key=lambda system: [*SYSTEMS, system].index(system))
    pairs = {(pair["system"], pair["minus"]): (pair, 1.0) for pair in results["differences"]}
    pairs |= {(minus, system): (pair, -1.0) for (system, minus), (pair, _) in pairs.items()}
    difference, turned = pairs.get((VOICE, other), ({}, 1.0))
    columns = ["metric", *(SYSTEMS.get(system, system) for system in systems)]
    if difference:
        columns.append(f"{SYSTEMS[VOICE]} minus {SYSTEMS[other]}")
    rows = []
    for name, metric in results["metrics"].items():
        cells = [_interval(results["means"][system].get(name), metric) for system in systems]
        if difference:
            cells.append(_interval(difference.get(name), metric, turned))
        rows.append([metric["title"], *cells])
    clips = {row["clip"] for row in results["clips"]}
    return [*table(columns, rows), "", f"Clips: {len(clips)}"]


def _interval(found: Mapping[str, Any] | None, metric: Mapping[str, Any], turned: float = 0.0) -> str:
    """Return "1.23 (1.20 to 1.26)", signed for a difference, which `turned` -1 turns round."""
    if not found or found.get("mean") is None:
        return "-"
    factor, sign = turned or 1.0, "+" if turned else ""
    ends = sorted(factor * found[name] for name in ("low", "high"))
    mean, low, high = (f"{value:{sign}.{metric['digits']}f}" for value in (factor * found["mean"], *ends))
    return f"{mean} ({low} to {high})"


def _legend(results: Mapping[str, Any]) -> list[str]:
    metrics = results["metrics"].values()
    return [
        f"- {metric['title']} ({metric['better'].lower().replace('_', ' ')}): {metric['says']}" for metric in metrics
    ]


def _history(cfg: VoiceTrainingConfig, paths: VoicePaths) -> str:
    """Return in words what was trained from what, and in what time."""
    spent = {folder: in_words(training_sec(folder / "nvlog.json")) for folder in _trained(cfg, paths)}
    start = f"fine-tuned from {_name(paths.fastpitch_base)}" if paths.fastpitch_base else "trained from scratch"
    words = [f"FastPitch was {start} in {spent[paths.fastpitch]} of steps."]
    start = f"fine-tuned from {_name(paths.base)}" if paths.base else "trained from scratch"
    if cfg.vocoder_epochs:
        together = ", at the same time, with half of the cores each" if cfg.parallel else ""
        words.append(f"The vocoder was {start} on recordings in {spent[paths.vocoder]} of steps{together}.")
    if cfg.fine_tuning_epochs:
        opening = "Then the vocoder was fine-tuned" if cfg.vocoder_epochs else f"The vocoder was {start}"
        words.append(
            f"{opening} on recordings and on FastPitch's mels of them (teacher forcing) in {spent[paths.fine_tuning]} "
            "of steps."
        )
    return " ".join(words)


def _trained(cfg: VoiceTrainingConfig, paths: VoicePaths) -> list[Path]:
    """Return the folders of all trainings."""
    return [
        paths.fastpitch,
        *([paths.vocoder] if cfg.vocoder_epochs else []),
        *([paths.fine_tuning] if cfg.fine_tuning_epochs else []),
    ]


def _name(base: Path) -> str:
    return f"`{base.relative_to(PROJECT) if base.is_relative_to(PROJECT) else base.name}`"


def _in_words(command: Command, paths: VoicePaths) -> str:
    """Return a command line without the folders of this machine."""
    names = {paths.work: "WORK", paths.voice.folder: "VOICE", paths.dataset: "DATASET"}
    names |= {base: _name(base).strip("`") for base in (paths.base, paths.fastpitch_base) if base}
    words = []
    for word in command:
        whole = Path(word).absolute()
        words.append(names.get(whole) or _without_folders(word, names))
    return shlex.join(["python", *words])


def _without_folders(word: str, names: Mapping[Path, str]) -> str:
    for path, name in sorted(names.items(), key=lambda item: -len(str(item[0]))):
        word = re.sub(rf"(?<![\w./-]){re.escape(str(path))}(?=[/:]|$)", name, word)
    word = word.replace(f"{PROJECT}/", "")
    return re.sub(r"(?<![\w.-])/(?:[^/:=]+/)+", "", word)  # other files by their names
