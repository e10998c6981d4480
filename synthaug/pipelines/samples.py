"""`samples`: a few images of each class, as the generator makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data.class_names import check_class_names
from synthaug.data.decode import quiet_decoding
from synthaug.data.maps import OwnMaps
from synthaug.documents import SamplesDocument
from synthaug.errors import SynthaugError
from synthaug.exporters.folder import write_synthetic
from synthaug.exporters.looks import plain_look
from synthaug.exporters.provenance import save_marked
from synthaug.files import check_outside, check_replaceable, new_folder, write_json
from synthaug.grid import grid
from synthaug.progress import Progress, shown
from synthaug.requests import SamplesRequest, documented
from synthaug.results.commands import SamplesResult
from synthaug.runs import RunLike, find
from synthaug.sampling.generate import SeededGenerator, load
from synthaug.sampling.sources import user_maps

DOCUMENT = "samples.json"
_COLUMNS = 16


@documented(SamplesRequest)
def samples(
    run: RunLike | None = None, *, class_: str | None = None, count: int = 16, out: str | Path | None = None,
    truncation: float = 1.0, mode: str | None = None, inputs: str | Path | None = None,
    where: Sequence[str] | Mapping[str, object] = (), text: str | None = None, overwrite: bool = False,
    seed: int | None = None, checkpoint: str | Path = "best",
    runs: str | Path | None = None, device: str = "auto", cache: str | Path | None = None,
    progress: Progress | bool = True,
) -> SamplesResult:  # fmt: skip
    """Write PNG images of a class, ungated and at the generator's resolution, and one picture of all.

    Raises:
        SynthaugError: there is no such class or run, an option is bad, or the output exists.
    """
    return SamplesResult.of(run_samples(SamplesRequest.of(locals()), shown(progress)))


def run_samples(request: SamplesRequest, progress: Progress) -> SamplesDocument:
    found = find(request.run, request.runs)
    maps = None if request.inputs is None else user_maps(found, request.inputs, request.cache)
    sampler = load(
        found, checkpoint=request.checkpoint, seed=request.seed, truncation=request.truncation, mode=request.mode,
        inputs=maps, where=request.where, text=request.text, device=request.device, cache=request.cache,
    )  # fmt: skip
    labels = _labels(sampler, request.class_, maps)
    check_class_names(labels)
    target = (Path("samples") / found.name if request.out is None else request.out).absolute()
    check_outside(target, [found.facts().data], "--out")
    check_replaceable(target, marker=DOCUMENT, what="an earlier folder of samples", overwrite=request.overwrite)
    with new_folder(target, replace=request.overwrite) as folder:
        document = _write(sampler, labels, request.count, folder, progress)
    return document.model_copy(update={"out": str(target)})


def _labels(sampler: SeededGenerator, asked: str | None, maps: OwnMaps | None) -> list[str]:
    """The classes to show: the one that is asked for, else those with maps of the user, or the targets."""
    mapped = [] if maps is None else sorted({found.label for found in maps.maps})
    if maps is not None and asked is not None and asked not in mapped:
        raise SynthaugError(f"no maps of the class {asked!r} in {str(maps.folder)!r}", f"--class {mapped[0]}")
    labels = [asked] if asked is not None else mapped or sampler.trained.targets or sampler.classes
    for name in labels:
        sampler.class_index(name)
    return labels


def _shown(sampler: SeededGenerator, label: str, pixels: NDArray[np.uint8], columns: int) -> list[NDArray[np.uint8]]:
    """What the picture shows of a class: its images, each row below the real images that they were made from."""
    if sampler.trained.sources is None:
        return [pixels]
    sources = sampler.sources(label, len(pixels))
    rows = [slice(start, start + columns) for start in range(0, len(pixels), columns)]
    return [part for row in rows for part in (sources[row], pixels[row])]


def _write(
    sampler: SeededGenerator, labels: list[str], count: int, folder: Path, progress: Progress
) -> SamplesDocument:
    look = plain_look(sampler.trained.resolution, sampler.trained.channels)
    files: dict[str, list[str]] = {}
    shown: list[NDArray[np.uint8]] = []
    names: list[str] = []
    columns = _COLUMNS if len(labels) > 1 or count > 2 * _COLUMNS else max(1, round(count**0.5))
    with progress.task("samples", len(labels) * count, "images") as task, quiet_decoding():
        for label in labels:
            (folder / label).mkdir()
            files[label] = []
            for start in range(0, count, 1024):
                pixels = sampler.sample(label, min(1024, count - start), start)
                for offset, image in enumerate(pixels):
                    name = f"{label}/{start + offset:06d}.png"
                    write_synthetic(folder / name, image, look, "stretch", {})
                    files[label].append(name)
                task.advance(len(pixels))
                if start == 0:
                    shown += _shown(sampler, label, pixels[: 8 * _COLUMNS], columns)
                    names += [label] + [""] * (len(shown) - len(names) - 1)
    (folder / "grid.png").write_bytes(save_marked(grid(shown, columns, names), "PNG"))
    document = SamplesDocument(
        out=".", per_class=files, grid="grid.png", checkpoint=sampler.trained.checkpoint, seed=sampler.seed,
        truncation=sampler.psi, where=dict(sampler.where),
        extrapolated=sampler.extrapolated(labels),
    )  # fmt: skip
    write_json(folder / DOCUMENT, document.model_dump(mode="json"))
    return document
