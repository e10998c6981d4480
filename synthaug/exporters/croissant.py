"""`croissant.json`: the export described for machines, in Croissant 1.0 (http://mlcommons.org/croissant/1.0).

The record set `metadata` has the rows of `metadata.jsonl`; of `images`, the fields depend on the format, because
`mlcroissant` reads image files and Parquet files with their classes, but not two members of a tar file as one record.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from synthaug.exporters.manifest import METADATA, Manifest, read_rows
from synthaug.files import sha256

CROISSANT = "croissant.json"
_SIDES = ("train", "val", "test")
_TERMS = """citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes isLiveDataset
jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source subField
transform"""
_CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}  # fmt: skip
_COLUMNS = {
    "file_name": "sc:Text", "label": "sc:Text", "synthetic": "sc:Boolean", "width": "sc:Integer",
    "height": "sc:Integer", "sha256": "sc:Text", "pixel_sha256": "sc:Text", "class_index": "sc:Integer",
    "sample_index": "sc:Integer", "origin_path": "sc:Text",
}  # fmt: skip
_FILES = {".tar": "application/x-tar", ".parquet": "application/x-parquet", ".jsonl": "application/jsonlines"}
_IMAGES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}

Part = dict[str, Any]
Parts = tuple[list[Part], list[Part]]
"""Resources (files and sets of files), and record sets."""


def describe(manifest: Manifest, tree: Path) -> Part:
    """The description of a packed export. Formats of plug-ins have the record set `metadata` only."""
    tables = [path for side in _SIDES if (path := tree / side / METADATA).is_file()]
    files, records = _BY_FORMAT[manifest.format](tree) if manifest.format in _BY_FORMAT else ([], [])
    classes = [{"classes/index": index, "classes/label": label} for index, label in enumerate(manifest.classes)]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", manifest.data.name) or "export",
        "description": f"{manifest.data.name}, with synthetic images of synthaug {manifest.tool_version}: README.md",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "distribution": [*(_file(path, tree) for path in tables), *files],
        "recordSet": [
            *records,
            *(_rows(path, tree) for path in tables),
            {**_records("classes", index=("sc:Integer", None), label=("sc:Text", None)), "data": classes},
        ],
    }


def _file(path: Path, tree: Path) -> Part:
    name = path.relative_to(tree).as_posix()
    about = {"name": name, "contentUrl": name, "encodingFormat": _FILES[path.suffix], "sha256": sha256(path)}
    return {"@type": "cr:FileObject", "@id": name, **about}


def _files(name: str, includes: list[str], encoding: str | list[str], **more: Any) -> Part:
    about = {"name": name, "includes": includes, "encodingFormat": encoding, **more}
    return {"@type": "cr:FileSet", "@id": name, **about}


def _records(name: str, **fields: tuple[str, Part | None]) -> Part:
    """A record set, from each field's type and source."""
    parts = [
        {"@type": "cr:Field", "@id": f"{name}/{field}", "name": field, "dataType": kind}
        | ({} if source is None else {"source": source})
        for field, (kind, source) in fields.items()
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": parts}


def _from(files: str, regex: str | None = None, path: str | None = None, **extract: str) -> Part:
    """The source of a field: a part of a set of files, of which `regex` or the JSON path `path` takes a part."""
    found: Part = {"fileSet": {"@id": files}, "extract": extract}
    if regex is not None or path is not None:
        found["transform"] = {"regex": regex} if path is None else {"jsonPath": path}
    return found


def _rows(path: Path, tree: Path) -> Part:
    file = {"fileObject": {"@id": path.relative_to(tree).as_posix()}}
    side = "" if path.parent.name == "train" else f"_{path.parent.name}"
    return _records(
        f"metadata{side}", **{name: (kind, {**file, "extract": {"column": name}}) for name, kind in _COLUMNS.items()}
    )


def _kinds(tree: Path) -> dict[str, str]:
    """Suffix of the image files → their type; first the types that `mlcroissant` knows, which then reads any."""
    tables = [path for side in _SIDES if (path := tree / side / METADATA).is_file()]
    suffixes = {PurePosixPath(row["file_name"]).suffix for path in tables for _, row in read_rows(path)}
    kinds = {suffix: _IMAGES.get(suffix.lower(), f"image/{suffix[1:].lower()}") for suffix in suffixes}
    return dict(sorted(kinds.items(), key=lambda kind: (kind[1] not in _IMAGES.values(), kind)))


def _folder(tree: Path) -> Parts:
    """Image, class and split, from the paths."""
    kinds = _kinds(tree)
    includes = [f"{side}/*/*{suffix}" for side in _SIDES if (tree / side).is_dir() for suffix in kinds]
    records = _records(
        "images",
        image=("sc:ImageObject", _from("image-files", fileProperty="content")),
        label=("sc:Text", _from("image-files", regex="^[^/]+/([^/]+)/", fileProperty="fullpath")),
        split=("sc:Text", _from("image-files", regex="^([^/]+)/", fileProperty="fullpath")),
    )
    return [_files("image-files", includes, list(dict.fromkeys(kinds.values())))], [records]


def _webdataset(tree: Path) -> Parts:
    """Of each split, the images and the numbers of their classes, each with the name of its sample."""
    resources, records, kinds = [], [], _kinds(tree)
    for side in _SIDES:
        if not (shards := [_file(path, tree) for path in sorted((tree / side).glob("*.tar"))]):
            continue
        inside, after = (
            {"containedIn": [{"@id": shard["@id"]} for shard in shards]},
            "" if side == "train" else f"_{side}",
        )
        patterns, types = [f"*{suffix.lower()}" for suffix in kinds], list(dict.fromkeys(kinds.values()))
        resources += [*shards, _files(f"images-of-{side}", patterns, types, **inside)]
        resources += [_files(f"labels-of-{side}", ["*.cls"], "text/plain", **inside)]
        for kind, field, of in (("images", "image", "sc:ImageObject"), ("labels", "class_index", "sc:Integer")):
            files = f"{kind}-of-{side}"
            sample = ("sc:Text", _from(files, regex=r"^(\d+)\.", fileProperty="fullpath"))
            records.append(
                _records(f"{kind}{after}", sample=sample, **{field: (of, _from(files, fileProperty="content"))})
            )
    return resources, records


def _parquet(tree: Path) -> Parts:
    """Image, class and split, and whether the image is synthetic."""
    name = "parquet-files"
    records = _records(
        "images",
        image=("sc:ImageObject", _from(name, path="bytes", column="image")),
        label=("sc:Integer", _from(name, column="label")),
        synthetic=("sc:Boolean", _from(name, column="synthetic")),
        split=("sc:Text", _from(name, regex="^data/([a-z]+)-", fileProperty="fullpath")),
    )
    files = [_file(path, tree) for path in sorted((tree / "data").glob("*.parquet"))]
    return [*files, _files(name, ["data/*.parquet"], _FILES[".parquet"])], [records]


_BY_FORMAT: dict[str, Callable[[Path], Parts]] = {"folder": _folder, "webdataset": _webdataset, "parquet": _parquet}
