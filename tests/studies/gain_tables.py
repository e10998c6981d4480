"""The tables of docs/science/gain.md, from the lines of gain.jsonl."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from changes import DEFAULT
from gain_sets import SETS, SOURCES
from tables import DOCS, between, kept, written

Row = dict[str, Any]
PAGE = DOCS / "gain.md"
NONE = "–"
NAMES = {
    "control": "classical", "oversample": "oversampling", "class-weights": "class weights",
    "mixup-control": "mixup",
}  # fmt: skip


ANY = object()
PLAIN = {"generator": DEFAULT, "times": 1, "gated": True, "again": False}


def rows_of(file: Path) -> list[Row]:
    """The lines of the file; those of the first passes lack the fields that came later."""
    return [{**PLAIN, **row} for row in kept(file)]


def find(rows: Sequence[Row], **values: Any) -> list[Row]:
    """The rows with these values, and those of `PLAIN` if nothing else is said."""
    wanted = PLAIN | values
    return [row for row in rows if all(value is ANY or row[name] == value for name, value in wanted.items())]


def best_control(rows: Sequence[Row], data: str, classifier: str) -> str | None:
    """The control with the highest mean F1 on explore."""
    controls = find(rows, data=data, judge="explore", classifier=classifier, kimg=0)
    return max(controls, key=lambda row: fmean(row["f1"]))["way"] if controls else None


def augments(rows: Sequence[Row], data: str, classifier: str) -> bool:
    """Whether classical augmentation beats none on explore; both draw the classes equally often."""
    two = [find(rows, data=data, judge="explore", classifier=classifier, way=way) for way in ("control", "oversample")]
    return fmean(two[0][0]["f1"]) >= fmean(two[1][0]["f1"])


def gains(rows: Sequence[Row], way: str, classifier: str, kimg: int) -> dict[str, dict[str, float]]:
    """Set → the gain of a way over the set's best control, on explore."""
    out = {}
    for source in SOURCES:
        found = find(rows, data=source.name, judge="explore", classifier=classifier, way=way, kimg=kimg)
        best = best_control(rows, source.name, classifier)
        if found and best in found[0]["against"]:
            out[source.name] = found[0]["against"][best]
    return out


def ranked(rows: Sequence[Row], classifier: str, kimg: int) -> list[tuple[str, dict[str, dict[str, float]]]]:
    """The ways that were tried on all sets, the highest mean gain first."""
    ways = dict.fromkeys(row["way"] for row in find(rows, judge="explore", classifier=classifier, kimg=kimg))
    found = [(way, gains(rows, way, classifier, kimg)) for way in ways]
    whole = [(way, of) for way, of in found if len(of) == len(SOURCES)]
    return sorted(whole, key=lambda pair: -fmean(gain["gain"] for gain in pair[1].values()))


def chosen(rows: Sequence[Row], kimg: int = 120) -> str | None:
    """The way with the highest mean gain by cnn on explore. It is chosen once: what was confirmed stays the choice."""
    if confirmed := [row["way"] for row in rows if row["judge"] == "confirm" and row["kimg"] == kimg]:
        return str(confirmed[0])
    found = ranked(rows, "cnn", kimg)
    return found[0][0] if found else None


def signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def told(gain: dict[str, float] | None) -> str:
    if gain is None:
        return NONE
    text = f"{signed(gain['gain'])} ({signed(gain['low'])} to {signed(gain['high'])})"
    return f"**{text}**" if gain["low"] > 0 else text


def write(rows: Sequence[Row], kimg: Sequence[int]) -> None:
    last = kimg[-1]
    sets = [source.name for source in SOURCES]
    between(PAGE, "controls", written(*_controls(rows)))
    for classifier in ("cnn", "finetune"):
        found = [gains(rows, "share-25", classifier, k) for k in kimg]
        curve = [[name, *(told(of.get(name)) for of in found)] for name in sets]
        means = [signed(fmean(g["gain"] for g in of.values())) if len(of) == len(sets) else NONE for of in found]
        head = ["set", *(f"{k} kimg" for k in kimg)]
        between(PAGE, f"curve of {classifier}", written(head, [*curve, ["mean", *means]]))
    for classifier in ("cnn", "finetune"):
        lines = [
            [f"`{way}`", signed(fmean(g["gain"] for g in of.values())), *(told(of[name]) for name in sets)]
            for way, of in ranked(rows, classifier, last)
        ]
        between(PAGE, f"ways of {classifier}", written(["way", "mean", *sets], lines))
    between(PAGE, "confirmed", written(*_confirmed(rows, last)))
    between(PAGE, "gate", written(*_gate(rows)))
    between(PAGE, "steps", written(*_steps(rows)))
    between(PAGE, "changes", written(*_changes(rows)))
    between(PAGE, "rare images", written(*_rare(rows, last)) if _rare(rows, last)[1] else "Not run yet.")


def _controls(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    head = ["set", "rare classes", "classifier", *NAMES.values(), "groups (images) of a rare class that judge"]
    lines = []
    for source in SOURCES:
        for classifier in ("cnn", "finetune"):
            found = {r["way"]: r for r in find(rows, data=source.name, judge="explore", classifier=classifier, kimg=0)}
            if found:
                best = best_control(rows, source.name, classifier)
                level = {way: f"{fmean(row['f1']):.3f}" for way, row in found.items()}
                level = {way: f"**{text}**" if way == best else text for way, text in level.items()}
                of = next(iter(found.values()))
                counts = ", ".join(f"{g} ({n})" for g, n in zip(of["groups"], of["images"], strict=True))
                rare = f"{', '.join(source.rare)}: {source.images} each"
                lines.append([source.name, rare, classifier, *(level.get(way, NONE) for way in NAMES), counts])
    return head, lines


def _confirmed(rows: Sequence[Row], kimg: int) -> tuple[list[str], list[list[str]]]:
    head = ["set", "classifier", "best control", "its F1", "way", "its F1", "gain", "found in 80% from", "generator"]
    lines = []
    for row in find(rows, judge="confirm", kimg=kimg):
        best = best_control(rows, row["data"], row["classifier"])
        control = find(rows, data=row["data"], judge="confirm", classifier=row["classifier"], way=best, kimg=0)
        gain = row["against"].get(best)
        if gain and control:
            seen = f"{gain['detectable']:.3f}" if gain["detectable"] is not None else "no size"
            lines.append([
                row["data"], f"{row['classifier']}, {len(row['seeds'])} seeds", NAMES[best or ""],
                f"{fmean(control[0]['f1']):.3f}", f"`{row['way']}`", f"{fmean(row['f1']):.3f}", told(gain), seen,
                f"{row['minutes']:.0f} min",
            ])  # fmt: skip
    return head, lines


def _level(row: Row) -> str:
    return f"{fmean(row['f1']):.3f}"


def _alike(rows: Sequence[Row], row: Row, **other: Any) -> list[Row]:
    """The rows that differ from `row` in these values only."""
    names = ("data", "judge", "classifier", "way", "kimg", "augment", *PLAIN)
    return find(rows, **{name: row[name] for name in names} | other)


def _gate(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    lines = []
    for row in find(rows, gated=False, again=True):
        of = [row["data"], str(row["kimg"]), f"{row['passing']:.0%}", row["classifier"]]
        levels = [_level(_alike(rows, row, gated=True)[0]), _level(row)]
        lines.append([*of, *levels, told(row["against"][DEFAULT])])
    return ["set", "kimg", "pass the gate", "classifier", "F1, gated", "F1, ungated", "ungated − gated"], lines


def _steps(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The gain of the default way at each number of steps, on the sets where more than one was tried."""
    lines = []
    more = sorted(find(rows, times=ANY, way="share-25", kimg=120, again=True), key=lambda row: row["times"])
    for data, classifier in dict.fromkeys((row["data"], row["classifier"]) for row in more if row["times"] > 1):
        best = best_control(rows, data, classifier)
        for row in find(more, data=data, classifier=classifier, times=ANY, again=True):
            control = _alike(rows, row, way=best, kimg=0, augment=True)
            gain = told(row["against"].get(best))
            lines.append(
                [data, classifier, str(row["steps"]), NAMES[best or ""], _level(control[0]), _level(row), gain]
            )
    return ["set", "classifier", "steps", "best control", "its F1", "F1 of `share-25`", "gain"], lines


def _changes(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    lines = []
    for row in find(rows, generator=ANY, again=True):
        if row["generator"] != DEFAULT:
            best = best_control(rows, row["data"], row["classifier"])
            gain, beside = told(row["against"].get(best)), told(row["against"][DEFAULT])
            lines.append([f"`{row['generator']}`", str(row["kimg"]), row["data"], row["classifier"], gain, beside])
    head = ["change", "kimg", "set", "classifier", "gain over the best control", "beside the default"]
    return head, sorted(lines, key=lambda line: (line[3], line[2]))


def _rare(rows: Sequence[Row], kimg: int) -> tuple[list[str], list[list[str]]]:
    """The sets of which there are variants with other numbers of rare images."""
    varied = {row["data"].rsplit("-", 1)[0] for row in rows if row["data"] not in {s.name for s in SOURCES}}
    lines = []
    for source in sorted(SETS.values(), key=lambda s: (s.name.split("-")[0], s.images)):
        name = source.name
        best = best_control(rows, name, "cnn")
        found = find(rows, data=name, judge="explore", classifier="cnn", way="share-25", kimg=kimg)
        if found and best and {name, name.rsplit("-", 1)[0]} & varied:
            lines.append([name, str(source.images), NAMES[best], told(found[0]["against"].get(best))])
    return ["set", "rare images", "best control", "gain of `share-25`"], lines
