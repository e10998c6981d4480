"""What the run's evaluation recommends to export: `export --recommended`."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from synthaug.documents import EvaluateDocument
from synthaug.errors import SynthaugError
from synthaug.pipelines.evaluate import FOLDER
from synthaug.progress import Progress
from synthaug.runs import Run


def recommended_totals(run: Run, counts: Mapping[str, int], progress: Progress) -> dict[str, int]:
    """Class → total of real and recommended synthetic images, for every class of the run.

    Args:
        run: whose report is read.
        counts: class → real training images; classes that nothing is recommended for stay as they are.
        progress: says what is recommended, and why.

    Raises:
        SynthaugError: the run has no evaluation, an unreadable or an older one, or one of other images.
    """
    file = run.path / FOLDER / "report.json"
    again = f"evaluate it first: synthaug evaluate {run.name}"
    if not file.is_file():
        raise SynthaugError(f"run {run.name!r} has no evaluation in {str(file)!r} to recommend anything", again)
    try:
        document = EvaluateDocument.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise SynthaugError(f"the evaluation {str(file)!r} cannot be read", again) from error
    if not document.recommended:
        raise SynthaugError(f"the evaluation {str(file)!r} holds no recommendation", again)
    if document.generator_quality is None:
        raise SynthaugError(
            f"the evaluation {str(file)!r} judged the images of {document.synthetic!r}, not this run's generator",
            again,
        )
    totals = dict(counts)
    for name, advice in document.recommended.items():
        if name not in totals:
            raise SynthaugError(f"the evaluation {str(file)!r} knows a class {name!r} that the run does not", again)
        totals[name] += advice.synthetic
        progress.say(f"recommended for {name}: {advice.synthetic:,} synthetic images ({advice.reason})")
    return totals
