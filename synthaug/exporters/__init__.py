"""The formats of an export: the table behind `--format`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from synthaug.registry import Registry

FORMATS: Registry[Callable[[Path], None]] = Registry(
    "formats",
    {
        "folder": "synthaug.exporters.folder:pack",
        "webdataset": "synthaug.exporters.webdataset:pack",
        "parquet": "synthaug.exporters.parquet:pack",
    },
)
"""Name → function that converts a finished tree of image folders (train/<class>/*, train/metadata.jsonl) in place.
Equal trees give equal bytes."""
