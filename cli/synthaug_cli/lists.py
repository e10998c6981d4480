"""`synthaug list KIND`: the names in a table, with a line about each. Imports nothing heavy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import TableDocument
    from synthaug.registry import Registry

TABLES = {
    "families": "synthaug.models:MODELS",
    "upscalers": "synthaug.models:UPSCALERS",
    "discriminators": "synthaug.models:DISCRIMINATORS",
    "objectives": "synthaug.losses:OBJECTIVES",
    "regularizers": "synthaug.losses:REGULARIZERS",
    "heads": "synthaug.losses:AUXILIARIES",
    "steps": "synthaug.training.steps:STEPS",
    "metrics": "synthaug.metrics:METRICS",
    "classifiers": "synthaug.classifiers:CLASSIFIERS",
    "features": "synthaug.features:FEATURES",
    "formats": "synthaug.exporters:FORMATS",
    "shards": "synthaug.data.shards:SHARDS",
    "trackers": "synthaug.training.trackers:TRACKERS",
}


def command(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help=f"One of {', '.join(TABLES)}.", autocompletion=lambda: list(TABLES))
    ],
) -> None:
    """List families, objectives, metrics, …, with a line about each.

    Examples:
        synthaug list families
        synthaug list metrics --json
    """
    fast_checks.choice(kind, list(TABLES), "KIND")
    module, _, attribute = TABLES[kind].partition(":")
    entries: Registry[Any] = getattr(importlib.import_module(module), attribute)
    from synthaug.documents import TableDocument

    console.result(TableDocument(kind=kind, entries={name: entries.summary(name) for name in entries.names()}), render)


def render(listed: TableDocument) -> None:
    console.table("", [listed.kind, ""], list(listed.entries.items()), words=2)
