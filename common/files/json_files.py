"""Read JSON files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.bounded.regular_files import read_bounded

LARGEST_BYTES = 2**25  # a report on 100,000 utterances has 20 MB. The values take 30 times the memory at most

# A text in quotes, or a comment as in C. Configurations of Coqui TTS have comments. One without an end reaches to the
# end of the file: a search for each of a million of them would take hours.
_TEXT_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|\Z)|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)


def read_json(path: str | Path, most_bytes: int = LARGEST_BYTES) -> Any:
    """Read a JSON file, also one with comments (`//`, `/* */`).

    Args:
        path: the file.
        most_bytes: its largest size.

    Raises:
        FileNotFoundError: no such file.
        InputError: not JSON in UTF-8, larger than the limit, or a device or a pipe.
    """
    path = Path(path)
    content = read_bounded(path, most_bytes, "a JSON file")
    try:
        text = content.decode("utf-8-sig")
        try:
            return json.loads(text)
        except ValueError:
            return json.loads(_TEXT_OR_COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else "", text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from error
