"""`synthaug traverse`: one picture of a walk: along InfoGAN's codes, from noise to noise, or from class to class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.data.split import Split
from synthaug.documents import TraverseDocument
from synthaug.errors import SynthaugError
from synthaug.exporters.provenance import save_marked
from synthaug.files import check_new_file, check_outside, write_bytes
from synthaug.grid import grid
from synthaug.models.codes import codes_of
from synthaug.models.family import to_uint8
from synthaug.models.inputs import CHUNK, Inputs, joined
from synthaug.progress import Progress, shown
from synthaug.requests import TraverseRequest, documented
from synthaug.results.commands import TraverseResult
from synthaug.runs import Run, RunLike, find
from synthaug.sampling.attributes import RunAttributes, check_column, values_of
from synthaug.sampling.generate import SeededGenerator, load
from synthaug.sampling.trained import TrainedGenerator
from synthaug.sampling.walk import between, slerp

Line = NDArray[np.uint8]  # [columns, C, H, W]


@documented(TraverseRequest)
def traverse(
    run: RunLike | None = None, *, along: str = "codes", code: int | None = None, class_: str | None = None,
    to: str | None = None, where: Sequence[str] | Mapping[str, object] = (), text: str | None = None,
    rows: int = 6, steps: int = 9, out: str | Path | None = None, overwrite: bool = False,
    seed: int | None = None, checkpoint: str | Path = "best", runs: str | Path | None = None, device: str = "auto",
    cache: str | Path | None = None, progress: Progress | bool = True,
) -> TraverseResult:  # fmt: skip
    """Draw a walk through the generator's inputs. Along a row, one input changes.

    With `along` "codes" it is an InfoGAN code: a continuous one from −.98 to .98, a categorical one over its choices.
    With "noise", a row goes on the sphere from the noise of one sample to that of the next. With "classes", it goes
    in a straight line from one class embedding to another, at fixed noise. Else it names a condition of the run: a
    number goes from its lowest to its highest value in the class, a category takes each value.

    Raises:
        SynthaugError: there is no such run, code, class or condition, an option is bad, or the output exists.
    """
    return TraverseResult.of(run_traverse(TraverseRequest.of(locals()), shown(progress)))


def run_traverse(request: TraverseRequest, progress: Progress) -> TraverseDocument:
    along, steps = request.along, request.steps
    found = find(request.run, request.runs)
    numbers = _codes(found, request.code) if along == "codes" else []
    target = (Path(f"traverse-{found.name}.png") if request.out is None else request.out).absolute()
    check_outside(target, [found.facts().data], "--out")
    check_new_file(target, overwrite=request.overwrite)
    sampler = load(
        found, checkpoint=request.checkpoint, seed=request.seed, where=request.where, text=request.text,
        device=request.device, cache=request.cache,
    )  # fmt: skip
    told, along_column = sampler.trained.attributes, along not in ("codes", "noise", "classes")
    if along_column:
        check_column(told, along, found.name)
    name, end = _ends(found, sampler, request)
    index = sampler.class_index(name)
    if (along == "classes" or along_column) and (sources := sampler.trained.sources) is not None:
        # the walk begins with real images of the class
        own = sources.of_class(name, index)
        if told is not None:
            told = RunAttributes.of(told.conditions, told.plan, own.images)
        sampler = replace(sampler, trained=replace(sampler.trained, sources=own, attributes=told))
    starts = _starts(sampler, index, request.rows + 1)
    places = [round(place, 6) for place in np.linspace(0, 1, steps).tolist()]
    drawn: dict[str, list[float]] = {}
    values: list[str] = []
    if along == "codes":
        drawn = {str(number): list(map(float, sampler.trained.codes.values(number, steps))) for number in numbers}
        lines = _along_codes(sampler.trained, starts[:-1], drawn)
    elif along == "noise":
        lines = _along_noise(sampler.trained, starts, places)
    elif along_column:
        assert told is not None
        values = values_of(told, along, name, steps)
        lines = [_along_column(sampler.trained, told, start, along, values) for start in starts[:-1]]
    else:
        assert end is not None
        if end == name:
            raise SynthaugError(f"the walk would start and end at {name!r}", "give another class with --to")
        lines = _along_classes(sampler.trained, sampler.class_index(end), starts[:-1], places)
    picture = save_marked(grid(lines, max(len(line) for line in lines)), "PNG")
    write_bytes(target, picture)
    return TraverseDocument(
        out=str(target), along=along, label=name, to=end, codes=drawn,
        places=places if along in ("noise", "classes") else [],
        values=values, where=dict(sampler.where),
        extrapolated=[v for v in values if told is not None and not told.conditions.seen(name, {along: v})],
        rows=request.rows, checkpoint=sampler.trained.checkpoint, seed=sampler.seed,
    )  # fmt: skip


def _codes(run: Run, code: int | None) -> list[int]:
    """The codes to draw."""
    count = len(codes_of(run.config().model))
    if count == 0:
        raise SynthaugError(
            f"the run {run.name!r} has no codes",
            "walk --along noise or --along classes; or train a run that has codes: "
            "synthaug fit DATA --set model.continuous_codes=2 --set 'training.auxiliary={infogan: 1.0}'",
        )
    if code is not None and not 0 <= code < count:
        raise SynthaugError(f"the run {run.name!r} has no code {code}", f"give a number from 0 to {count - 1}")
    return list(range(count)) if code is None else [code]


def _ends(run: Run, sampler: SeededGenerator, request: TraverseRequest) -> tuple[str, str | None]:
    """The class to draw, or the first and the last one of a walk along classes.

    By default such a walk begins at the target class, or, if it starts from images, ends there and begins at the class
    that is translated.
    """
    target = (sampler.trained.targets or sampler.classes)[0]
    start, end = request.class_, request.to
    if request.along != "classes":
        return start or target, None
    counts = Split.read(run.split_file).counts()["train"]

    def largest_other(label: str) -> str:
        return max((name for name in sampler.classes if name != label), key=lambda name: counts.get(name, 0))

    if sampler.trained.sources is not None and start != target:
        end = end or target
        start = start or (run.facts().sources.get(end) or [largest_other(end)])[0]
    start = start or target
    return start, end or largest_other(start)


def _starts(sampler: SeededGenerator, index: int, count: int) -> list[Inputs]:
    """The inputs of the first images of a class, one by one."""
    chunks = [sampler.inputs.chunk(index, chunk) for chunk in range((count - 1) // CHUNK + 1)]
    return [chunk.row(k) for chunk in chunks for k in range(CHUNK)][:count]


def _along_codes(trained: TrainedGenerator, starts: Sequence[Inputs], drawn: dict[str, list[float]]) -> list[Line]:
    z = torch.cat([start.noise for start in starts])
    lines = []
    for number, values in drawn.items():
        columns = torch.stack([trained.codes.put(z, int(number), value) for value in values], dim=1)
        lines += [_line(trained, start, row) for start, row in zip(starts, columns, strict=True)]
    return lines


def _along_noise(trained: TrainedGenerator, starts: Sequence[Inputs], places: Sequence[float]) -> list[Line]:
    """From each noise to the next: a row begins where the row above ends. Codes do not change within a row."""
    if not trained.network.uses_noise:
        raise SynthaugError("this run's family has no noise to walk through", "walk --along classes")
    lines = []
    for start, end in pairwise(starts):
        path = slerp(start.noise[0], end.noise[0], torch.tensor(places))
        path[:, : trained.codes.size] = start.noise[:, : trained.codes.size]
        lines.append(_line(trained, start, path))
    return lines


def _along_classes(
    trained: TrainedGenerator, end: int, starts: Sequence[Inputs], places: Sequence[float]
) -> list[Line]:
    """From the class of each start to another. A walk that starts from a real image shows it in its first column."""
    label = int(starts[0].labels)
    mixed = replace(trained, network=between(trained.network, label, end, places))
    lines = []
    for start in starts:
        line = _line(mixed, start, start.noise.expand(len(places), -1), range(len(places)))
        lines.append(line if start.sources is None else np.concatenate([to_uint8(start.sources), line]))
    return lines


def _along_column(
    trained: TrainedGenerator, told: RunAttributes, start: Inputs, column: str, values: Sequence[str]
) -> Line:
    """The image of `start` with each value of a condition, and everything else kept; before it the source, if any."""
    start = start._replace(z=trained.network.own_noise(start.to(trained.device)).cpu())
    assert start.attributes is not None
    others = [told.conditions.vector({column: value}, elsewhere=np.nan) for value in values]
    own = start.attributes.numpy()
    attributes = torch.from_numpy(np.where(np.isnan(others), own, others).astype(np.float32))
    line = to_uint8(trained.generate(joined([start] * len(values))._replace(attributes=attributes)))
    return line if start.sources is None else np.concatenate([to_uint8(start.sources), line])


def _line(trained: TrainedGenerator, start: Inputs, z: torch.Tensor, labels: Sequence[int] | None = None) -> Line:
    """One line of images, uint8 [columns, C, H, W]: those of `start`, with other noise float[columns, z_dim]."""
    classes = start.labels.expand(len(z)) if labels is None else torch.tensor(labels)
    sources = None if start.sources is None else start.sources.expand(len(z), -1, -1, -1)
    attributes = None if start.attributes is None else start.attributes.expand(len(z), -1)
    return to_uint8(trained.generate(Inputs(classes, z, sources, attributes=attributes)))
