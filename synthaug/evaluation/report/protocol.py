"""The set-up of the evaluation in words: data, classifier, test images, shares, folds."""

from __future__ import annotations

from pathlib import Path

from synthaug.documents import EvaluateDocument
from synthaug.errors import plural
from synthaug.evaluation.arms import ARMS, LONGER
from synthaug.evaluation.before_after import is_synthetic
from synthaug.evaluation.best_control import BestControl
from synthaug.evaluation.report import scores
from synthaug.evaluation.size_in_words import times

SHOWN = 12  # target classes in a sentence; the table below has all


def title(document: EvaluateDocument) -> str:
    """The run's name, or the data's."""
    return (document.run and Path(document.run).name) or Path(document.data).name or "evaluation"


def in_short(document: EvaluateDocument) -> str:
    """What the verdict holds for, in one sentence: size, classifier, test images."""
    size, judged = document.size, judged_on(document)
    real = (
        f" (your images have about {size.real} px)"
        if size and size.asked == "model" and size.real != size.pixels
        else ""
    )
    at = f" at {size.pixels} px{real}" if size else ""
    trained = f"the classifier {document.classifier}, trained {plural(document.seeds, 'time')} with each method"
    return f"Judged{at} by {trained}{f', on {judged}' if judged else ''}."


def compared(document: EvaluateDocument) -> list[tuple[str, str]]:
    """The set-up as rows of (name, value)."""
    rows = [
        ("Real images", document.data),
        ("Synthetic images", document.synthetic),
        ("Made from real images", made_from(document)),
        ("Extrapolated", _extrapolated(document)),
        ("Classifier", _classifier(document)),
        ("Size of all images", _size(document)),
        ("Judged on", judged_on(document)),
        ("Trained on", _trained_on(document)),
        ("Share of synthetic images", _shares(document)),
        ("Best control", best_control(document)),
        ("Controls left out", ", ".join(scores.arm_name(a) for a in document.verdict.missing_controls)),
    ]
    return [(question, answer) for question, answer in rows if answer]


def best_control(document: EvaluateDocument) -> str:
    """Which one it is, how it was chosen, and what synthetic images must beat."""
    verdict = document.verdict
    best = BestControl(verdict.best_control, verdict.best_control_chosen_on)
    name = scores.arm_name(best.name)
    if best.chosen_on == "test":
        return f"{name}, the best on the test images; to help, an arm must beat every control"
    beaten = [scores.arm_name(control) for control in best.to_beat([arm for arm in document.arms if arm in ARMS])]
    return f"{name}, chosen on the validation images; to help, an arm must beat {' and '.join(beaten)}"


def _classifier(document: EvaluateDocument) -> str:
    steps = sorted({a.steps for name, a in document.arms.items() if a.steps is not None and name != LONGER})
    seeds = f"{plural(document.seeds, 'seed')}, the same for every arm"
    length = f"; {', '.join(f'{s:,}' for s in steps)} optimiser steps each" if steps else ""
    if LONGER in document.arms:
        length += f", except {LONGER} with {document.arms[LONGER].steps or 0:,}"
    return f"{document.classifier}, trained from scratch for each of {len(document.arms)} arms: {seeds}{length}"


def _size(document: EvaluateDocument) -> str:
    if (size := document.size) is None:
        return ""
    if size.asked == "model":
        return f"{size.pixels} px, the generator’s size; the real images have about {size.real} px"
    return (
        f"{size.pixels} px: real images of about {size.real} px, and synthetic ones of {size.generator} px that were "
        f"{times(size)}, as export writes them, were all read at {size.pixels} px"
    )


def judged_on(document: EvaluateDocument) -> str:
    test = sum(document.split.get("test", {}).values())
    if document.folds is not None:
        every = f"{test:,} real images" if test else "every real image"
        return f"{every} in {document.folds} folds; each was tested by models that were not trained on it"
    # For a folder of images, it is unknown what the generator was trained on.
    unseen = "neither generator, gates nor" if document.synthetic.startswith("fresh ") else "no"
    return f"{plural(test, 'test image')} that {unseen} classifiers were trained on" if test else ""


def _trained_on(document: EvaluateDocument) -> str:
    train = sum(document.split.get("train", {}).values())
    return f"{train:,} real images{' in the first fold' if document.folds is not None else ''}" if train else ""


def _shares(document: EvaluateDocument) -> str:
    chosen = {
        "val": "chosen on the validation images",
        "default": "the default, because too few validation images were left to choose it",
        "user": "given by the user",
    }[document.share_chosen_on]
    shares = sorted({s for name, a in document.arms.items() if is_synthetic(name) for s in a.shares or [a.share]})
    whose = "a target class’s" if document.mix == "targets" else "every class’s"
    return f"{' and '.join(f'{100 * s:.0f}%' for s in shares)} of {whose} draws, {chosen}" if shares else ""


def counts(document: EvaluateDocument) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Images per class in each split; of images from images also the synthetic ones and their different sources."""
    order = ["train", "val", "test"]
    names = sorted(document.split, key=lambda n: order.index(n) if n in order else len(order))
    rows = [(c, [f"{document.split[n].get(c, 0):,}" for n in names]) for c in document.classes]
    if document.made_from:
        names = [*names, "synthetic", "sources"]
        for label, row in rows:
            made = document.made_from.get(label)
            row += ["–", "–"] if made is None else [f"{made.images:,}", f"{made.sources:,}"]
    return names, rows


def made_from(document: EvaluateDocument) -> str:
    """How many different real images stand behind the synthetic images of each target class."""
    made = {name: document.made_from[name] for name in document.targets if name in document.made_from}
    return "; ".join(f"{name}: {one.text()}" for name, one in list(made.items())[:SHOWN])


def _extrapolated(document: EvaluateDocument) -> str:
    """How many synthetic images have conditions that no training image of their class has."""
    each = [f"{name}: {plural(n, 'image')}" for name, n in document.extrapolated.items()]
    return f"conditions that no training image has: {'; '.join(each[:SHOWN])}" if each else ""
