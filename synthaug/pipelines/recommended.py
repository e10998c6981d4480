"""`export --recommended`: the numbers of images that the run's evaluation recommends."""

from __future__ import annotations

from collections.abc import Mapping

from synthaug.errors import SynthaugError
from synthaug.evaluation.size_in_words import in_words
from synthaug.pipelines.describe import evaluate_it, kept_evaluation, report_of
from synthaug.progress import Progress
from synthaug.runs import Run


def recommended_totals(run: Run, counts: Mapping[str, int], progress: Progress) -> dict[str, int]:
    """Class → total of real and recommended synthetic images, for every class of the run.

    Args:
        run: whose report is read.
        counts: class → real training images; a class without recommendation keeps this number.
        progress: reports what is recommended, and why.

    Raises:
        SynthaugError: the run has no evaluation, or it cannot be read, is too old, or judged other images.
    """
    file, again = report_of(run), evaluate_it(run)
    document = kept_evaluation(run)
    if document is None:
        raise SynthaugError(f"the run {run.name!r} has no evaluation in {str(file)!r}", again)
    if not document.recommended:
        raise SynthaugError(f"the evaluation {str(file)!r} holds no recommendation", again)
    if document.generator_quality is None:
        raise SynthaugError(
            f"the evaluation {str(file)!r} judged the images of {document.synthetic!r}, not this run's generator", again
        )
    totals = dict(counts)
    if document.size is not None:
        progress.say(f"the evaluation was made {in_words(document.size)}")
    for name, advice in document.recommended.items():
        if name not in totals:
            raise SynthaugError(
                f"the evaluation {str(file)!r} has the class {name!r}, which the run does not have", again
            )
        totals[name] += advice.synthetic
        progress.say(f"recommended for {name}: {advice.synthetic:,} synthetic images ({advice.reason})")
    return totals
