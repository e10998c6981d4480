"""`synthaug evaluate [RUN]`: do synthetic images help? Controls, verdict and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import EvaluateDocument
    from synthaug.requests import EvaluateRequest

SHOWN = 12  # target classes in the table; the report has all


def command(request: EvaluateRequest) -> None:
    """Measure whether synthetic images help a classifier.

    Classifiers are trained with and without them, and compared on test images.
    """
    for folder, option in ((request.test, "--test"), (request.synthetic, "--synthetic"), (request.data, "--data")):
        if folder is not None:
            fast_checks.folder(folder, option)
    fast_checks.new_folder(request.out, overwrite=True)
    if request.data is None:
        fast_checks.run(request.run, request.runs)
    from synthaug.pipelines.evaluate import require_gain, run_evaluate

    document = run_evaluate(request, console.progress())
    console.result(document, render)
    if request.fail_under is not None:
        require_gain(document, request.fail_under)


def _judged_on(found: EvaluateDocument) -> str:
    if found.folds is None:
        return "test images"
    return f"all images in {found.folds} folds"


def render(found: EvaluateDocument) -> None:
    """Draw the arms beside each other, each target's before and after, the verdict, and where the report is."""
    console.table(
        f"{found.classifier}, {found.seeds} seeds, tested on {_judged_on(found)}",
        ["arm", "synthetic", "macro-F1", "95% interval", "balanced accuracy"],
        [
            [
                name,
                f"{arm.share:.0%}" if arm.share else None,
                arm.macro_f1.mean,
                f"{arm.macro_f1.low:.3f} to {arm.macro_f1.high:.3f}",
                arm.balanced_accuracy.mean,
            ]
            for name, arm in found.arms.items()
        ],
    )
    from synthaug.evaluation.before_after import before_and_after

    shown = [name for name in dict.fromkeys(["real", *before_and_after(found)]) if name in found.arms]
    console.table(
        "target classes, before and after",
        ["class", *(f"{score}, {arm}" for score in ("F1", "recall") for arm in shown)],
        [
            [
                name,
                *(found.arms[arm].per_class[name].f1 for arm in shown),
                *(found.arms[arm].per_class[name].recall for arm in shown),
            ]
            for name in found.targets[:SHOWN]
        ],
    )
    if len(found.targets) > SHOWN:
        console.line(f"{len(found.targets) - SHOWN} more target classes are in the report\n")
    verdict = found.verdict
    for name, contrast in verdict.contrasts.items():
        interval = f"{contrast.mean:+.3f} ({contrast.low:+.3f} to {contrast.high:+.3f})"
        console.line(f"{name:<34} {interval} in mean F1 of the target classes")
    for arm, difference in verdict.against_best.items():
        interval = f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
        console.line(f"{f'{arm} - best control':<34} {interval}: {verdict.best_control}")
    console.line(f"{'smallest effect this could show':<34} {verdict.smallest_detectable:.3f}")
    if verdict.real_image_equivalents:
        console.line(f"{'worth in real images':<34} {verdict.real_image_equivalents}")
    for target in (name for name in found.targets if name in found.recommended):
        advice = found.recommended[target]
        console.line(
            f"{'recommended for ' + target:<34} {advice.synthetic:,} synthetic images ({advice.share:.0%}) beside "
            f"{advice.real:,} real ones: {advice.reason}"
        )
    if found.mix == "all":
        others = sum(advice.synthetic for name, advice in found.recommended.items() if name not in found.targets)
        console.line(f"{'and for all other classes':<34} {others:,} synthetic images")
    for target, said in verdict.per_target.items():
        quality = found.quality.per_class.get(target)
        images = f"; images: diversity {quality.collapse}, copies {quality.memorisation}" if quality else ""
        console.line(f"{target:<34} {said}{images}")
    for text in (*found.warnings, *verdict.caveats):
        console.line(f"note: {text}")
    console.line(f"\nverdict: {verdict.overall}. {verdict.sentence}")
    console.line(f"report:  {found.report}")
