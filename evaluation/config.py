"""The flags of `evaluate.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from common.cli import ArgumentParser, add_flags, flag, folders, from_flags, not_negative
from common.errors import InputError
from common.project import command
from common.resources import available_cores


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """The recordings and metrics to evaluate, and where to write the results."""

    reference: str = flag(
        "",
        "recordings: a folder of audio files, or a file list (with --texts: a folder, optional)",
        short=("-i",),
        metavar="PATH",
    )
    texts: str = flag(
        "",
        "judge spoken texts instead of resynthesised recordings: a phrase file, metadata.csv or file list with texts",
        metavar="PATH",
    )
    output: str = flag("output/evaluation", "directory for tables and wav files", short=("-o",), metavar="PATH")
    dataset_path: str = flag(
        "data/LJSpeech-1.1", "directory that the paths of a file list are relative to", short=("-d",), metavar="PATH"
    )
    clips: int = flag(0, "evaluate only the first N recordings or texts (0: all)")
    recogniser: str = flag(
        "base",
        "recogniser for the word errors: name of a Whisper model, which is downloaded once, or a folder with one in "
        "CTranslate2 format",
        metavar="NAME|PATH",
        only_with="texts",
    )
    metrics: tuple[str, ...] = flag((), "metrics to measure; empty for all whose packages are installed")
    baseline: str = flag("", "system that the others are compared with; empty for the first")
    normalise: bool = flag(True, "scale each recording and spoken text to a peak of 0.95, as in training")
    jobs: int = flag(0, "number of processes (0: one per core)")
    cuda: bool = flag(False, "run checkpoints on the GPU instead of the CPU", not_with="texts")
    seed: int = flag(1234, "random seed of the bootstrap intervals and of Griffin-Lim")
    report: str = flag(
        "", "directory for the listening report, a web page to open from disk: PATH/index.html", metavar="PATH"
    )
    report_clips: int = flag(
        8, "recordings or texts on that page, evenly spaced over the list (0: all)", only_with="report"
    )
    logs: tuple[str, ...] = flag(
        (),
        "nvlog.json files or run directories of training runs to plot on the page",
        metavar="PATH",
        only_with="report",
    )

    def __post_init__(self) -> None:
        if not (self.reference or self.texts):
            raise InputError(f"-i: is required, or --texts (see {command('python evaluate.py')} --help)")
        if self.texts and self.reference and self.dataset_path != type(self).dataset_path:
            raise InputError("-d: has no effect with --texts and -i, which names the folder of the recordings")
        if not self.output:
            raise InputError("-o: the directory has no name")
        folders(output=self.output, report=self.report)
        not_negative(clips=self.clips, jobs=self.jobs, seed=self.seed, report_clips=self.report_clips)

    @property
    def num_jobs(self) -> int:
        return self.jobs or available_cores()


def parse(argv: Sequence[str] | None = None) -> tuple[EvaluationConfig, list[str]]:
    """Parse the command line. Return the flags, and the systems of --system."""
    parser = ArgumentParser(
        prog="evaluate.py",
        needs="(-i PATH | --texts PATH) --system NAME=SOURCE",
        examples=(
            "-i recordings --system mine=G.pt base=g_base.pt -o output/evaluation --report report",
            "-i recordings --system mine=resynthesised_folder griffin-lim",
            "--texts texts.tsv --system shipped=voice mine=voice:my_voice",
        ),
        description="Compares resynthesised audio with the recordings: copy synthesis with checkpoints, or folders "
        "of audio files. With --texts it judges how systems speak texts: word errors of a recogniser, melody, pace. "
        "Writes results.json, results.csv, summary.md and all wav files.",
        epilog="Clips that cannot be evaluated are skipped and listed, and the exit status is then 1.",
    )
    parser.add_argument(
        "--system",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=SOURCE",
        help="NAME=CHECKPOINT[:OPTION...] (a file, a model's folder or a hub name, org/name), NAME=DIR with "
        "resynthesised recordings, or griffin-lim. Options: ema, "
        "precision=fp32|bf16|..., denoise=STRENGTH, config=v1|v2|v3|FILE, export (for a model of export.py, which can "
        "run any code: only if you trust it). The recordings themselves, ground-truth, are always included. With "
        "--texts: NAME=voice (the shipped one), NAME=voice:DIR, or NAME=DIR with audio files named like the texts",
    )
    add_flags(parser, EvaluationConfig, "evaluation")
    given = vars(parser.parse_args(argv))
    return from_flags(EvaluationConfig, given), given["system"]
