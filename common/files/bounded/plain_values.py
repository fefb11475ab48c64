"""Limits for values read from files: a few bytes can stand for billions of values that refer to each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from common.errors import InputError

MOST_VALUES = 100_000  # with the keys of dictionaries. A checkpoint of a training run has about 5,000
DEEPEST_NESTING = 50
MOST_CHARACTERS = 2**24  # of all texts together
LONGEST_INTEGER_BITS = 256


def check_values(values: object, name: object) -> None:
    """Raise `InputError` for values that would take minutes or gigabytes to go through or to print.

    A value that several places refer to counts at each of them, as every reader of the values would meet it.

    Args:
        values: nested dictionaries, lists, texts, numbers and tensors.
        name: of the file, for the message.
    """
    open_containers: list[Iterator[object]] = [iter((values,))]
    count = characters = 0
    while open_containers:
        value = next(open_containers[-1], _END)
        if value is _END:
            open_containers.pop()
            continue
        count += 1
        if count > MOST_VALUES:
            raise InputError(f"{name}: it holds too many values; the limit is {MOST_VALUES:,}")
        if isinstance(value, str | bytes | bytearray):
            characters += len(value)
            if characters > MOST_CHARACTERS:
                raise InputError(f"{name}: its texts are too long; the limit is {MOST_CHARACTERS:,} characters")
        elif isinstance(value, int):
            if value.bit_length() > LONGEST_INTEGER_BITS:
                raise InputError(f"{name}: it holds an integer of more than {LONGEST_INTEGER_BITS} bits")
        elif isinstance(value, Mapping | list | tuple | set | frozenset):
            if len(open_containers) > DEEPEST_NESTING:
                raise InputError(f"{name}: its values are nested too deeply; the limit is {DEEPEST_NESTING} levels")
            open_containers.append(_items(value))


def check_settings(values: Any, name: object) -> None:
    """Raise `InputError` for settings that are not plain values, such as tensors. They have passed `check_values`."""
    if isinstance(values, Mapping | list | tuple):
        for value in _items(values):
            check_settings(value, name)
    elif not isinstance(values, str | int | float | None):
        raise InputError(f"{name}: a setting in it is a {type(values).__name__}, not a number, a text or a list")


_END = object()


def _items(values: Mapping[Any, Any] | Iterable[Any]) -> Iterator[object]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield key
            yield value
    else:
        yield from values
