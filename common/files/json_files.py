"""Read JSON files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from common.errors import InputError

# A text in quotes, or a comment as in C. Configurations of Coqui TTS have comments.
_TEXT_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def read_json(path: str | Path) -> Any:
    """Read a JSON file, also one with comments (`//`, `/* */`).

    Raises:
        FileNotFoundError: no such file.
        InputError: not JSON in UTF-8.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        try:
            return json.loads(text)
        except ValueError:
            return json.loads(_TEXT_OR_COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else "", text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from error
