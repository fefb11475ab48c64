"""The HTML of the listening report. Everything that comes from files and flags is escaped."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from evaluation.metrics import METRICS
from evaluation.results import Results
from evaluation.statistics import Interval
from evaluation.systems import GROUND_TRUTH, generator_of

ASSETS = Path(__file__).with_name("assets")
SHOWN_BESIDE_PLAYERS = ("mel_l1", "pesq", "mos")  # one line in the narrowest column


@dataclasses.dataclass(frozen=True)
class Player:
    """One system's copy of one recording: addresses below the page's folder, and its figures."""

    system: str
    audio: str
    picture: str
    figures: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Listening:
    """A recording, what is said in it ("" where unknown), and who copied it."""

    clip: str
    text: str
    players: Sequence[Player]


@dataclasses.dataclass(frozen=True)
class Training:
    """Address of the picture of training curves, and the settings of each run by its name."""

    curves: str
    settings: Sequence[tuple[str, Mapping[str, object]]]


def page(results: Results, listening: Sequence[Listening], training: Training | None, name: str) -> str:
    """The whole page.

    Args:
        listening: the recordings to hear.
        training: what is to be shown of training runs.
        name: tells this report from others in the browser's storage.
    """
    sections = [
        ("figures", "Figures", _figures(results)),
        ("listen", "Listen", _listen(listening)),
        ("blind", "Blind test", _blind(listening)),
        *([("training", "Training", _training(training))] if training else []),
        ("setup", "Set-up", _setup(results)),
    ]
    counts = f"{len(results.plan.clips)} recordings, {len(results.systems)} systems"
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{content}</section>'
        for key, title, content in sections
    )
    replacements = {
        "SUMMARY": escape(f"{counts}, {results.header.get('date', '')}"),
        "LINKS": links,
        "BODY": body,
        "STYLE": _asset("report.css"),
        "SCRIPT": _asset("report.js"),
        "DATA": _data(listening, name),
    }
    html = _asset("report.html")
    for key in ("STYLE", "SCRIPT", "LINKS", "SUMMARY", "DATA", "BODY"):  # what users wrote comes last
        html = html.replace(f"<!--{key}-->", replacements[key], 1)
    return html


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _data(listening: Sequence[Listening], name: str) -> str:
    clips = [
        {"clip": item.clip, "audio": {player.system: player.audio for player in item.players}} for item in listening
    ]
    # "</script>" in a name would end the element.
    return json.dumps({"report": name, "clips": clips}).replace("<", "\\u003c")


def _figures(results: Results) -> str:
    others = [system.name for system in results.systems if system.name != results.baseline]
    means = _table(
        results,
        "Means over the recordings, with 95 % bootstrap intervals. The best system of each column is bold.",
        [(system.name, results.evaluated(system.name)) for system in results.systems],
        results.mean,
        best=_best(results),
    )
    differences = _table(
        results,
        f"Differences from {results.baseline}, paired over the recordings that both have; bold where the interval "
        "leaves out 0.",
        [(name, results.evaluated(name, results.baseline)) for name in others],
        lambda system, metric: results.compared(system, results.baseline, metric),
        signed=True,
    )
    notes = "".join(f"<dt>{escape(METRICS[n].title)}</dt><dd>{escape(METRICS[n].says)}</dd>" for n in results.names)
    notes += "".join(
        f"<dt>{escape(METRICS[name].title)}</dt><dd>left out: {escape(reason)}</dd>"
        for name, reason in results.left_out.items()
    )
    number = len(results.problems)
    problems = f"{number} problem{'s' if number > 1 else ''}: what could not be evaluated"
    link = f'<p><a href="#problems">{problems}</a></p>' if number else ""
    return (
        f"{link}{means}"
        f"<details><summary>Differences from {escape(results.baseline)}</summary>{differences}</details>"
        f"<details><summary>Every recording</summary>{_every_clip(results)}</details>"
        f"<details><summary>What the columns say</summary><dl>{notes}</dl></details>"
    )


def _best(results: Results) -> set[tuple[str, str]]:
    """(system, column) of the best mean; the recordings do not compete."""
    best = set()
    for metric in results.names:
        means = {s.name: results.mean(s.name, metric).mean for s in results.systems if s.name != GROUND_TRUTH}
        ranks = {"lower": lambda x: x, "higher": lambda x: -x, "zero": abs}
        known = {system: mean for system, mean in means.items() if math.isfinite(mean)}
        if known and METRICS[metric].better:
            best.add((min(known, key=lambda system: ranks[METRICS[metric].better](known[system])), metric))
    return best


def _table(
    results: Results,
    caption: str,
    rows: Sequence[tuple[str, int]],
    figure: Callable[[str, str], Interval],
    signed: bool = False,
    best: set[tuple[str, str]] | None = None,
) -> str:
    head = "".join(_column_head(name) for name in results.names)
    body = ""
    for system, clips in rows:
        cells = ""
        for name in results.names:
            found = figure(system, name)
            clear = signed and found.count and (found.low > 0 or found.high < 0)
            some = f"{found.count} clips" if found.count < clips else ""
            cells += _cell(found, METRICS[name].digits, signed, clear or (system, name) in (best or ()), some)
        body += f'<tr><th scope="row">{escape(system)}<small>{clips} clips</small></th>{cells}</tr>'
    return (
        f'<p class="note">{escape(caption)}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f'<thead><tr><th scope="col">system</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _column_head(name: str) -> str:
    arrow, words = {"lower": ("↓", "lower"), "higher": ("↑", "higher"), "zero": ("→0", "nearer to 0")}[
        METRICS[name].better
    ]
    return (
        f'<th scope="col" title="{escape(METRICS[name].says)}; {words} is better">{escape(METRICS[name].title)}&nbsp;'
        f'<span aria-label="{words} is better">{arrow}</span></th>'
    )


def _cell(found: Interval, digits: int, signed: bool, bold: bool, note: str) -> str:
    if not found.count:
        return "<td>–</td>"
    sign = "+" if signed else ""
    mean = f"{found.mean:{sign}.{digits}f}"
    return (
        f"<td>{f'<b>{mean}</b>' if bold else mean}"
        f"<small>{found.low:{sign}.{digits}f} to {found.high:{sign}.{digits}f}</small>"
        f"{f'<small>{note}</small>' if note else ''}</td>"
    )


def _every_clip(results: Results) -> str:
    head = "".join(_column_head(name) for name in results.names)
    body = ""
    for clip in results.plan.clips:
        for system in results.systems:
            row = results.figures.get((system.name, clip.name))
            if row is not None:
                cells = "".join(f"<td>{_number(row.get(name, math.nan), name)}</td>" for name in results.names)
                names = f'<th scope="row">{escape(clip.name)}</th><td>{escape(system.name)}</td>'
                body += f"<tr>{names}{cells}</tr>"
    return (
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Figures of every recording"><table><thead>'
        f'<tr><th scope="col">recording</th><th scope="col">system</th>{head}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )


def _number(value: float, name: str) -> str:
    return f"{value:.{METRICS[name].digits}f}" if math.isfinite(value) else "–"


def _listen(listening: Sequence[Listening]) -> str:
    note = '<p class="note">Pitch: the copy in orange, over the recording in blue. Pictures open in full size.</p>'
    return note + "".join(
        f"<article><h3>{escape(item.clip)}</h3>{f'<p>{escape(item.text)}</p>' if item.text else ''}"
        f'<div class="players">{"".join(_player(item.clip, player) for player in item.players)}</div></article>'
        for item in listening
    )


def _player(clip: str, player: Player) -> str:
    system = escape(player.system)
    figures = "".join(
        f"<span>{escape(METRICS[name].title)} <b>{_number(player.figures[name], name)}</b></span>"
        for name in SHOWN_BESIDE_PLAYERS
        if name in player.figures and player.system != GROUND_TRUTH
    )
    what = f"{system}, {escape(clip)}"
    return (
        f'<figure><figcaption><h4>{system}</h4><p class="numbers">{figures}</p></figcaption>'
        f'<audio controls preload="none" src="{escape(player.audio)}" aria-label="{what}"></audio>'
        f'<a href="{escape(player.picture)}" aria-label="Spectrogram of {what}, in full size">'
        f'<img loading="lazy" width="704" height="429" src="{escape(player.picture)}" '
        f'alt="Spectrogram and pitch of {what}"></a></figure>'
    )


def _blind(listening: Sequence[Listening]) -> str:
    systems = list(dict.fromkeys(player.system for item in listening for player in item.players))
    options = "".join(f"<option>{escape(name)}</option>" for name in systems)
    return _asset("blind.html").replace("<!--OPTIONS-->", options)


def _training(training: Training) -> str:
    address = escape(training.curves)
    settings = "".join(
        f"<details><summary>Settings of {escape(name)}</summary>{_pairs(values)}</details>"
        for name, values in training.settings
    )
    return f'<a href="{address}"><img class="wide" src="{address}" alt="Curves of the training runs"></a>{settings}'


def _pairs(values: Mapping[str, object]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in values.items())
    return f"<dl>{rows}</dl>"


def _setup(results: Results) -> str:
    systems = ""
    for system in results.systems:
        config = generator_of(system, results.plan.device)
        details = "; ".join(f"{key} {value}" for key, value in config.items())
        small = f"<small>{escape(details)}</small>" if details else ""
        systems += f"<dt>{escape(system.name)}</dt><dd>{escape(system.in_words())}{small}</dd>"
    level = "brought to a peak of 0.95 and cut to whole hops" if results.plan.normalise else "cut to whole hops"
    problems = "".join(
        f"<li>{escape(problem.system)}, {escape(problem.clip)}: {escape(problem.reason)}</li>"
        for problem in results.problems
    )
    return (
        f"<h3>Systems</h3><dl>{systems}</dl><h3>Measurement</h3>{_pairs({**results.header, 'recordings': level})}"
        f"<h3>Mel spectrograms</h3>{_pairs(dataclasses.asdict(results.plan.audio))}"
        + (f'<h3 id="problems">What could not be evaluated</h3><ul>{problems}</ul>' if problems else "")
    )
