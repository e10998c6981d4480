"""`samples`: a few images of each class, as the generator makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data.class_names import check_class_names
from synthaug.data.decode import quiet_decoding
from synthaug.documents import SamplesDocument
from synthaug.exporters.folder import write_synthetic
from synthaug.exporters.looks import plain_look
from synthaug.exporters.provenance import save_marked
from synthaug.files import check_outside, check_replaceable, new_folder, write_json
from synthaug.progress import Progress, Silent
from synthaug.requests import SamplesRequest, documented
from synthaug.runs import Run, find
from synthaug.sampling.generate import Sampler, load
from synthaug.sampling.grid import grid

DOCUMENT = "samples.json"
_COLUMNS = 16


@documented(SamplesRequest)
def samples(
    run: str | Path | Run | None = None, *, class_: str | None = None, count: int = 16, out: Path | None = None,
    truncation: float = 1.0, mode: str | None = None, overwrite: bool = False,
    seed: int | None = None, checkpoint: str | Path = "best",
    runs: Path | None = None, device: str = "auto", cache: Path | None = None, progress: Progress = Silent(),
) -> SamplesDocument:  # fmt: skip
    """Write PNG images of a class, ungated and at the generator's resolution, and one picture of all.

    Raises:
        SynthaugError: there is no such class or run, an option is bad, or the output exists.
    """
    return run_samples(SamplesRequest.of(locals()), progress)


def run_samples(request: SamplesRequest, progress: Progress) -> SamplesDocument:
    found = find(request.run, request.runs)
    sampler = load(
        found, checkpoint=request.checkpoint, seed=request.seed, truncation=request.truncation, mode=request.mode,
        device=request.device, cache=request.cache,
    )  # fmt: skip
    labels = [request.class_] if request.class_ is not None else sampler.trained.targets or sampler.classes
    for name in labels:
        sampler.class_index(name)
    check_class_names(labels)
    target = (Path("samples") / found.name if request.out is None else request.out).absolute()
    check_outside(target, [found.facts().data], "--out")
    check_replaceable(target, marker=DOCUMENT, what="an earlier folder of samples", overwrite=request.overwrite)
    with new_folder(target, replace=request.overwrite) as folder:
        document = _write(sampler, labels, request.count, folder, progress)
    return document.model_copy(update={"out": str(target)})


def _shown(sampler: Sampler, label: str, pixels: NDArray[np.uint8], columns: int) -> list[NDArray[np.uint8]]:
    """What the picture shows of a class: its images, each row below the real images that they were made from."""
    if sampler.trained.sources is None:
        return [pixels]
    sources = sampler.sources(label, len(pixels))
    rows = [slice(start, start + columns) for start in range(0, len(pixels), columns)]
    return [part for row in rows for part in (sources[row], pixels[row])]


def _write(sampler: Sampler, labels: list[str], count: int, folder: Path, progress: Progress) -> SamplesDocument:
    look = plain_look(sampler.trained.resolution, sampler.trained.channels)
    files: dict[str, list[str]] = {}
    shown: list[NDArray[np.uint8]] = []
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
    (folder / "grid.png").write_bytes(save_marked(grid(shown, columns), "PNG"))
    document = SamplesDocument(
        out=".", per_class=files, grid="grid.png", checkpoint=sampler.trained.checkpoint, seed=sampler.seed,
        truncation=sampler.psi,
    )  # fmt: skip
    write_json(folder / DOCUMENT, document.model_dump(mode="json"))
    return document
