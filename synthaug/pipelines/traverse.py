"""`synthaug traverse`: one picture of what an InfoGAN code does: a noise a row, a value of the code a column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.documents import TraverseDocument
from synthaug.errors import SynthaugError
from synthaug.exporters.provenance import save_marked
from synthaug.files import write_bytes
from synthaug.models.family import to_uint8
from synthaug.runs import Run, find
from synthaug.sampling.generate import Sampler, load, noise
from synthaug.sampling.grid import grid


def traverse(
    run: str | Path | Run | None = None,
    *,
    code: int | None = None,
    label: str | None = None,
    rows: int = 6,
    steps: int = 9,
    out: Path | None = None,
    checkpoint: str | Path = "best",
    seed: int | None = None,
    runs: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> TraverseDocument:
    """Draw what a code does, all else being equal: in a row only the code changes.

    Args:
        run: a run's path, name or number; the latest when None.
        code: its number, from 0, the categorical ones first; None draws all, one below the other.
        label: the class to draw; the first target class when None.
        rows: noises to draw it with.
        steps: values of a continuous code, −.98 to .98; a categorical one has as many as it has choices.
        out: the PNG to write; `traverse-<run>.png` when None.

    Raises:
        SynthaugError: the run has no codes or not this one, no such class, or an output that is in the way.
    """
    found = run if isinstance(run, Run) else find(run, runs)
    sizes = found.config().model
    count = len(sizes.categorical_codes) + sizes.continuous_codes
    if count == 0:
        raise SynthaugError(
            f"the run {found.name!r} has no codes",
            "train one: synthaug fit DATA --set model.continuous_codes=2 --set 'training.auxiliary={infogan: 1.0}'",
        )
    if code is not None and not 0 <= code < count:
        raise SynthaugError(f"the run {found.name!r} has no code {code}", f"give a number from 0 to {count - 1}")
    target = (Path(f"traverse-{found.name}.png") if out is None else Path(out)).absolute()
    check_picture(target, overwrite)
    sampler = load(found, checkpoint=checkpoint, seed=seed, device=device)
    name = label if label is not None else (sampler.trained.targets or sampler.classes)[0]
    index = sampler.class_index(name)
    z = noise(sampler.seed, index, range(rows), sampler.trained.z_dim)
    lines: list[NDArray[np.uint8]] = []
    drawn: dict[str, list[float]] = {}
    for number in range(count) if code is None else [code]:
        values = list(sampler.trained.codes.values(number, steps))
        drawn[str(number)] = [float(v) for v in values]
        columns = torch.stack([sampler.trained.codes.put(z, number, value) for value in values], dim=1)
        lines += [_row(sampler, row, index) for row in columns]
    picture = save_marked(grid(lines, max(len(line) for line in lines)), "PNG")
    write_bytes(target, picture)
    return TraverseDocument(
        out=str(target),
        label=name,
        codes=drawn,
        rows=rows,
        checkpoint=sampler.trained.checkpoint,
        seed=sampler.seed,
    )


def check_picture(out: Path, overwrite: bool) -> None:
    """Make sure that `out` can become a picture.

    Raises:
        SynthaugError: it is no PNG's name, a folder, or there already.
    """
    if out.suffix.lower() != ".png":
        raise SynthaugError(f"--out {str(out)!r} is not the name of a picture", "give a name that ends in .png")
    if out.is_dir():
        raise SynthaugError(f"--out {str(out)!r} is a folder", "give the name of a picture that ends in .png")
    if out.exists() and not overwrite:
        raise SynthaugError(f"{str(out)!r} exists already", "give another name with --out, or --overwrite")


def _row(sampler: Sampler, z: torch.Tensor, label: int) -> NDArray[np.uint8]:
    """One line of images, uint8 [values, C, H, W]; z: float[values, z_dim]."""
    return to_uint8(sampler.trained.generate(z, torch.full((len(z),), label, dtype=torch.int64)))
