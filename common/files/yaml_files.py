"""Read YAML files, without running anything that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.errors import InputError, first_line
from common.files.bounded.plain_values import check_values
from common.files.bounded.regular_files import in_megabytes, read_bounded

MERGE = "tag:yaml.org,2002:merge"
LARGEST_BYTES = 2**16  # some take seconds to parse. The largest configuration of a known program has 30 KB
MOST_NESTED = 50  # brackets
MOST_MERGED = 1000  # mappings that one << may name, and keys that they may have


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

        def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
            """Begin a list or mapping in brackets, whose depth makes each further character slower."""
            if self.flow_level >= MOST_NESTED:
                raise yaml.YAMLError("too many brackets within brackets")
            super().fetch_flow_collection_start(token)

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            """Copy the keys of `<<`, which a few lines can multiply without limit."""
            for key, value in node.value:
                if key.tag == MERGE and isinstance(value, yaml.SequenceNode) and len(value.value) > MOST_MERGED:
                    raise yaml.YAMLError("too many mappings are merged")
            super().flatten_mapping(node)
            if len(node.value) > MOST_MERGED:
                raise yaml.YAMLError("too many keys")

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
    except Exception as error:  # values that their tags do not fit raise almost any exception
        raise InputError(f"{origin}: not a YAML file ({first_line(error)})") from error
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
