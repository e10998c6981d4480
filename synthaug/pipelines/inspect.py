"""`synthaug inspect`: what a folder of images contains, which classes are rare, and which command to run next."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from synthaug.config import AUTO
from synthaug.data.alike import near_duplicate_groups
from synthaug.data.attributes import rare_combinations, read_columns
from synthaug.data.fetched import local_folder
from synthaug.data.folder import ImageRecord, Scan, scan
from synthaug.data.plan import rare_classes
from synthaug.data.series import Series
from synthaug.documents import (
    ClassCount,
    ColumnSummary,
    InspectDocument,
    Mirroring,
    RareCombination,
    SeriesProposal,
    TrainingProposal,
)
from synthaug.errors import shell_command
from synthaug.pipelines.auto import (
    DataSummary,
    choose,
    first_budget,
    mirror_test_of,
    series_of,
    typical_side,
)
from synthaug.progress import Progress, shown
from synthaug.requests import InspectRequest, documented
from synthaug.results.commands import InspectResult

BALANCED = 1.5
"""Imbalance ratio below which no class is called rare."""


@documented(InspectRequest)
def inspect(
    data: str | Path, *, group_by: str | None = None, strict: bool = False, cache: str | Path | None = None,
    progress: Progress | bool = True,
) -> InspectResult:  # fmt: skip
    """Describe a folder of labelled images. Nothing is written into it.

    Raises:
        SynthaugError: as `scan`.
    """
    return InspectResult.of(run_inspect(InspectRequest.of(locals()), shown(progress)))


def run_inspect(request: InspectRequest, progress: Progress) -> InspectDocument:
    folder = local_folder(request.data, request.cache, progress)
    found = scan(folder, group_by=request.group_by, strict=request.strict, cache=request.cache, progress=progress)
    with progress.task("comparing images", None, "images"):
        alike = near_duplicate_groups(found)
    exact = _equal(found.images)
    seen = {tuple(sorted(group)) for group in exact}
    near = [group for group in ([found.images[k].path for k in group] for group in alike) if tuple(group) not in seen]
    labels = {image.path: image.label for image in found.images}
    training = found.training_counts
    targets = rare_classes(training)
    series = series_of(found)
    test = mirror_test_of(found, series)
    chosen = choose(DataSummary(typical_side(found.images), found.channels, training, False, series, test))
    allowed, why = chosen["training.flip"]
    side, of_side = chosen["data.resolution"]
    budget, of_budget = first_budget(chosen, side)
    proposed = _proposed(series, found, alike) if series is not None else None
    columns, seldom = _columns(found)
    counts = {**dict.fromkeys(found.empty, 0), **found.counts}
    total = len(found.images)
    return InspectDocument(
        data=str(request.data), layout=found.layout, images=total,
        classes={name: ClassCount(count=n, share=round(n / total, 6)) for name, n in sorted(counts.items())},
        splits=_splits(found), imbalance_ratio=round(max(training.values()) / min(training.values()), 4),
        sizes=dict(Counter(f"{i.width}x{i.height}" for i in found.images).most_common()),
        channels=dict(Counter(i.mode for i in found.images).most_common()),
        formats=dict(Counter(i.format for i in found.images).most_common()), unreadable=found.unreadable,
        ignored=found.ignored, duplicates=exact, near_duplicates=near,
        conflicting_labels=[group for group in exact if len({labels[path] for path in group}) > 1], targets=targets,
        columns=columns, rare_combinations=seldom,
        mirroring=Mirroring(allowed=allowed, reason=why), series=proposed,
        training=TrainingProposal(
            resolution=side, resolution_reason=of_side, channels=found.channels, budget=budget, budget_reason=of_budget
        ),
        command=propose_command(
            request.data, targets, budget, series.expression if series is not None else request.group_by
        ),
        warnings=[*found.warnings, *_warnings(found, training)],
    )  # fmt: skip


def _columns(found: Scan) -> tuple[dict[str, ColumnSummary], list[RareCombination]]:
    """The columns that divide the training images, and which of their values are seldom in which class."""
    images = found.training
    read = read_columns(found.root, [image.path for image in images]).values()
    columns = [column for column in read if column.divides]
    rare = rare_combinations(columns, [image.label for image in images])
    return (
        {c.name: ColumnSummary(kind=c.kind, values={v: c.values.count(v) for v in c.ordered}) for c in columns},
        [one.model_copy(update={"expected": round(one.expected, 1)}) for one in rare],
    )


def _proposed(series: Series, found: Scan, alike: Sequence[Sequence[int]]) -> SeriesProposal:
    """The series, with a warning if images that look alike lie in more than one of them."""
    names = series.names([image.path for image in found.images])
    across = sum(len({names[k] for k in group}) > 1 for group in alike)
    warnings = [series.warning] if series.warning else []
    if across:
        warnings.append(
            f"{across} groups of images that look alike lie in more than one series; `fit` keeps them together"
        )
    return SeriesProposal(
        group_by=series.expression, groups=series.groups, reason=series.evidence, warning="; ".join(warnings)
    )


def propose_command(data: str | Path, targets: Sequence[str], budget: str, group_by: str | None = None) -> str:
    """`synthaug fit …`, quoted for a POSIX shell."""
    return shell_command("fit", data, target_class=targets, recipe=AUTO, budget=budget, group_by=group_by)


def _equal(images: Sequence[ImageRecord]) -> list[list[str]]:
    """Groups of paths with equal pixels, each in order of path."""
    groups: dict[str, list[str]] = defaultdict(list)
    for image in images:
        groups[image.pixel_sha256].append(image.path)
    return [group for group in groups.values() if len(group) > 1]


def _splits(found: Scan) -> dict[str, dict[str, int]]:
    tally: Counter[tuple[str, str]] = Counter((i.split, i.label) for i in found.images if i.split is not None)
    names = [name for name in ("train", "val", "test") if any(split == name for split, _ in tally)]
    return {name: {label: tally[name, label] for label in found.classes} for name in names}


def _warnings(found: Scan, training: dict[str, int]) -> list[str]:
    lines = [f"class {label!r} has no readable image: {reason}" for label, reason in found.empty.items()]
    if len(training) < 2:
        lines.append("there is only one class with training images; `synthaug fit` needs at least two")
    elif max(training.values()) / min(training.values()) < BALANCED:
        lines.append("the classes are about equally large: none of them is rare")
    few = [label for label, count in training.items() if count < 2]
    if few:
        lines.append(f"too few images to train on: {', '.join(map(repr, few))}")
    only_held_out = sorted(set(found.counts) - set(training))
    if only_held_out:
        lines.append(f"classes without a training image: {', '.join(map(repr, only_held_out))}")
    return lines
