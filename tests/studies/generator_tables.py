"""The tables and the plot of the study of generators, in docs/science/generators.md and docs/images/generators.png."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from tables import between, written

DOCS = Path(__file__).parents[2] / "docs"
HEAD = [
    "name",
    "data",
    "kimg",
    "images/s",
    "G parameters",
    "KID",
    "own KID",
    "coverage",
    "spread",
    "own label",
    "variety",
]
COLOURS = colormaps["tab20"].colors  # more lines than the ten colours of the default cycle
TICKS = (5, 10, 20, 50, 100, 200, 500, 1000)
STAGES = {1: "families", 2: "objectives", 3: "peers", 4: "parts"}
PLOTTED = (1, 2, 3)


def write(rows: Sequence[dict[str, Any]]) -> None:
    """Rewrite the tables of the stages that were run between their markers, and the plot."""
    run = {row["stage"] for row in rows}
    for stage in sorted(run):
        between(DOCS / "science/generators.md", STAGES[stage], _table([r for r in rows if r["stage"] == stage]))
    _pages([row for row in rows if row["stage"] == 4])
    if run.issuperset(PLOTTED):
        _plot(rows, DOCS / "images/generators.png")


def _pages(rows: Sequence[dict[str, Any]]) -> None:
    """Rewrite the figures on the page of each part, beside those of the default in the same stage."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["name"], row["minutes"]].append(row)
    for (name, minutes), of in list(groups.items()):  # of two lengths the later one stays
        file = DOCS / "parts" / f"{'hinge' if name == 'default' else name}.md"
        if file.exists():
            between(file, "figures", _figures(of, groups["default", minutes] if name != "default" else []))


def _verdicts(rows: Sequence[dict[str, Any]]) -> str:
    """What `check` says of the rare classes, and of how many."""
    ends = [row["curve"][-1] for row in rows]
    found = Counter(c["collapse"] for end in ends for c in end["classes"].values() if "collapse" in c)
    return ", ".join(f"{count} {verdict}" for verdict, count in found.most_common())


def _figures(rows: Sequence[dict[str, Any]], default: Sequence[dict[str, Any]]) -> str:
    """In words, with those of `default` in brackets."""

    def value(of: Sequence[dict[str, Any]], figure: str) -> float:
        return fmean(row["curve"][-1][figure] for row in of)

    def both(label: str, figure: str, form: str) -> str:
        return f"{label} {value(rows, figure):{form}}" + (f" ({value(default, figure):{form}})" if default else "")

    seeds = f", {len(rows)} seeds" if len(rows) > 1 else ""
    rate = fmean(row["images_per_second"] for row in rows)
    told = [
        both("rare-class KID", "rare_kid", ".2f"),
        both("own KID", "rare_kid_own", ".3f"),
        both("coverage", "rare_coverage", ".2f"),
        both("spread", "rare_spread", ".2f"),
        both("own label", "rare_own_label", ".0%"),
    ]
    return (
        f"{rows[0]['minutes']:g} minutes on one core{seeds}, {value(rows, 'kimg'):.0f} kimg at {rate:.0f} images/s"
        + (f" (in brackets: the default, {value(default, 'kimg'):.0f} kimg)" if default else "")
        + ":\n"
        + ", ".join(told)
        + f"; variety by `check`: {_verdicts(rows)}.\n"
        "`make study-generators`, [compared](../science/generators.md)."
    )


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """One line a name and a set of images, averaged over seeds (KID: of each), the best mean own KID first."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["data"], row["name"], row["minutes"]].append(row)
    best = sorted(groups.items(), key=lambda g: (g[0][0], fmean(row["curve"][-1]["rare_kid_own"] for row in g[1])))
    return written(HEAD, [_line(*key, of) for key, of in best])


def _line(data: str, name: str, minutes: float, rows: Sequence[dict[str, Any]]) -> list[str]:
    ends = [row["curve"][-1] for row in rows]

    def mean(figure: str, places: int) -> str:
        return f"{fmean(end[figure] for end in ends):.{places}f}"

    kimg = [end["kimg"] for end in ends if end["kimg"] is not None]
    return [
        f"`{name}`",
        f"{data}, {minutes:g} min" + (f", {len(rows)} seeds" if len(rows) > 1 else ""),
        f"{fmean(kimg):.0f}" if kimg else "",
        f"{fmean(row['images_per_second'] for row in rows):.0f}" if "images_per_second" in rows[0] else "",
        f"{rows[0]['generator_parameters'] / 1e6:.2f} M" if "generator_parameters" in rows[0] else "",
        ", ".join(f"{end['rare_kid']:.2f}" for end in ends),
        ", ".join(f"{end['rare_kid_own']:.3f}" for end in ends),
        mean("rare_coverage", 2),
        mean("rare_spread", 2),
        f"{fmean(end['rare_own_label'] for end in ends):.0%}",
        _verdicts(rows),
    ]


def _plot(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Rare-class KID of the judge's own net against images seen, one panel a stage (of stage 3, Fashion-MNIST)."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    for axes, stage in zip(figure.subplots(1, len(PLOTTED), sharey=True), PLOTTED, strict=True):
        axes.set_prop_cycle(color=COLOURS)
        for row in rows:
            if row["stage"] == stage and row["data"] == "fashion":
                points = [(p["kimg"], p["rare_kid_own"]) for p in row["curve"] if p["kimg"]]
                if points:
                    label = row["name"] if row["seed"] == 0 else f"{row['name']}, seed {row['seed']}"
                    axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        axes.set(title=STAGES[stage], xlabel="thousands of images seen", xscale="log", yscale="log")
        axes.set_xticks(TICKS, [str(tick) for tick in TICKS])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(4, 1000)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    figure.axes[0].set_ylabel("rare-class KID (own net)")
    figure.savefig(file, dpi=100)
