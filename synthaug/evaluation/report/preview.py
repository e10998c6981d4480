"""The page of a training: samples, losses, scores and time left, from the files in the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import jinja2

from synthaug.documents import UpscalingScores
from synthaug.evaluation.report.curves import chosen_kimg, training_plots
from synthaug.evaluation.report.html import encodable, templates
from synthaug.evaluation.report.scores import arm_name
from synthaug.evaluation.report.svg import number
from synthaug.progress.counter import duration
from synthaug.runs import Run
from synthaug.training.checkpoint import name_for
from synthaug.version import __version__

_TONES = {"finished": "good", "interrupted": "warn", "failed": "bad"}
_RECENT = 50
"""Rows of metrics.jsonl from which the speed is taken; scores and checkpoints between them count."""


@dataclass(frozen=True)
class Grid:
    """A picture of samples, and what it shows."""

    title: str
    source: str
    classes: list[str]


def render_preview(run: Run, source: Callable[[str], str], *, live: bool) -> str:
    """The page as HTML.

    Args:
        run: the training.
        source: gives the address of a picture by its name in `samples/`.
        live: the page asks the server for news, and has a button to stop the training.
    """
    facts, config, status, rows = run.facts(), run.config(), run.status(), run.metrics()
    scored = [row for row in rows if row["kind"] == "monitor"]
    kimg = max((row["kimg"] for row in rows), default=0.0)
    total = status.get("total_kimg")
    given = {
        "run": run, "facts": facts, "live": live, "version": __version__,
        "family": config.model.family, "resolution": config.data.resolution,
        "state": status.get("state", "unknown"), "updated": status.get("updated"), "diverged": status.get("diverged"),
        "tone": _TONES.get(status.get("state", ""), "neutral"),
        "kimg": kimg, "total": total, "speed": speed(rows), "left": _left(rows, kimg, total),
        "score": scored[-1].get("score") if scored else None,
        "best": next((row.get("score") for row in reversed(scored) if row.get("best")), None),
        "scores": _scores(scored, facts.classes, facts.targets), "upscaling": _upscaling(scored),
        "grids": _grids(run, scored, facts.classes, source),
        "plots": training_plots(rows, facts.targets), "chosen": chosen_kimg(rows),
    }  # fmt: skip
    return encodable(_template().render(given))


@cache
def _template() -> jinja2.Template:
    """Compiled once, for the page is drawn again and again."""
    found = templates()
    found.filters.update(number=number, arm_name=arm_name)  # those of the macros
    return found.get_template("preview.html.j2")


def speed(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Images per second over the last rows; None before the second row."""
    steps = [row for row in rows if row["kind"] == "step" and row.get("images_per_second", 0) > 0][-_RECENT:]
    images = [1000 * (now["kimg"] - before["kimg"]) for before, now in pairwise(steps)]
    seconds = sum(n / row["images_per_second"] for n, row in zip(images, steps[1:], strict=True))
    return sum(images) / seconds if seconds > 0 else None


def _left(rows: Sequence[Mapping[str, Any]], kimg: float, total: float | None) -> str | None:
    """The time left, in words; None until it is known."""
    rate = speed(rows)
    return None if total is None or rate is None else duration(max(total - kimg, 0) * 1000 / rate)


def _scores(
    scored: Sequence[Mapping[str, Any]], classes: Sequence[str], targets: Sequence[str]
) -> list[tuple[str, bool, Any, Any, str]]:
    """The last scores of each class that has some, targets first: name, whether a target, KID, coverage, against."""
    latest = scored[-1].get("per_class", {}) if scored else {}
    order = sorted((name for name in classes if "kid" in latest.get(name, {})), key=lambda name: name not in targets)
    rows = [(name, latest[name]) for name in order]
    return [(n, n in targets, s.get("kid"), s.get("coverage"), s.get("reference", "")) for n, s in rows]


def _upscaling(scored: Sequence[Mapping[str, Any]]) -> str | None:
    latest = scored[-1].get("upscaling") if scored else None
    return None if latest is None else UpscalingScores.model_validate(latest).text()


def _grids(
    run: Run, scored: Sequence[Mapping[str, Any]], classes: list[str], source: Callable[[str], str]
) -> list[Grid]:
    """The newest samples, and those of the best checkpoint if they are others."""
    best = next((row["kimg"] for row in reversed(scored) if row.get("best")), None)
    last = scored[-1]["kimg"] if scored else None
    found = []
    for kimg in dict.fromkeys([last, best]):
        if kimg is None:
            continue
        name = f"{name_for(round(kimg * 1000))}.png"
        if (run.samples / name).is_file():
            words = "newest" if kimg == last else "best checkpoint"
            words += ", the best so far" if kimg == last == best else ""
            found.append(Grid(f"{kimg:g} kimg ({words})", source(name), classes))
    return found
