"""The files beside the images: `manifest.json`, `metadata.jsonl` and the dataset card.

They hold no times and no speeds, so an interrupted and continued export gives the same files, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from synthaug.data.maps import OwnMaps
from synthaug.documents import ConditionPlan, Document, ExportDocument, UpscalerReference
from synthaug.errors import SynthaugError
from synthaug.exporters import FORMATS
from synthaug.exporters.looks import LookCount, Sides, Tables
from synthaug.parsing import ParseError, parse_json, read_json, read_lines
from synthaug.translators.modes import Mode
from synthaug.version import __version__

FORMAT_VERSION = 3
"""Version 2 added `mode` and the columns of sources; version 3 `conditions`, and the columns of conditions."""
MANIFEST = "manifest.json"
METADATA = "metadata.jsonl"
_ROWS = json.JSONEncoder(ensure_ascii=False, allow_nan=False)  # made once; `json.dumps` would make one for each row
SQUARES = (
    "the generator was trained on the middle square of each real image (`data.fit: crop`), so synthetic images are "
    "squares of the shorter side: cut real images to their middle square too"
)
NO_NUMBER, NO_TEXT = -1, ""
"""Values of columns that do not apply to a row of `metadata.jsonl`. They are not null: `datasets` takes a column's type
from its first rows, and refuses splits with different types."""


class RunReference(Document):
    """The run that the images come from."""

    name: str
    path: str
    seed: int
    checkpoint: str
    checkpoint_sha256: str
    kimg: float


class SourceData(Document):
    """The real images that the run was trained on."""

    name: str
    fingerprint: str


class GateReport(Document):
    """The limits of the gates for each class. The column `gate` of the metadata has the values that they apply to."""

    features: str | None = Field(None, description="name and hash of the gate's classifiers")
    limits: dict[str, dict[str, float]]


class SelectionReport(Document):
    """How the run's discriminator selected candidates, before the gates."""

    method: Literal["drs", "top-k"]
    keep: float = Field(description="share of the candidates to keep")
    discriminator_sha256: str
    slope: float | None = Field(None, description="drs: log-odds of being real per unit of `discriminator_score`")
    limits: dict[str, dict[str, float]] = Field(description="drs: class → the largest logit of its pilot sample, and γ")


class CurationReport(Document):
    """Decisions by hand that the export followed; `by_hand` of each class counts them."""

    sha256: str = Field(description="of the decisions")
    only_accepted: bool = Field(
        description="whether images without a decision were left out, too, in classes with some"
    )


class Manifest(Document):
    """`manifest.json` at the root of an export."""

    format_version: Literal[1, 2, 3] = 3
    tool: Literal["synthaug"] = "synthaug"
    tool_version: str = __version__
    export: ExportDocument
    format: str
    size: Literal["native", "model"]
    synthetic_only: bool
    seed: int = Field(description="image i of class c is made from (seed, c, i)")
    run: RunReference
    data: SourceData
    classes: list[str]
    targets: list[str]
    heldout: dict[str, dict[str, int]] = Field(description="val and test → class → real images")
    gates: GateReport | None
    mode: Mode | None = Field(None, description="what the run does with real images, if it starts from them")
    inputs: OwnMaps | None = Field(None, description="maps of the user that were painted")
    conditions: ConditionPlan | None = Field(None, description="what images are told, in a run with conditions")
    truncation: float = Field(1.0, description="ψ: the share of each image's distance from its class's centre")
    selection: SelectionReport | None = None
    curation: CurationReport | None = None
    upscaler: UpscalerReference | None = Field(None, description="the upscaler that was asked for")
    device: str
    plug_ins: dict[str, str] = Field(
        default_factory=dict, description="installed packages that add parts to synthaug → version"
    )
    config: dict[str, Any] = Field(description="the run's resolved configuration")
    looks: dict[str, list[LookCount]] = Field(description="class → sizes and formats of its real files")
    quantisation: Tables
    sides: Sides = Field("mirrored", description="of images with fit `crop`; exports before this key mirrored them")
    warnings: list[str]


def dump_manifest(manifest: Manifest) -> dict[str, Any]:
    """The document to write. Looks are written without default values."""
    document = manifest.model_dump(mode="json")
    document["looks"] = {
        label: [look.model_dump(exclude_defaults=True) for look in looks] for label, looks in manifest.looks.items()
    }
    return document


def read_manifest(path: Path) -> Manifest:
    """Read a `manifest.json`.

    Raises:
        SynthaugError: the file is missing, not a manifest of this tool, or of a later version.
    """
    hint = "give the manifest.json of an export"
    try:
        document = read_json(path)
    except (OSError, ParseError) as error:
        raise SynthaugError(f"cannot read the manifest {str(path)!r}: {_reason(error)}", hint) from error
    if not isinstance(document, dict) or document.get("tool") != "synthaug":
        raise SynthaugError(f"{str(path)!r} is not a manifest of a synthaug export", hint)
    if document.get("format_version") not in range(1, FORMAT_VERSION + 1):
        raise SynthaugError(
            f"{str(path)!r} has format version {document.get('format_version')!r}, not 1 to {FORMAT_VERSION}",
            f"use synthaug {document.get('tool_version', 'of its time')}",
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
        raise SynthaugError(f"the manifest {str(path)!r} is damaged: {fault}", "export again") from error


def _reason(error: OSError | ParseError) -> str:
    return (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else f"it {error}"


def is_export(folder: Path) -> bool:
    """Whether a folder is a finished export of this tool, of any version."""
    try:
        document = read_json(folder / MANIFEST)
    except (OSError, ParseError):
        return False
    return isinstance(document, dict) and document.get("tool") == "synthaug"


def gate_row(
    agreement: float = NO_NUMBER,
    nearest_real_distance: float = NO_NUMBER,
    nearest_real_path: str = NO_TEXT,
    discriminator_score: float | None = None,
) -> dict[str, Any]:
    """The measurements of one image; `discriminator_score` is null in all rows of an export without selection."""
    return {
        "discriminator_score": None if discriminator_score is None else round(float(discriminator_score), 6),
        "agreement": round(float(agreement), 6),
        "nearest_real_distance": round(float(nearest_real_distance), 6),
        "nearest_real_path": nearest_real_path,
    }


@dataclass(frozen=True, kw_only=True)
class MetadataRow:
    """A row of `metadata.jsonl`; the defaults stand for "does not apply".

    `file_name` is relative to the metadata file, `pixel_sha256` is of the file's decoded pixels, `gate` see `gate_row`.
    `mode` is "translate" or "vary" where an image was made from a real one or its map, the source, and "inputs" where
    the source is a map of the user. In a run with conditions, `conditions` are those of the image, like
    "age=60,camera=b"; `combination` those that `--balance` counts; and no training image is like an `extrapolated` one.
    """

    file_name: str
    label: str
    synthetic: bool
    width: int
    height: int
    sha256: str
    pixel_sha256: str
    seed: int = NO_NUMBER
    sample_index: int = NO_NUMBER
    class_index: int
    checkpoint_sha256: str = NO_TEXT
    look: int = NO_NUMBER
    origin_path: str = NO_TEXT
    mode: str = NO_TEXT
    source_path: str = NO_TEXT
    source_pixel_sha256: str = NO_TEXT
    source_label: str = NO_TEXT
    source_group: str = NO_TEXT
    conditions: str = NO_TEXT
    combination: str = NO_TEXT
    extrapolated: bool = False
    gate: Mapping[str, Any]


def dump_row(row: Mapping[str, Any]) -> str:
    return _ROWS.encode(row)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a `metadata.jsonl` with their numbers, from 0.

    Raises:
        SynthaugError: the file is missing, or a line is not a row.
    """
    try:
        for number, line in enumerate(read_lines(path)):
            row = parse_json(line)
            if not isinstance(row, dict):
                raise ParseError(f"has no JSON object in line {number + 1}")
            yield number, row
    except OSError as error:
        raise SynthaugError(
            f"cannot read {str(path)!r}: {_reason(error)}", "give the manifest.json of a complete export"
        ) from error
    except ParseError as error:
        raise SynthaugError(f"{str(path)!r} is damaged: it {error}", "export again") from error


def card(manifest: Manifest) -> str:
    """The dataset card, `README.md`, with Hugging Face's header."""
    total = sum(c.real + c.synthetic for c in manifest.export.per_class.values())
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    size = next((name for bound, name in bounds if total < bound), "1M<n<10M")
    rows = "\n".join(
        f"| {_cell(label)} | {c.asked} | {c.real} | {c.synthetic} | {'–' if c.sources is None else c.sources} | "
        f"{_times(c.enlarged)} | {_reasons(c.rejected)} |"
        for label, c in manifest.export.per_class.items()
    )
    notes = [*manifest.warnings, *([SQUARES] if _cuts_sides(manifest) else [])]
    warnings = "".join(f"\n> **Note** {note}\n" for note in notes)
    heldout = ""
    if manifest.heldout:
        folders = " and ".join(f"`{name}/`" for name in manifest.heldout)
        heldout = f"\nThe real images held out from training are in {folders}.\n"
    reading = (
        '```python\ntorchvision.datasets.ImageFolder("train")\ndatasets.load_dataset(".")  # image and label\n'
        'datasets.load_dataset(".", "metadata")  # all columns; labels as text\n```'
        if manifest.format == "folder"
        else f"Format `{manifest.format}`: {FORMATS.summary(manifest.format)}"
    )
    header = {
        "pretty_name": manifest.data.name + ", with synthetic images",
        "task_categories": ["image-classification"],
        "size_categories": [size],
        "tags": ["synthetic", "synthaug"],
        **_configs(manifest),
    }
    return f"""---
{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---

# {_cell(manifest.data.name)}, with synthetic images

Real images and images made by a generative adversarial network, for training a classifier.
The column `synthetic` of `train/metadata.jsonl` tells them apart, and each synthetic file carries IPTC
`DigitalSourceType` `trainedAlgorithmicMedia` in its XMP metadata. Judge classifiers on real images only.
Values that do not apply to an image are −1 or empty.

| class | requested | real | synthetic | sources | enlarged | rejected |
|---|---:|---:|---:|---:|---:|---|
{rows}
{_combinations(manifest)}{warnings}{heldout}
## How it was made

synthaug {manifest.tool_version}, run `{manifest.run.name}`, checkpoint `{manifest.run.checkpoint}`
({manifest.run.kimg:g} kimg), generator SHA-256 `{manifest.run.checkpoint_sha256}`, seed {manifest.seed}.

{_how(manifest)}

The generator saw the real training images only, never those held out.
`synthaug regenerate manifest.json --verify` makes each synthetic image again and compares its pixels.

## How to read it

{reading}

The real images keep their licence. This card does not name it, because the tool does not know it.
"""


_FILES = {"folder": "{side}/*/*", "webdataset": "{side}/*.tar", "parquet": "data/{split}-*.parquet"}
_SPLITS = {"train": "train", "val": "validation", "test": "test"}  # the names that `datasets` knows


def _configs(manifest: Manifest) -> dict[str, Any]:
    """Where Hugging Face `datasets` finds the images. The first configuration is what it loads by default.

    With a metadata table, `datasets` takes labels from it, as text. So the default of a folder goes without it: then
    labels are numbers with names, a `ClassLabel`, as in the Parquet files.
    """
    if manifest.format not in _FILES:
        return {}
    sides = [side for side in _SPLITS if side == "train" or side in manifest.heldout]

    def files(pattern: str) -> list[dict[str, str]]:
        return [{"split": _SPLITS[side], "path": pattern.format(side=side, split=_SPLITS[side])} for side in sides]

    configs = [{"config_name": "default", "data_files": files(_FILES[manifest.format])}]
    if manifest.format == "folder":
        configs.append({"config_name": "metadata", "data_files": files("{side}/**")})
    return {"configs": configs}


def _how(manifest: Manifest) -> str:
    """What was done to the images, in paragraphs, the last step last."""
    gates = "All candidates were accepted: the gates were switched off."
    if not any(c.synthetic for c in manifest.export.per_class.values()):
        gates = "No synthetic images were requested."
    elif manifest.gates is not None:
        gates = (
            "Candidates were rejected if classifiers trained on real images do not recognise their class, or if they\n"
            "copy a training image or another synthetic image. `gate` in the metadata has the measurements."
        )
    if manifest.curation is not None:
        said = "; ".join(f"{name}: {c.by_hand.text()}" for name, c in manifest.export.per_class.items() if c.by_hand)
        only = " Of these classes, only accepted images were used." if manifest.curation.only_accepted else ""
        gates = f"{gates}\n\nA person looked at images ({said}).{only}"
    if manifest.selection is not None:
        gates = f"{_selected(manifest.selection)}\n\n{gates}"
    if any(c.sources is not None for c in manifest.export.per_class.values()):
        source = "a map of the user" if manifest.inputs else "a real training image"
        gates = (
            f"Each synthetic image was made from {source}, `source_path` in the metadata.\n"
            "`sources` counts the different ones behind a class. They limit its variety, however many images there are."
            f"\n\n{gates}"
        )
    if manifest.truncation < 1:
        gates = (
            f"Images are truncated: the distance of each from the centre of its class was multiplied by "
            f"{manifest.truncation:g}.\nThis makes them more typical and less varied.\n\n{gates}"
        )
    if manifest.upscaler is not None and manifest.upscaler.used:
        gates = (
            f"Images were enlarged up to {manifest.upscaler.scale} times by the upscaler `{manifest.upscaler.name}`, "
            f"checkpoint `{manifest.upscaler.checkpoint}`,\nSHA-256 `{manifest.upscaler.checkpoint_sha256}`: "
            f"{manifest.upscaler.scores.text()}.\n\n{gates}"
        )
    return gates


def _combinations(manifest: Manifest) -> str:
    """What images were told, in a run with conditions: a value for all, or a table of combinations."""
    found = [(label, one) for label, c in manifest.export.per_class.items() for one in c.combinations]
    if found:
        columns = list(found[0][1].values)
        lines = [["class", *columns, "real", "synthetic"], ["---"] * (len(columns) + 3)]
        lines += [[label, *one.values.values(), str(one.real), str(one.synthetic)] for label, one in found]
        return "\n" + "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"
    if manifest.conditions is not None and manifest.conditions.where:
        told = ", ".join(f"{name} = {value}" for name, value in manifest.conditions.where.items())
        return f"\nAll synthetic images were told: {_cell(told)}.\n"
    return ""


def _cuts_sides(manifest: Manifest) -> bool:
    """Whether real images have sides that the generator never saw, and synthetic ones lack."""
    looks = [look for looks in manifest.looks.values() for look in looks]
    return manifest.config["data"]["fit"] == "crop" and any(look.width != look.height for look in looks)


def _times(factor: float | None) -> str:
    return "–" if factor is None else f"{factor:.1f} ×"


def _selected(selection: SelectionReport) -> str:
    how = "by rejection sampling" if selection.method == "drs" else "the best of every 64 by score"
    return (
        f"The run's discriminator selected a share of about {selection.keep:g} of the candidates, {how}.\n"
        "`discriminator_score` under `gate` in the metadata is its score (−1 for a real image)."
    )


def _reasons(rejected: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {n}" for reason, n in rejected.items()) or "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
