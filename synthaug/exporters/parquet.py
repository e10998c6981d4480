"""Parquet files that contain the images, as on the Hugging Face hub: `pip install 'synthaug[parquet]'`.

`data/train-00000-of-00002.parquet`, … with a column `image` (bytes and file name) beside those of the metadata.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from synthaug.errors import SynthaugError
from synthaug.exporters.format import Format
from synthaug.exporters.manifest import METADATA, read_rows

try:
    import pyarrow
    import pyarrow.parquet
except ImportError as error:  # raised at import, so an export fails before its work
    raise SynthaugError("the format 'parquet' needs pyarrow", "pip install 'synthaug[parquet]'") from error

SHARD_BYTES = 1 << 28
_GROUP_ROWS = 100  # rows that a reader decodes to get one image
_SIDES = {"train": "train", "val": "validation", "test": "test"}  # the names that `datasets` knows

_GATE = pyarrow.struct(
    [(name, pyarrow.float64()) for name in ("discriminator_score", "agreement", "nearest_real_distance")]
    + [("nearest_real_path", pyarrow.string())]
)
_COLUMNS = {
    "label": pyarrow.int64(),
    "synthetic": pyarrow.bool_(),
    "width": pyarrow.int32(),
    "height": pyarrow.int32(),
    "sha256": pyarrow.string(),
    "pixel_sha256": pyarrow.string(),
    "seed": pyarrow.int64(),
    "sample_index": pyarrow.int64(),
    "class_index": pyarrow.int32(),
    "checkpoint_sha256": pyarrow.string(),
    "look": pyarrow.int32(),
    "origin_path": pyarrow.string(),
    "gate": _GATE,
}
_IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
SCHEMA = pyarrow.schema([("image", _IMAGE), *_COLUMNS.items()])


def pack(tree: Path) -> None:
    """Turn the class folders into `data/*.parquet` of about 256 MiB; `train/metadata.jsonl` stays for `regenerate`."""
    (tree / "data").mkdir(exist_ok=True)
    rows = {side: _rows(tree / side) for side in _SIDES if (tree / side / METADATA).is_file()}
    classes = {row["class_index"]: row["label"] for of_side in rows.values() for row in of_side}
    names = [classes.get(index, f"class {index}") for index in range(max(classes, default=-1) + 1)]
    schema = SCHEMA.with_metadata(_metadata(names))
    for side, of_side in rows.items():
        _pack_side(tree / side, of_side, tree / "data", _SIDES[side], schema)
        for label in [p for p in (tree / side).iterdir() if p.is_dir()]:
            shutil.rmtree(label)


FORMAT = Format(pack)


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_rows(folder / METADATA)]


def _pack_side(folder: Path, rows: list[dict[str, Any]], into: Path, name: str, schema: pyarrow.Schema) -> None:
    shards: list[list[dict[str, Any]]] = [[]]
    size = 0
    for row in rows:
        if size >= SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(row)
        size += (folder / row["file_name"]).stat().st_size
    for number, shard in enumerate(shards):
        path = into / f"{name}-{number:05d}-of-{len(shards):05d}.parquet"
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            for start in range(0, len(shard), _GROUP_ROWS):
                writer.write_table(_table(folder, shard[start : start + _GROUP_ROWS], schema))


def _table(folder: Path, rows: list[dict[str, Any]], schema: pyarrow.Schema) -> Any:
    records = [
        {
            "image": {"bytes": (folder / row["file_name"]).read_bytes(), "path": row["file_name"]},
            **{column: row[column] for column in _COLUMNS},
            "label": row["class_index"],
        }
        for row in rows
    ]
    return pyarrow.Table.from_pylist(records, schema=schema)


def _metadata(classes: list[str]) -> dict[str, str]:
    """Schema metadata with the types of the columns, as `datasets` reads them: labels are numbers with names."""
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    for column, kind in _COLUMNS.items():
        features[column] = {"dtype": str(kind), "_type": "Value"}
    features["label"] = {"names": classes, "_type": "ClassLabel"}
    features["gate"] = {
        field.name: {"dtype": "string" if field.name.endswith("path") else "float64", "_type": "Value"}
        for field in _GATE
    }
    return {"huggingface": json.dumps({"info": {"features": features}})}
