"""Show how texts are read: `python -m common.text "Dr. Smith paid $5."`. See --help."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from common.cli import ArgumentParser, add_flags, flag, from_flags, run
from common.errors import InputError
from common.text.describe import print_texts
from common.text.settings import TextConfig


@dataclasses.dataclass(frozen=True)
class ReadingFiles:
    """Files that change how words are read."""

    cmudict_path: str = flag("", "pronouncing dictionary; without it, the downloaded or installed one", metavar="PATH")
    heteronyms_path: str = flag("", "words that are never replaced; without it, the built-in list", metavar="PATH")
    pronunciations: str = flag("", "own words beside the dictionary: a file of lines WORD  P H O N E S", metavar="PATH")


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="common.text",
        description="Shows how texts are read: their words, cleaned, in symbols, and which words are read as letters.",
        epilog="Without TEXT, each line of the standard input is read.",
        examples=('"Dr. Smith paid $5 on 3/15/24."', '--pronunciations own.dict "Kubernetes"'),
    )
    parser.add_argument("text", metavar="TEXT", nargs="*", help="a text to show")
    add_flags(parser, ReadingFiles, "words")
    add_flags(parser, TextConfig, "text")
    given = vars(parser.parse_args(argv))
    files, config = from_flags(ReadingFiles, given), from_flags(TextConfig, given)
    texts = given["text"] or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    processor = config.processor(files.cmudict_path, files.heteronyms_path, pronunciations=files.pronunciations)
    problems = print_texts(processor, (("", text) for text in texts))
    if problems:
        raise InputError(f"{problems} of {len(texts)} texts cannot be spoken")
    return 0


if __name__ == "__main__":
    run(main, "common.text")
