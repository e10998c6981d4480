"""The trainings that the pages of families and parts (docs/families, docs/parts) tell a reader to start."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from synthaug.config import Config, resolve

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted([*(DOCS / "families").glob("*.md"), *(DOCS / "parts").glob("*.md")])
FLAGS = {
    "--family": "model.family",
    "--objective": "training.objective",
    "--resolution": "data.resolution",
    "--scale": "model.scale",
}


def trainings(page: Path) -> list[tuple[str, Config]]:
    """Each `synthaug fit` in a page's shell blocks, with its configuration."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:2] == ["synthaug", "fit"]:
                given = [(a, b) for a, b in zip(words, [*words[1:], ""], strict=True) if a.startswith("--")]
                recipe = dict(given).get("--recipe")
                sets = [value for option, value in given if option == "--set"]
                flags = {FLAGS[o]: int(v) if v.isdecimal() else v for o, v in given if o in FLAGS}
                found.append((" ".join(words), resolve(recipe, sets=sets, flags=flags).config))
    return found
