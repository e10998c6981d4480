"""Tables of names: the choices of `--family`, `--objective`, `--classifier` and similar options.

An entry is a "module:attribute", imported on first use, so listing a table is fast. Other packages, called plug-ins,
add entries through the entry point group `synthaug.<kind>`, unless the variable `SYNTHAUG_NO_PLUGINS` is set.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Generic, TypeVar, cast

from synthaug.errors import SynthaugError, suggest

T = TypeVar("T")


@cache
def _entry_points() -> list[EntryPoint]:
    """The entry points of plug-ins, in all groups; to find them takes a while."""
    if os.environ.get("SYNTHAUG_NO_PLUGINS"):
        return []
    found = entry_points()
    groups = sorted(group for group in found.groups if group.startswith("synthaug."))
    return [point for group in groups for point in found.select(group=group)]


def plug_ins() -> dict[str, str]:
    """The installed packages that add to a table, with their versions."""
    return dict(sorted((point.dist.name, point.dist.version) for point in _entry_points() if point.dist is not None))


class Registry(Generic[T]):
    """Name → "module:attribute", imported on first use.

    >>> Registry[type]("number types", {"fraction": "fractions:Fraction"}).get("fraction").__name__
    'Fraction'
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._built_in = dict(entries)

    @cached_property
    def _entries(self) -> dict[str, str]:
        entries = dict(self._built_in)
        for point in _entry_points():
            if point.group != f"synthaug.{self.kind.replace(' ', '_')}":
                continue
            if point.name in entries:
                raise SynthaugError(
                    f"two {self.kind} are called {point.name!r}: {entries[point.name]} and {point.value}",
                    "uninstall or rename one of the two plug-ins",
                )
            entries[point.name] = point.value
        return entries

    def names(self) -> list[str]:
        return list(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def check(self, name: str) -> str:
        """Return `name` if the table has it.

        Raises:
            SynthaugError: the table has no such name; the hint lists the names.
        """
        if name not in self._entries:
            singular = f"{self.kind[:-3]}y" if self.kind.endswith("ies") else self.kind.removesuffix("s")
            raise SynthaugError(f"there is no {singular} {name!r}", suggest(name, self._entries))
        return name

    def get(self, name: str) -> T:
        """Import and return the entry called `name`.

        Raises:
            SynthaugError: the table has no such name, or it belongs to a plug-in that cannot be loaded.
        """
        module, _, attribute = self._entries[self.check(name)].partition(":")
        try:
            return cast(T, getattr(importlib.import_module(module), attribute))
        except Exception as error:
            if name in self._built_in:
                raise
            raise SynthaugError(
                f"the plug-in {name!r} of {self.kind} ({self._entries[name]}) cannot be loaded: "
                f"{type(error).__name__}: {error}",
                "repair, update or uninstall its package",
            ) from error

    def is_plug_in(self, name: str) -> bool:
        return name not in self._built_in

    def load(self) -> tuple[dict[str, T], list[str]]:
        """Import all entries. Returns them without the plug-ins that cannot be loaded, and what is wrong with those."""
        entries, faults = {}, []
        for name in self.names():
            try:
                entries[name] = self.get(name)
            except SynthaugError as error:
                faults.append(error.message)
        return entries, faults

    def summary(self, name: str) -> str:
        """The first line of the entry's docstring, read without importing it.

        This is the docstring of its module, or, if several entries share the module, of the function or class. If the
        module is missing or damaged, as that of a plug-in may be, the line says so.
        """
        module, _, attribute = self._entries[self.check(name)].partition(":")
        try:
            spec = importlib.util.find_spec(module)
            if spec is None or spec.origin is None:
                return f"(cannot be loaded: there is no module {module})"
            text = Path(spec.origin).read_text(encoding="utf-8")
            tree: ast.Module | ast.FunctionDef | ast.ClassDef = ast.parse(text)
        except Exception as error:  # to find a module, Python imports the packages above it, which may raise anything
            return f"(cannot be loaded: {type(error).__name__}: {error})"
        if sum(target.partition(":")[0] == module for target in self._entries.values()) > 1:
            for node in tree.body:
                if (
                    isinstance(node, (ast.FunctionDef, ast.ClassDef))
                    and node.name == attribute
                    and ast.get_docstring(node)
                ):
                    tree = node
        return (ast.get_docstring(tree) or "").partition("\n")[0]
