"""The results of inspect, export, curate, check, samples and traverse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from synthaug.documents import (
    CheckDocument,
    CurateDocument,
    ExportDocument,
    InspectDocument,
    SamplesDocument,
    TraverseDocument,
)
from synthaug.errors import plural
from synthaug.results.base import Result, code, paragraph, picture, table


class InspectResult(Result, InspectDocument):
    """What `synthaug.inspect` returns: an `InspectDocument`."""

    def lines(self) -> Iterator[str]:
        training = self.splits.get("train", {name: c.count for name, c in self.classes.items()})
        rare = ", ".join(f"{name} ({training.get(name, 0):,})" for name in self.targets)
        yield f"{self.data}: {plural(self.images, 'image')}, {plural(len(self.classes), 'class', 'classes')}"
        yield f"rare: {rare or 'none'}"
        yield from (f"warning: {line}" for line in self.warnings)
        yield f"next: {self.command}"

    def blocks(self) -> Iterator[str]:
        yield paragraph(f"{self.data}: {plural(self.images, 'image')}")
        rows = [
            [
                name,
                c.count,
                f"{c.share:.1%}",
                *(split.get(name, 0) for split in self.splits.values()),
                _mark(name in self.targets),
            ]
            for name, c in self.classes.items()
        ]
        yield table(["class", "images", "share", *self.splits, "rare"], rows)
        yield from (paragraph(f"warning: {line}") for line in self.warnings)
        yield code(self.command)


class ExportResult(Result, ExportDocument):
    """What `synthaug.export` returns: an `ExportDocument`."""

    def lines(self) -> Iterator[str]:
        real, synthetic = (sum(getattr(c, kind) for c in self.per_class.values()) for kind in ("real", "synthetic"))
        yield f"{plural(real, 'real image')} and {plural(synthetic, 'synthetic one')} in {self.out}"

    def blocks(self) -> Iterator[str]:
        yield paragraph(str(self))
        rows = [[name, c.real, c.synthetic, sum(c.rejected.values())] for name, c in self.per_class.items()]
        yield table(["class", "real", "synthetic", "rejected"], rows)


class CurateResult(Result, CurateDocument):
    """What `synthaug.curate` returns: a `CurateDocument`."""

    def lines(self) -> Iterator[str]:
        for name, c in self.per_class.items():
            yield f"{name}: {c.accepted:,} accepted and {c.rejected:,} rejected of {plural(c.shown, 'image')}"

    def blocks(self) -> Iterator[str]:
        rows = [[name, c.shown, c.accepted, c.rejected] for name, c in self.per_class.items()]
        yield table(["class", "shown", "accepted", "rejected"], rows)


class CheckResult(Result, CheckDocument):
    """What `synthaug.check` returns: a `CheckDocument`."""

    def lines(self) -> Iterator[str]:
        for name, quality in self.per_class.items():
            yield f"{name}: diversity {quality.collapse}, copies {quality.memorisation}"

    def blocks(self) -> Iterator[str]:
        rows = [
            [name, q.score("kid").value, q.score("coverage").value, q.collapse, q.memorisation]
            for name, q in self.per_class.items()
        ]
        yield table(["class", "KID", "coverage", "diversity", "copies"], rows)


class SamplesResult(Result, SamplesDocument):
    """What `synthaug.samples` returns: a `SamplesDocument`."""

    def lines(self) -> Iterator[str]:
        counts = ", ".join(f"{len(files):,} of {name}" for name, files in self.per_class.items())
        yield f"{counts}, in {self.out}"

    def blocks(self) -> Iterator[str]:
        yield paragraph(str(self))
        yield picture(Path(self.out) / self.grid)


class TraverseResult(Result, TraverseDocument):
    """What `synthaug.traverse` returns: a `TraverseDocument`."""

    def lines(self) -> Iterator[str]:
        yield f"{plural(self.rows, 'row')} along {self.along}, in {self.out}"

    def blocks(self) -> Iterator[str]:
        yield paragraph(str(self))
        yield picture(Path(self.out))


def _mark(yes: bool) -> str:
    return "rare" if yes else ""
