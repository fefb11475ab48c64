"""Read YAML files, without running anything that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.bounded.plain_values import check_values
from common.files.bounded.regular_files import in_megabytes, read_bounded

LARGEST_BYTES = 2**18  # takes seconds to parse. The largest configuration of a known program has 30 KB


def parse_yaml(text: str | bytes, origin: str) -> Any:
    """Parse YAML. Values with tags, such as `!new:package.Class`, are read as if they had none.

    Args:
        text: the content.
        origin: what the message calls it.

    Raises:
        InputError: not YAML, or too large for a configuration.
    """
    import yaml

    class PlainLoader(yaml.SafeLoader):
        """A loader that knows no Python objects."""

    def untagged(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    PlainLoader.add_multi_constructor("", untagged)
    if len(text) > LARGEST_BYTES:
        raise InputError(f"{origin}: too large for a configuration; the limit is {in_megabytes(LARGEST_BYTES)}")
    try:
        values = yaml.load(text, PlainLoader)  # a subclass of the safe loader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{origin}: not a YAML file ({reason})") from error
    check_values(values, origin)  # aliases: a few lines can stand for billions of values
    return values


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file, see `parse_yaml`.

    Raises:
        FileNotFoundError: no such file.
        InputError: not YAML.
    """
    return parse_yaml(read_bounded(path, LARGEST_BYTES, "a configuration"), str(path))


def dump_yaml(values: Any) -> str:
    """Write plain values as YAML."""
    import yaml

    return str(yaml.safe_dump(values, sort_keys=True))
