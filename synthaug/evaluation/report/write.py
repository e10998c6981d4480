"""Write the report of an evaluation: one HTML page that opens without network, a short one in Markdown, and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthaug.documents import EvaluateDocument
from synthaug.evaluation.report.html import encodable
from synthaug.evaluation.report.markdown import markdown
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.evaluation.report.page import render
from synthaug.files import write_json, write_text


def write_report(document: EvaluateDocument, material: ReportMaterial, out: Path) -> Path:
    """Write `out/report.json`, `out/report.md` and `out/report.html`, and return the last one's path.

    Styles, drawings and images are inside the page, and it runs no script. In JSON, numbers that are not finite are
    null.
    """
    html = out / "report.html"
    if not document.report:
        document = document.model_copy(update={"report": str(html)})
    write_text(html, encodable(render(document, material)))
    write_text(out / "report.md", encodable(markdown(document)))
    write_json(out / "report.json", _json(document.model_dump()))
    return html


def _json(value: Any) -> Any:
    """`value` without NaN, infinity, and text that UTF-8 cannot encode."""
    if isinstance(value, Mapping):
        return {encodable(str(key)): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return encodable(value) if isinstance(value, str) else value
