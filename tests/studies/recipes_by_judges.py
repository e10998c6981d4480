"""Would another net have chosen the same recipe? Recipes at equal time, on sets of the study of translation.

    python tests/studies/recipes_by_judges.py --pictures DIR

At 32 px on a CPU `auto` chooses `dcgan` with the hinge loss, the recipe `default`, because it did best by KID in
EfficientNet-Lite0 and in a net of the study's own. Here the recipes are scored by MobileNetV2 as well: for each net,
the mean KID over the rare classes of ungated samples against held-out real images.
A finished piece is a line of docs/science/recipes.jsonl and is not repeated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from generator_judge import COUNT
from scipy.stats import spearmanr
from tables import DOCS, between, keep, kept, written
from translation import SETS, Prepared, kimg

from synthaug.runs import Run
from synthaug.sampling.generate import load

RECIPES = ("default", "acgan", "infogan", "biggan", "stylegan2")
NETS = {"kid": "EfficientNet-Lite0", "kid_mobilenet": "MobileNetV2", "kid_own": "own"}
Row = dict[str, Any]


def row(prepared: Prepared, recipe: str) -> Row:
    """The figures of one recipe on one set."""
    path = prepared.run(recipe)
    sampler = load(Run(path))
    figures = prepared.quality.score({c: sampler.sample(c, COUNT) for c in prepared.source.rare}, verdicts=True)
    who = {"set": prepared.source.name, "recipe": recipe, "minutes": prepared.minutes, "seed": prepared.seed}
    return who | {"kimg": round(kimg(path), 1)} | figures


def table(rows: list[Row]) -> str:
    """By set, in the order of MobileNetV2's KID, with each net's rank."""
    lines = []
    for name in dict.fromkeys(r["set"] for r in rows):
        mine = sorted((r for r in rows if r["set"] == name), key=lambda r: float(r["rare_kid_mobilenet"]))
        for r in mine:
            ranks = {net: 1 + sum(o[f"rare_{net}"] < r[f"rare_{net}"] for o in mine) for net in NETS}
            shown = [f"{r[f'rare_{net}']:.3f} ({rank})" for net, rank in ranks.items()]
            lines.append([name, f"`{r['recipe']}`", f"{r['kimg']:g}", *shown, f"{r['rare_own_label']:.0%}"])
    return written(("set", "recipe", "kimg", *(f"KID by {net} (rank)" for net in NETS.values()), "own label"), lines)


def agreement(rows: list[Row]) -> str:
    """Spearman's rank correlation of the nets over the recipes, by set."""
    lines = []
    for name in dict.fromkeys(r["set"] for r in rows):
        mine = [r for r in rows if r["set"] == name]
        values = [[r[f"rare_{net}"] for r in mine] for net in NETS]
        pairs = [(0, 1), (0, 2), (1, 2)]
        lines.append([name, *(f"{spearmanr(values[a], values[b]).statistic:.2f}" for a, b in pairs)])
    names = list(NETS.values())
    head = (f"{names[0]}, {names[1]}", f"{names[0]}, {names[2]}", f"{names[1]}, {names[2]}")
    return written(("set", *head), lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="where the zip files lie")
    parser.add_argument("--work", type=Path, default=Path("build/translation"))
    parser.add_argument("--out", type=Path, default=DOCS / "recipes.jsonl")
    parser.add_argument("--sets", nargs="*", default=["signs", "objects", "fashion"], choices=list(SETS))
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--minutes", type=float, default=6, help="processor time of each training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tables", action="store_true", help="only make the tables anew")
    a = parser.parse_args()
    a.seeds = 1
    torch.set_num_threads(1)
    for name in () if a.tables else a.sets:
        prepared = Prepared(name, a)
        for recipe in a.recipes:
            if not any((r["set"], r["recipe"], r["seed"]) == (name, recipe, a.seed) for r in kept(a.out)):
                keep(a.out, row(prepared, recipe))
                print(name, recipe, kept(a.out)[-1], flush=True)
    rows = kept(a.out)
    both = f"{table(rows)}\n\n{agreement(rows)}"
    between(DOCS / "generators.md", "recipes", both)
    print(both)


if __name__ == "__main__":
    main()
