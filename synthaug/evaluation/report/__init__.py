"""The report of an evaluation: one page that opens anywhere without network, a short one in Markdown, and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synthaug.documents import EvaluateDocument
from synthaug.files import write_json, write_text

if TYPE_CHECKING:
    from synthaug.data.cache import LabelledImages

__all__ = ["ReportMaterial", "write_report"]


@dataclass
class ReportMaterial:
    """What the page shows besides the document's numbers. Empty or None parts are left out of the page.

    `real` are training images, `synthetic` gated ones, `generator` ungated ones. `pairs` holds (synthetic pixels
    uint8 [C,H,W], nearest training image's pixels [C,H,W], label, feature distance). `training` are the rows of
    `metrics.jsonl`, `settings` the resolved configuration under dotted keys.
    """

    real: LabelledImages | None = None
    test: LabelledImages | None = None
    synthetic: LabelledImages | None = None
    generator: LabelledImages | None = None
    pairs: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], str, float]] = field(default_factory=list)
    training: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)


def write_report(document: EvaluateDocument, material: ReportMaterial, out: Path) -> Path:
    """Write `out/report.json`, `out/report.md` and `out/report.html`, and return the last one's path.

    The page needs no network and no script: styles, drawings and images are inside it. The JSON holds null for
    every number that is not finite.
    """
    from synthaug.evaluation.report.markdown import markdown
    from synthaug.evaluation.report.page import render

    html = out / "report.html"
    if not document.report:
        document = document.model_copy(update={"report": str(html)})
    write_text(html, _encodable(render(document, material)))
    write_text(out / "report.md", _encodable(markdown(document)))
    write_json(out / "report.json", _json(document.model_dump()))
    return html


def _json(value: Any) -> Any:
    """`value` as JSON can hold it: no NaN, no infinity, no text that UTF-8 cannot carry."""
    if isinstance(value, Mapping):
        return {_encodable(str(key)): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _encodable(value) if isinstance(value, str) else value


def _encodable(text: str) -> str:
    """File names that are not UTF-8 reach Python as lone surrogates; show them as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
