"""Read JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.errors import InputError


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: no such file.
        InputError: not JSON in UTF-8.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{path}: not a JSON file ({error})") from error
