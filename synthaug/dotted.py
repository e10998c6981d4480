"""Nested mappings as flat ones with dotted keys, such as `training.batch_size`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthaug.errors import SynthaugError

_MAPPING_VALUES = ("training.regularizers", "training.auxiliary")  # merged as one value, not key by key
_MOST_DOTS = 8  # in a key; a longer one would be nested deeper than Python's stack


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a nested mapping to dotted keys.

    >>> leaves({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value and f"{prefix}{key}" not in _MAPPING_VALUES:
            flat.update(leaves(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def nest(flat: Mapping[str, Any], into: dict[str, Any]) -> None:
    """Put the values of dotted keys into a nested mapping.

    Raises:
        SynthaugError: a key has too many dots.
    """
    for dotted, value in flat.items():
        if dotted.count(".") > _MOST_DOTS:
            raise SynthaugError(f"unknown key {dotted!r}", "`synthaug recipes show` prints every key and its default")
        *parents, last = dotted.split(".")
        node = into
        for parent in parents:
            child = node.get(parent)
            if not isinstance(child, dict):
                child = node[parent] = {}
            node = child
        node[last] = value
