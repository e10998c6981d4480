"""Whatever is in a file, a table, a recipe or a call: an answer or a `SynthaugError`, within a second and 500 MiB.

`make fuzz` gives 100,000 inputs, the normal tests about 2,000. Texts are valid ones with pieces cut out and put in, so
that they come past the first check.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image

from synthaug import config
from synthaug.data.class_names import check_class_names
from synthaug.data.folder import scan
from synthaug.data.plan import check_targets, plan
from synthaug.data.split import Split
from synthaug.errors import SynthaugError
from synthaug.exporters.manifest import dump_manifest, read_manifest, read_rows
from synthaug.parsing import ParseError, parse_json, parse_yaml
from synthaug.requests import (
    CheckRequest,
    EvaluateRequest,
    ExportRequest,
    FitRequest,
    RegenerateRequest,
    SamplesRequest,
    TraverseRequest,
    UpscaleRequest,
)

INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000"))
PARTS = 9  # tests share the inputs
SECONDS, MEBIBYTES = 1.0, 500
ODD = [
    *("\0", "\\u0000", "\\ud800", "\u202e", "\ufeff", "\u2028", "\r", "\x1b[2J", "é", "e\u0301", "😀"),
    *("9" * 25, "9" * 400, "9" * 5000, "1e999", "-1", "0x" + "f" * 99, "NaN", "Infinity", ".nan", "-.inf"),
    *("1:2:3", "2001-99-99", "&a [*a]", "*a", "<<: {a: 1}", "? ", "- " * 70, "!!binary x", "[]", "{}", "]"),
    *("[" * 99, "{" * 99, '{"a":' * 99, "}" * 9, "a" * 5000, "../", "..", "/etc/passwd", "~", "<script>"),
    *('"', "'", "\\", ",", ":", "\n", " \t", "#", "|", ">", "%", "@", "`", "{{7*7}}", "$(id)", "%s", ""),
    *("CON", "nul.txt", "metadata.jsonl", "true", "null", "None", "auto"),
]
RECIPE = """base: default
data: {resolution: 32, fit: pad, val_fraction: 0.1, group_by: 'a(b)'}
model:
  family: biggan
  width: 16
training:
  budget: 10min
  batch_size: 32
  regularizers: {r1: 0.1, lecam: 1}
  augment: [color, affine]
  compile: auto
monitor: {every_kimg: 5}
seed: 3
"""
SHA = "0123456789abcdef" * 4
COUNT = {"asked": 4, "real": 3, "synthetic": 1, "rejected": {"copy": 1}, "short": 0, "enlarged": 1.0, "sources": None}
LOOK = {"width": 16, "height": 16, "mode": "L", "format": "PNG", "suffix": ".png", "count": 3}
MANIFEST = {
    "format_version": 2, "tool": "synthaug", "tool_version": "0.1.0", "format": "folder", "size": "native",
    "export": {"out": ".", "per_class": {"cat": COUNT}, "manifest": "manifest.json", "images_per_second": None},
    "synthetic_only": False, "seed": 0, "data": {"name": "good", "fingerprint": SHA}, "classes": ["cat", "dog"],
    "run": {"name": "0", "path": "runs/0", "seed": 0, "checkpoint": "kimg0", "checkpoint_sha256": SHA, "kimg": 0.2},
    "targets": ["cat"], "heldout": {"val": {"cat": 1}},
    "gates": {"features": "x", "limits": {"cat": {"agreement": 0.1}}},
    "device": "cpu", "config": {"data": {"fit": "pad"}}, "looks": {"cat": [LOOK]}, "quantisation": {},
    "warnings": ["x"],
}  # fmt: skip
ROWS = '{"file_name": "cat/0.png", "label": "cat", "synthetic": false}\n{"file_name": "cat/1.png", "label": "dog"}\n'
CSV = 'file_name,label,synthetic\ncat/0.png,cat,0\n"cat/1.png",dog,true\n'
SPLIT = f"path,pixel_sha256,class,group,split\ncat/0.png,{SHA},cat,1,train\ncat/1.png,{SHA},dog,,test\n"


def changed(text: str) -> SearchStrategy[str]:
    """The text with up to four pieces cut out, and odd ones put in."""

    def edit(edits: list[tuple[int, int, str]]) -> str:
        result = text
        for start, length, piece in edits:
            place = start % (len(result) + 1)
            result = result[:place] + piece + result[place + length :]
        return result

    piece = st.sampled_from(ODD) | st.text(max_size=8)
    return st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 40), piece), max_size=4).map(edit)


def fuzzed(*strategies: SearchStrategy[Any]) -> Callable[[Any], Any]:
    """A test with its share of the inputs, the same ones each time unless `FUZZ_INPUTS` is set."""
    chosen = settings(
        max_examples=max(1, INPUTS // PARTS),
        deadline=None,
        derandomize="FUZZ_INPUTS" not in os.environ,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: chosen(given(*strategies)(test))


def answered(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The answer, or the error that is meant for users; anything else, and too long a time, fails the test."""
    started = time.process_time()
    result: Any = None
    try:
        result = call(*arguments, **options)
    except (SynthaugError, ParseError) as error:
        str(error).encode("utf-8", "backslashreplace")
    assert time.process_time() - started < SECONDS
    return result


@pytest.fixture(scope="module", autouse=True)
def _bounded_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEBIBYTES << 10  # in KiB


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def written(file: Path, text: str) -> Path:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    return file


@fuzzed(changed(RECIPE))
def test_recipes(text: str) -> None:
    tree = answered(config.parse_yaml, text, "a recipe")
    if tree is not None:
        answered(config.validate, {key: value for key, value in tree.items() if key != "base"})


@fuzzed(changed("training.regularizers={r1: 0.1}") | changed("seed=3") | changed("model.family=biggan"))
def test_settings(text: str) -> None:
    answered(config.resolve, sets=[text])


@fuzzed(changed(RECIPE) | changed(json.dumps(MANIFEST)) | st.text())
def test_parsers(text: str) -> None:
    answered(parse_json, text)
    answered(parse_yaml, text)


@pytest.fixture(scope="module")
def fuzz_manifest(place: Path) -> Callable[[str], None]:
    def look(text: str) -> None:
        manifest = answered(read_manifest, written(place / "manifest.json", text))
        if manifest is not None:
            json.dumps(dump_manifest(manifest), ensure_ascii=False).encode()

    return look


@fuzzed(changed(json.dumps(MANIFEST)))
def test_manifests(fuzz_manifest: Callable[[str], None], text: str) -> None:
    fuzz_manifest(text)


def test_the_manifest_to_start_from_is_right(place: Path) -> None:
    assert read_manifest(written(place / "manifest.json", json.dumps(MANIFEST))).classes == ["cat", "dog"]


@fuzzed(changed(ROWS), changed(SPLIT))
def test_rows_and_splits(place: Path, rows: str, split: str) -> None:
    answered(lambda: list(read_rows(written(place / "metadata.jsonl", rows))))
    answered(Split.read, written(place / "split.csv", split))


def named(name: str, text: str) -> SearchStrategy[tuple[str, str]]:
    return st.tuples(st.just(name), changed(text))


@fuzzed(named("metadata.jsonl", ROWS) | named("metadata.csv", CSV))
def test_tables(place: Path, table: tuple[str, str]) -> None:
    root = place / "tables"
    if not root.exists():
        for number in range(2):
            (root / "cat").mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), number).save(root / "cat" / f"{number}.png")
    for old in root.glob("metadata.*"):
        old.unlink()
    written(root / table[0], table[1])
    found = answered(scan, root, cache=place / "cache")
    if found is not None:
        check_class_names(found.classes)


USUAL = ["cat", "Cat", "CON", ".git", "train", "test", "val", "metadata.jsonl", "a.png", "..x", "ä", "a\u0308"]
NAMES = st.sampled_from(USUAL) | st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=30
)
HEADS = [b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"\xff\xd8\xff", b"BM", b"RIFF"]
CONTENT = st.builds(bytes.__add__, st.sampled_from([b"", *HEADS]), st.binary(max_size=60))


@fuzzed(st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), CONTENT), max_size=5), st.booleans())
def test_folders(place: Path, files: list[tuple[list[str], bytes]], strict: bool) -> None:
    root = place / "tree"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for parts, content in files:
        file = root.joinpath(*[part for part in parts if part not in (".", "..")] or ["x"])
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError:  # a name that is too long, or a file where a folder should be
            continue
    answered(scan, root, strict=strict, cache=place / "cache")


COUNTS = st.dictionaries(st.text(max_size=5), st.integers(0, 10**9), max_size=6)
WORD = st.text(max_size=5)


@fuzzed(COUNTS, st.none() | st.integers(1, 10**9) | COUNTS, WORD | st.lists(WORD, max_size=3))
def test_class_plans(counts: dict[str, int], per_class: Any, targets: Any) -> None:
    answered(check_targets, targets, counts)
    for strategy in ("all", "not majority", "minority"):
        made = answered(plan, counts, per_class=per_class, strategy=strategy)
        assert made is None or all(one.keep + one.generate == one.want for one in made.values())


REQUESTS: list[Any] = [
    *(CheckRequest, EvaluateRequest, ExportRequest, FitRequest, RegenerateRequest, SamplesRequest),
    *(TraverseRequest, UpscaleRequest),
]
PIECE = st.sampled_from(ODD)
NUMBER = st.integers() | st.floats() | st.booleans() | st.just(10**5000)
VALUE = PIECE | NUMBER | st.none() | st.lists(PIECE, max_size=3) | st.dictionaries(PIECE, NUMBER, max_size=2)


def with_options(kind: Any) -> SearchStrategy[tuple[Any, dict[str, Any]]]:
    """A request, what it needs, and odd options."""
    needed = {name: "x" for name, field in kind.model_fields.items() if field.is_required()}
    options = st.dictionaries(st.sampled_from(sorted(kind.model_fields)), VALUE, max_size=4)
    return options.map(lambda odd: (kind, {**needed, **odd}))


@fuzzed(st.sampled_from(REQUESTS).flatmap(with_options))
def test_requests(call: tuple[Any, dict[str, Any]]) -> None:
    answered(call[0], **call[1])
