"""What to do after an evaluation: one sentence, and one command."""

from __future__ import annotations

import numpy as np

from synthaug.documents import EvaluateDocument, NextStep
from synthaug.errors import plural, shell_command
from synthaug.evaluation.arms import ARMS

ENOUGH_SEEDS = 5
"""Classifiers per arm from which a verdict is reliable."""
WORTH_SAYING = 0.02
"""A gain in F1 of the best control below this is not advised: it may be chance."""


def next_step(document: EvaluateDocument, run: str | None) -> NextStep:
    """What follows from the verdict; also after a "no", which is no end: something else may help.

    Args:
        document: of the evaluation.
        run: the name or path of its run, as commands find it; None: it has none.
    """
    verdict, evaluate = document.verdict, _evaluate(document, run)
    if verdict.overall == "helps":
        if run is not None and document.generator_quality is not None and document.recommended:
            return _step(
                "Export the data set with the recommended numbers of synthetic images, and train on it.",
                shell_command("export", run, recommended=True, balance=_balance(document), out="DIR"),
            )
        return _step(
            "Train with these images; more seeds say more exactly how much they help.",
            f"{evaluate} --seeds {2 * document.seeds}",
        )
    if verdict.missing_controls:
        controls = ", ".join(map(repr, verdict.missing_controls))
        return _step(f"Train the missing controls too: {controls}. They cost nothing and may do as well.", evaluate)
    free = _without_synthetic_images(document)
    if document.seeds < ENOUGH_SEEDS:
        few = f"A verdict from {plural(document.seeds, 'classifier')} per arm is uncertain: train more."
        return _step(f"{free} {few}", f"{evaluate} --seeds {ENOUGH_SEEDS}")
    if document.learning_curve is None:
        return _step(f"{free} Then see what further real images would be worth.", f"{evaluate} --learning-curve")
    return _step(
        f"{free} The learning curve says what further real images would be worth.",
        f"{evaluate} --seeds {2 * document.seeds}",
    )


def _step(sentence: str, command: str) -> NextStep:
    return NextStep(sentence=sentence, command=command)


def _evaluate(document: EvaluateDocument, run: str | None) -> str:
    """The command of this evaluation, with the options that say what was judged."""
    options: dict[str, object] = {} if run is not None else {"data": document.data, "target_class": document.targets}
    if document.generator_quality is None:
        options["synthetic"] = document.synthetic
    if document.classifier != "cnn":
        options["classifier"] = document.classifier
    if document.size is not None and document.size.asked != "model":
        options["size"] = document.size.asked
    if document.mix == "all":
        options["mix"] = "all"
    if document.balance:
        options["balance"] = _balance(document)
    if document.generators:
        options["generators"] = len(document.generators)
    return shell_command("evaluate", *([] if run is None else [run]), **options, folds=document.folds)


def _balance(document: EvaluateDocument) -> str | None:
    return ",".join(document.balance) or None


def _without_synthetic_images(document: EvaluateDocument) -> str:
    """The best control, if it is clearly better than to do nothing; it costs nothing."""
    best = document.verdict.best_control
    if "real" not in document.arms or best not in document.arms or best == "real":
        return "Leave the synthetic images out."
    before, after = (
        float(np.mean([np.mean(document.arms[arm].f1_per_seed[target]) for target in document.targets]))
        for arm in ("real", best)
    )
    if not after - before >= WORTH_SAYING:
        return "Leave the synthetic images out."
    about = f" ({ARMS[best].about})" if best in ARMS else ""
    return (
        f"Leave the synthetic images out and train as {best!r} does{about}: on the test images this raised the "
        f"F1 of the target classes from {before:.2f} to {after:.2f}, for free."
    )
