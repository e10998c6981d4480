"""`regenerate`: make the synthetic images of an export again, and compare them with the exported files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from synthaug.data.cache import LabelledFile
from synthaug.data.class_names import check_class_names
from synthaug.data.decode import UnreadableImage, open_image, quiet_decoding
from synthaug.documents import Mismatch, RegenerateDocument, UpscalerReference
from synthaug.errors import RunFailed, SynthaugError
from synthaug.exporters.folder import write_synthetic
from synthaug.exporters.looks import Look
from synthaug.exporters.manifest import MANIFEST, METADATA, Manifest, RunReference, read_manifest, read_rows
from synthaug.exporters.real import verify
from synthaug.files import check_outside, new_folder
from synthaug.models.inputs import CHUNK
from synthaug.progress import Progress, shown
from synthaug.requests import RegenerateRequest, documented
from synthaug.runs import Run, find
from synthaug.sampling.generate import SeededGenerator, load
from synthaug.sampling.upscaling import TrainedUpscaler, load_upscaler

_SHOWN = 3


class _Row(BaseModel):
    """The fields of a metadata row that are needed to make its image again."""

    file_name: str
    label: str
    pixel_sha256: str
    sample_index: int = Field(ge=0, lt=2**40)
    class_index: int = Field(ge=0)
    checkpoint_sha256: str
    look: int = Field(ge=0)
    seed: int = Field(ge=0)
    source_path: str = ""
    source_pixel_sha256: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """Folder and name of the file to write; no row of an export shares it with another."""
        return self.label, PurePosixPath(self.file_name).name


@documented(RegenerateRequest)
def regenerate(
    manifest: str | Path, *, row: Sequence[int] = (), verify: bool = False, out: str | Path | None = None,
    runs: str | Path | None = None, device: str = "auto", cache: str | Path | None = None,
    progress: Progress | bool = True,
) -> RegenerateDocument:  # fmt: skip
    """Make synthetic images again: each is generated with its chunk, then sized and encoded as the export did it.

    Raises:
        SynthaugError: no such manifest, run or row; the row of a real image; a checkpoint with another hash.
        RunFailed: with `verify`, images differ by more than one grey level.
    """
    return run_regenerate(RegenerateRequest.of(locals()), shown(progress))


def run_regenerate(request: RegenerateRequest, progress: Progress) -> RegenerateDocument:
    out, root = request.out, _root(request.manifest)
    document = read_manifest(root / MANIFEST)
    wanted = _wanted(root / "train" / METADATA, request.row)
    sampler = _sampler(document, request)
    upscaler = _upscaler(document, request.runs, request.device)
    for number, row in wanted.items():
        _check(number, row, sampler, document)
    _check_sources(wanted, sampler, progress)
    if out is not None:
        check_outside(out, [sampler.trained.run.facts().data, root], "--out")
        if out.exists() or out.is_symlink():
            raise SynthaugError(f"{str(out)!r} exists already", "give another folder with --out")
    result = RegenerateDocument(
        manifest=str(root / MANIFEST), rows=len(wanted), equal=0, close=0, different=[],
        device=str(sampler.trained.device),
    )  # fmt: skip
    with TemporaryDirectory() if out is None else new_folder(out) as folder:
        _remake(
            root, document, wanted, sampler, upscaler, Path(folder), keep=out is not None, result=result,
            progress=progress,
        )  # fmt: skip
        if (request.verify or out is None) and result.different:
            first = "; ".join(f"row {m.row} ({m.file_name}): {m.reason}" for m in result.different[:_SHOWN])
            raise RunFailed(
                f"{len(result.different)} of {result.rows} images could not be made again: {first}",
                "use the synthaug and torch versions and the device of the export",
            )
    result.out = None if out is None else str(out)
    return result


def _root(manifest: Path) -> Path:
    if manifest.name == METADATA and manifest.parent.name == "train":
        return manifest.parent.parent
    if manifest.is_dir():
        return manifest
    if manifest.name != MANIFEST:
        hint = f"give the {MANIFEST} or train/{METADATA} of an export"
        raise SynthaugError(f"{str(manifest)!r} is not a manifest", hint)
    return manifest.parent


def _wanted(metadata: Path, rows: Sequence[int]) -> dict[int, _Row]:
    """Number → row: the rows asked for, or all synthetic ones."""
    asked, found, last = set(rows), {}, -1
    places: dict[tuple[str, str], int] = {}
    for number, row in read_rows(metadata):
        last = number
        if asked and number not in asked:
            continue
        if row.get("synthetic") is not True:
            if asked:
                raise SynthaugError(
                    f"row {number} of {str(metadata)!r} is a real image", "real images cannot be made again"
                )
            continue
        try:
            found[number] = _Row.model_validate(row)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise SynthaugError(f"row {number} of {str(metadata)!r} is damaged: {where}", "export again") from error
        if (other := places.setdefault(found[number].place, number)) != number:
            name = found[number].file_name
            raise SynthaugError(
                f"rows {other} and {number} of {str(metadata)!r} are of one file, {name!r}", "export again"
            )
    missing = sorted(asked - set(found))
    if missing:
        raise SynthaugError(f"there is no row {missing[0]} in {str(metadata)!r}", f"rows go from 0 to {last}")
    if not found:
        raise SynthaugError(f"{str(metadata)!r} has no synthetic image", "there is nothing to make again")
    return found


def _sampler(manifest: Manifest, request: RegenerateRequest) -> SeededGenerator:
    """The export's generator.

    Raises:
        SynthaugError: the run is gone, or its checkpoint is not the one of the export.
    """
    run = _run(manifest.run, request.runs)
    sampler = load(
        run, checkpoint=manifest.run.checkpoint, seed=manifest.seed, truncation=manifest.truncation,
        mode=manifest.mode, inputs=manifest.inputs, plan=manifest.conditions, device=request.device,
        cache=request.cache,
    )  # fmt: skip
    _check_hash(manifest.run, run, sampler.trained.sha256)
    return sampler


def _upscaler(manifest: Manifest, runs: Path | None, device: str) -> TrainedUpscaler | None:
    """The export's upscaler, if one was used.

    Raises:
        SynthaugError: as `_sampler`.
    """
    if manifest.upscaler is None or not manifest.upscaler.used:
        return None
    run = _run(manifest.upscaler, runs)
    upscaler = load_upscaler(run, manifest.upscaler.checkpoint, device)
    _check_hash(manifest.upscaler, run, upscaler.sha256)
    return upscaler


def _run(reference: RunReference | UpscalerReference, runs: Path | None) -> Run:
    path = Path(reference.path)
    return Run(path) if runs is None and (path / "config.yaml").is_file() else find(reference.name, runs)


def _check_hash(reference: RunReference | UpscalerReference, run: Run, found: str) -> None:
    if found != reference.checkpoint_sha256:
        raise SynthaugError(
            f"checkpoint {reference.checkpoint!r} of {str(run.path)!r} is not the exported one: its hash differs",
            "give the folder with the run of the export: --runs DIR",
        )


def _check(number: int, row: _Row, sampler: SeededGenerator, manifest: Manifest) -> None:
    check_class_names([row.label])
    known = sampler.classes.index(row.label) if row.label in sampler.classes else -1
    looks = manifest.looks.get(row.label, [])
    agrees = row.class_index == known and row.seed == sampler.seed and row.look < len(looks)
    if not agrees or row.checkpoint_sha256 != sampler.trained.sha256:
        raise SynthaugError(f"row {number} ({row.file_name!r}) does not fit the manifest", "export again")


def _check_sources(wanted: dict[int, _Row], sampler: SeededGenerator, progress: Progress) -> None:
    """Compare the images and maps that rows were made from with the hashes in the rows.

    Raises:
        SynthaugError: one is missing or has changed, or the row names another image than the run would take.
    """
    sources = sampler.trained.sources
    if sources is None:
        return
    needed: dict[str, LabelledFile] = {}
    for number, row in wanted.items():
        origins = sampler.origins(row.label, row.sample_index // CHUNK)
        assert origins is not None
        source = sources.rows[origins[row.sample_index % CHUNK]]
        if (row.source_path, row.source_pixel_sha256) != (source.path, source.pixel_sha256):
            raise SynthaugError(
                f"row {number} ({row.file_name!r}) was not made from {source.path!r}, as this run would make it",
                "give the folder with the run of the export: --runs DIR",
            )
        needed[source.path] = source
    verify(sources.folder, list(needed.values()), "sources", progress)


def _remake(
    root: Path, manifest: Manifest, wanted: dict[int, _Row], sampler: SeededGenerator, upscaler: TrainedUpscaler | None,
    folder: Path, *, keep: bool, result: RegenerateDocument, progress: Progress,
) -> None:  # fmt: skip
    fit = sampler.trained.run.config().data.fit
    chunks: dict[tuple[str, int], list[int]] = {}
    for number, row in wanted.items():
        chunks.setdefault((row.label, row.sample_index // CHUNK), []).append(number)
    with progress.task("regenerating", len(wanted), "images") as task, quiet_decoding():
        for (label, chunk), numbers in chunks.items():
            pixels = sampler.chunk(label, chunk)
            (folder / label).mkdir(exist_ok=True)
            for number in numbers:
                row = wanted[number]
                look = manifest.looks[label][row.look]
                path = folder.joinpath(*row.place)
                written = write_synthetic(
                    path, pixels[row.sample_index % CHUNK], look, fit, manifest.quantisation, manifest.sides, upscaler
                )
                if written.pixel_sha256 == row.pixel_sha256:
                    result.equal += 1
                elif (reason := _difference(path, root / "train" / row.file_name, look, sampler)) is None:
                    result.close += 1
                else:
                    result.different.append(Mismatch(row=number, file_name=row.file_name, reason=reason))
                if not keep:
                    path.unlink()
                task.advance()


def _difference(made: Path, exported: Path, look: Look, sampler: SeededGenerator) -> str | None:
    """Describe a difference of more than one grey level between two files; None if there is none.

    Resampling can turn one grey level of the generator into two. Lossy formats and palettes spread differences over
    many pixels; their mean must be within one.
    """
    try:
        one, other = open_image(made), open_image(exported)
    except UnreadableImage:
        return "its pixels have another hash, and there is no exported file to compare with"
    if one.size != other.size:
        return f"it is {one.width}x{one.height} pixels, not {other.width}x{other.height}"
    gap = np.abs(np.asarray(one.convert("RGB"), np.int16) - np.asarray(other.convert("RGB"), np.int16))
    if look.format in ("JPEG", "WEBP", "GIF") or look.mode in ("P", "PA", "1"):
        return None if gap.mean() <= 1 else f"its pixels differ by {gap.mean():.1f} grey levels on average"
    side = sampler.trained.resolution
    allowed = 1 if max(look.width, look.height) == side else 2
    return None if gap.max() <= allowed else f"its pixels differ by up to {gap.max()} grey levels"
