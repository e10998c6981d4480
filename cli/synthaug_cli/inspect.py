"""`synthaug inspect DATA`: describe a folder of images, and propose the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.errors import plural
from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import InspectDocument
    from synthaug.requests import InspectRequest

SHOWN = 5  # files named per problem; --json has all of them


def command(request: InspectRequest) -> None:
    """Describe a folder of images, and propose the next command.

    Examples:
        synthaug inspect photos
        synthaug inspect photos --group-by 'patient(\\d+)' --json
    """
    fast_checks.folder(request.data, "DATA")
    from synthaug.pipelines.inspect import run_inspect

    console.result(run_inspect(request, console.progress()), render)


def render(found: InspectDocument) -> None:
    splits = list(found.splits)
    rows = [
        [name, c.count, f"{c.share:.1%}", *(found.splits[s].get(name, 0) for s in splits), _rare(name, found)]
        for name, c in sorted(found.classes.items(), key=lambda item: (-item[1].count, item[0]))
    ]
    console.table(
        f"{found.data}: {plural(found.images, 'image')}, {plural(len(found.classes), 'class', 'classes')}",
        ["class", "images", "share", *splits, ""],
        rows,
    )
    console.line(f"imbalance   {found.imbalance_ratio:.1f} (largest class ÷ smallest)")
    console.line(f"sizes       {_most_frequent(found.sizes)}")
    console.line(f"colours     {_most_frequent(found.channels)}")
    console.line(f"formats     {_most_frequent(found.formats)}")
    _problem("unreadable files", [f"{u.path}: {u.reason}" for u in found.unreadable])
    _problem("files outside any class", found.ignored)
    _problem("groups of equal images", [" = ".join(g) for g in found.duplicates])
    _problem("groups of equal images with different labels", [" = ".join(g) for g in found.conflicting_labels])
    _problem("groups of similar images (kept in one split)", [" ≈ ".join(g) for g in found.near_duplicates])
    console.line()
    if found.targets:
        console.line(f"rare: {', '.join(found.targets)}")
    for name, column in found.columns.items():
        console.prose(f"column      {name}: {_most_frequent(column.values)}", 12)
    for one in found.rare_combinations[:SHOWN]:
        console.prose(
            f"seldom      {one.label} with {one.column} {one.value}: {plural(one.images, 'image')}, "
            f"about {one.expected:.0f} expected",
            12,
        )
    if (more := len(found.rare_combinations) - SHOWN) > 0:
        console.line(f"            … and {more} more (--json lists all)")
    console.prose(f"mirroring   {'yes' if found.mirroring.allowed else 'no'}: {found.mirroring.reason}", 12)
    if found.series is not None:
        console.prose(f"series      --group-by '{found.series.group_by}': {found.series.reason}", 12)
        if found.series.warning:
            console.prose(f"            note: {found.series.warning}", 12)
    training = found.training
    colours = "grey" if training.channels == 1 else "colour"
    console.prose(f"training    {training.resolution} px, {colours}: {training.resolution_reason}", 12)
    console.prose(f"budget      {training.budget}: {training.budget_reason}", 12)
    console.line(f"next: {found.command}")


def _rare(name: str, found: InspectDocument) -> str:
    return "rare" if name in found.targets else ""


def _most_frequent(counts: dict[str, int]) -> str:
    first = sorted(counts.items(), key=lambda item: -item[1])[:4]
    more = f", and {len(counts) - len(first)} more" if len(counts) > len(first) else ""
    return ", ".join(f"{name} ({count:,})" for name, count in first) + more


def _problem(title: str, items: list[str]) -> None:
    if items:
        console.line(f"\n{title}: {len(items)}")
        for item in items[:SHOWN]:
            console.line("  " + item.replace("\n", "\\n"))
        if len(items) > SHOWN:
            console.line(f"  … and {len(items) - SHOWN} more (--json lists all)")
