"""The page of `curate`: what the browser gets, and what it sends."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError
from synthaug.evaluation.report import html
from synthaug.page_server import Answer
from synthaug.pipelines.candidates import Candidates
from synthaug.runs import Run
from synthaug.sampling import curation
from synthaug.sampling.curation import Curation, Decision
from synthaug.version import __version__

_MADE = re.compile(r"made/(\d{1,6})/(\d{1,6})\.png")
_REAL = re.compile(r"real/(\d{1,9})\.png")


@dataclass
class CurationPage:
    """Shows candidates (class → its images), and keeps each decision in the run at once."""

    run: Run
    kept: Curation
    candidates: Mapping[str, Candidates]
    train: LabelledImages
    title: str
    finished: threading.Event = field(default_factory=threading.Event)
    _deciding: threading.Lock = field(default_factory=threading.Lock)

    def show(self, path: str) -> Answer | None:
        if path == "":
            given = {"title": self.title, "run": self.run.name, "version": __version__}
            page = html.templates().get_template("curate.html.j2").render(given)
            return Answer(html.encodable(page).encode())
        if path == "page.js":
            return Answer(html.script("curate.js"), "text/javascript; charset=utf-8")
        if path == "images.json":
            return Answer.of(self._listed())
        if (found := _MADE.fullmatch(path)) is not None:
            label, place = int(found[1]), int(found[2])
            shown = list(self.candidates.values())
            if label < len(shown) and place < len(shown[label].pixels):
                return _png(shown[label].pixels[place])
        if (found := _REAL.fullmatch(path)) is not None and int(found[1]) < len(self.train):
            return _png(self.train.pixels[int(found[1])])
        return None

    def take(self, path: str, message: dict[str, Any]) -> Answer | None:
        """`decide` about an image: {class, index, decision}, where null takes a decision back. `finish`: end."""
        if path == "finish":
            self.finished.set()
            return Answer.of({"finished": True})
        if path != "decide":
            return None
        label, index, decision = (message.get(key) for key in ("class", "index", "decision"))
        shown = self.candidates.get(label) if isinstance(label, str) else None
        if shown is None or index not in shown.indices or decision not in (None, *get_args(Decision)):
            raise SynthaugError(f"there is no such image or decision: {message}", "load the page again")
        with self._deciding:
            self.kept.decide(str(label), int(index), decision)
            self.save()
        return Answer.of({"decision": decision})

    def save(self) -> str:
        """Keep the decisions in the run; returns the path of their file."""
        return str(curation.write(self.run, self.kept))

    def _listed(self) -> list[dict[str, Any]]:
        """All candidates with what was decided about them."""
        return [
            {
                "name": label,
                "images": [
                    {"index": index, "decision": self.kept.decisions.get(label, {}).get(index), "like": like.tolist()}
                    for index, like in zip(found.indices, found.like, strict=True)
                ],
            }
            for label, found in self.candidates.items()
        ]


def _png(pixels: NDArray[np.uint8]) -> Answer:
    """An image uint8 [C, H, W] as a file."""
    planes = np.ascontiguousarray(pixels)
    buffer = io.BytesIO()
    Image.fromarray(planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0)).save(buffer, "PNG")
    return Answer(buffer.getvalue(), "image/png")
