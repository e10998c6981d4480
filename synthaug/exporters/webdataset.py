"""WebDataset shards: tar files for streaming, in which a sample is an image, its class number and its metadata.

`train/000000.tar`, … with the members `00000042.png`, `00000042.cls` and `00000042.json`. A shard is read from its
beginning to its end, so the samples are shuffled, with a fixed seed.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.exporters.format import Format
from synthaug.exporters.manifest import METADATA, dump_row, read_rows

SHARD_BYTES = 1 << 28


def pack(tree: Path) -> None:
    """Turn each side's class folders into shards of about 256 MiB; `metadata.jsonl` stays beside them."""
    for side in ("train", "val", "test"):
        folder = tree / side
        if (folder / METADATA).is_file():
            _pack_side(folder)


FORMAT = Format(pack)


def _pack_side(folder: Path) -> None:
    rows = [row for _, row in read_rows(folder / METADATA)]
    order = np.random.default_rng(0).permutation(len(rows))
    shard, position = 0, 0
    while position < len(order):
        size, packed = 0, []
        with tarfile.open(folder / f"{shard:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            while position < len(order) and size < SHARD_BYTES:
                row = rows[order[position]]
                path = folder / row["file_name"]
                size += _add(tar, f"{position:08d}", path, row)
                packed.append(path)
                position += 1
        for path in packed:  # after each shard, so that the disk never holds everything twice
            path.unlink()
        shard += 1
    for label in [p for p in folder.iterdir() if p.is_dir()]:
        label.rmdir()


def _add(tar: tarfile.TarFile, key: str, path: Path, row: dict[str, Any]) -> int:
    members = {
        path.suffix.lower(): path.read_bytes(),
        ".cls": str(row["class_index"]).encode(),
        ".json": dump_row(row).encode(),
    }
    for suffix, data in members.items():
        info = tarfile.TarInfo(key + suffix)  # its defaults have no owner and no time
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return sum(map(len, members.values()))
