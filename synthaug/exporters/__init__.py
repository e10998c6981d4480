"""The formats of an export: the table behind `--format`."""

from __future__ import annotations

from synthaug.exporters.format import Format
from synthaug.registry import Registry

FORMATS: Registry[Format] = Registry(
    "formats",
    {
        "folder": "synthaug.exporters.folder:FORMAT",
        "webdataset": "synthaug.exporters.webdataset:FORMAT",
        "parquet": "synthaug.exporters.parquet:FORMAT",
    },
)
