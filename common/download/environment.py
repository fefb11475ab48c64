"""Addresses and checksums that environment variables replace."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, TypeVar

from common.errors import InputError

T = TypeVar("T")


def replace_from_environment(name: str, source: T, fields: Sequence[str]) -> T:
    """Return `source` with the values of the environment variables NAME_FIELD.

    An empty variable disables a checksum. For other fields it has no effect.

    Args:
        name: for example hifigan-lj-v1, for variables such as HIFIGAN_LJ_V1_URL.
        source: a dataclass instance.
        fields: names of the fields that may be replaced.

    Raises:
        InputError: a value should be a whole number but is not.
    """
    prefix = name.upper().replace("-", "_")
    changes: dict[str, Any] = {}
    for field in fields:
        variable = f"{prefix}_{field.upper()}"
        value = os.environ.get(variable)
        if value is None or (not value and not field.endswith("sha256")):
            continue
        if isinstance(getattr(source, field), int):
            if not (value.isascii() and value.isdecimal()):
                raise InputError(f"{variable}: {value!r} is not a whole number")
            changes[field] = int(value)
        else:
            changes[field] = value
    return dataclasses.replace(source, **changes)  # type: ignore[type-var]
