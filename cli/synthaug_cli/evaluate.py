"""`synthaug evaluate [RUN]`: do synthetic images help? Controls, verdict and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.errors import plural
from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import Contrast, EvaluateDocument
    from synthaug.requests import EvaluateRequest

SHOWN = 12  # target classes in the table; the report has all


def command(request: EvaluateRequest) -> None:
    """Measure whether synthetic images help a classifier.

    Classifiers are trained with and without them, and compared on test images.

    Examples:
        synthaug evaluate
        synthaug evaluate 7 --classifier resnet18 --size native --seeds 10
    """
    for folder, option in ((request.test, "--test"), (request.synthetic, "--synthetic"), (request.data, "--data")):
        if folder is not None:
            fast_checks.folder(folder, option)
    fast_checks.new_folder(request.out, overwrite=True)
    if request.data is None:
        for reference in (request.run, *(request.replicates or ())):
            fast_checks.run(reference, request.runs)
    from synthaug.pipelines.evaluate import require_gain, run_evaluate

    document = run_evaluate(request, console.progress())
    console.result(document, render)
    if request.fail_under is not None:
        require_gain(document, request.fail_under)


def render(found: EvaluateDocument) -> None:
    """Print the arms, the targets before and after, the verdict, and the path of the report."""
    from synthaug.evaluation.before_after import before_and_after, is_synthetic
    from synthaug.evaluation.changed_images import in_words
    from synthaug.evaluation.report.headline import sharpness_sentence

    if blur := sharpness_sentence(found, repr):
        console.prose(f"{blur}\n")
    images = "test images" if found.folds is None else f"all images in {found.folds} folds"
    size = f" of {found.size.pixels} px" if found.size is not None else ""
    rows = []
    for name, arm in found.arms.items():
        f1, share = arm.macro_f1, f"{arm.share:.0%}" if is_synthetic(name) else None
        rows.append([name, share, f1.mean, f"{f1.low:.3f} to {f1.high:.3f}", arm.balanced_accuracy.mean])
    columns = ["arm", "share", "macro-F1", "95% interval", "balanced accuracy"]
    console.table(f"{found.classifier}, {plural(found.seeds, 'seed')}, tested on {images}{size}", columns, rows)
    before, after = before_and_after(found)
    shown = {words: arm for words, arm in (("before", before), ("after", after)) if arm is not None}
    console.table(
        f"target classes; before: {before}, the best control; after: {after}",
        ["class", *(f"{score} {words}" for score in ("F1", "recall") for words in shown)],
        [
            [
                name,
                *(getattr(found.arms[a].per_class[name], score) for score in ("f1", "recall") for a in shown.values()),
            ]
            for name in found.targets[:SHOWN]
        ],
    )
    if found.changed is not None:
        console.line(f"{in_words(found.changed)}: pictures in the report\n")
    if len(found.targets) > SHOWN:
        more = plural(len(found.targets) - SHOWN, "more target class is", "more target classes are")
        console.line(f"{more} in the report\n")
    _parts(found)
    verdict = found.verdict
    for name, contrast in verdict.contrasts.items():
        console.prose(f"{name:<34} {contrast.text()} in mean F1 of the target classes", 35)
    for name, difference in verdict.against_best.items():
        chosen = "chosen on the validation images" if verdict.best_control_chosen_on == "val" else "the best on test"
        console.prose(f"{f'{name} - best control':<34} {difference.text()}: {verdict.best_control}, {chosen}", 35)
    if verdict.longer is not None:
        gain, times = verdict.longer.gain.text(), f"{verdict.longer.times} x the steps"
        console.prose(f"{f'{verdict.longer.control}, {times}':<34} {gain}", 35)
    if verdict.smallest_detectable is not None:
        console.prose(f"{'gain found in 80% of cases':<34} {verdict.smallest_detectable:+.3f}", 35)
    if verdict.real_image_equivalents:
        console.prose(f"{'worth in real images':<34} {verdict.real_image_equivalents}", 35)
    for target in (name for name in found.targets if name in found.recommended):
        advice = found.recommended[target]
        console.prose(
            f"{'recommended for ' + target:<34} {plural(advice.synthetic, 'synthetic image')} ({advice.share:.0%}) "
            f"and {advice.real:,} real: {advice.reason}",
            35,
        )
    if found.mix == "all":
        others = sum(advice.synthetic for name, advice in found.recommended.items() if name not in found.targets)
        console.prose(f"{'and for all other classes':<34} {plural(others, 'synthetic image')}", 35)
    for target, judgement in verdict.per_target.items():
        quality = found.quality.per_class.get(target)
        images = f"; images: diversity {quality.collapse}, copies {quality.memorisation}" if quality else ""
        sources = f"; {found.made_from[target].text()}" if target in found.made_from else ""
        console.prose(f"{target:<34} {judgement}{images}{sources}", 35)
    for text in (*found.warnings, *verdict.caveats):
        console.prose(f"note: {text}", 6)
    console.prose(f"\nverdict: {verdict.overall}. {verdict.sentence}", 9)
    if found.leaks is not None:
        rest, count = found.leaks.verdict, len(found.leaks.suspects)
        without = f"{rest.overall}. {rest.sentence}" if rest else "none, since a target class has no other test image"
        console.prose(f"without the {count} test images that look like copies: {without}", 9)
    console.line(f"report:  {found.report}")
    if found.next is not None:
        console.prose(f"next:    {found.next.sentence}", 9)
        console.line(f"         {found.next.command}")


def _parts(found: EvaluateDocument) -> None:
    """Print the parts of the test images that `--by` asks for, the worst first."""
    if found.combinations:
        console.table(
            "parts of the test images, the worst first; F1 of the target classes",
            ["part", "images", "before", "after", "difference", "95% interval"],
            [
                [part.name(), sum(part.targets.values()), part.before, part.after, *_gain(part.gain)]
                for part in found.combinations[:SHOWN]
            ],
        )
    if len(found.combinations) > SHOWN:
        console.line(f"{len(found.combinations) - SHOWN} more parts in the report\n")


def _gain(gain: Contrast | None) -> tuple[str | None, str | None]:
    """In two cells: one is too wide for a table of 80 columns."""
    return (f"{gain.mean:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}") if gain else (None, None)
