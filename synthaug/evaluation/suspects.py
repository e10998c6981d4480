"""Test images that look like copies of images which classifiers or generators learn from, and a verdict without them.

Equal pixels are refused before (`images`). Here test images are compared with the real training and validation images,
and synthetic images with the test images, by alignment (`data.aligned_copies`). A copy may be right: two photographs of
one thing look like copies too. So the verdict on all test images stands, and a second one leaves the suspects out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthaug.data.aligned_copies import CopySearch, planes_of
from synthaug.data.cache import LabelledImages
from synthaug.documents import Leaks, Suspect, VerdictDocument
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.images import RealImages
from synthaug.evaluation.scores import Probabilities
from synthaug.evaluation.statistics import F1Table
from synthaug.progress import Progress

NEAR_SYNTHETIC = 0.5
"""The largest `nearness` of a synthetic image. They are many, so more of them are near a test image by chance."""


@dataclass(frozen=True)
class SuspectImage:
    """One suspect: its row among the test images of its fold, and the pixels of the pair."""

    row: int
    found: Suspect
    test: npt.NDArray[np.uint8]
    other: npt.NDArray[np.uint8]


def find_suspects(real: RealImages, pool: LabelledImages, progress: Progress) -> list[SuspectImage]:
    """The test images of a fold that look like copies, each with the image that it is nearest to; the nearest first."""
    nearest: dict[int, SuspectImage] = {}

    def suspect(row: int, nearness: float, source: LabelledImages, place: int, kind: str) -> None:
        if row in nearest and nearest[row].found.nearness <= nearness:
            return
        found = Suspect.model_validate(
            {"test": real.test.paths[row], "label": real.test.classes[real.test.labels[row]],
             "like": source.paths[place], "source": kind, "nearness": round(nearness, 4)}
        )  # fmt: skip
        nearest[row] = SuspectImage(row, found, np.array(real.test.pixels[row]), np.array(source.pixels[place]))

    with progress.task("comparing test images with the others", len(real.test) + len(pool), "images") as task:
        test = planes_of(real.test.pixels)
        seen = np.concatenate([planes_of(real.train.pixels), planes_of(real.val.pixels)])
        copies = CopySearch(seen).copies(test, searched=task.advance)
        for row, place, nearness in zip(copies.queries, copies.images, copies.nearness, strict=True):
            later = place - len(real.train)
            source, kind = (real.train, "train") if later < 0 else (real.val, "val")
            suspect(int(row), float(nearness), source, int(place if later < 0 else later), kind)
        copies = CopySearch(test, real.test_groups).copies(planes_of(pool.pixels), searched=task.advance)
        for place, row, nearness in zip(copies.queries, copies.images, copies.nearness, strict=True):
            if nearness < NEAR_SYNTHETIC:
                suspect(int(row), float(nearness), pool, int(place), "synthetic")
    return sorted(nearest.values(), key=lambda one: (one.found.nearness, one.row))


def leaks(
    folds: Sequence[Sequence[SuspectImage]],
    held_out: HeldOut,
    predicted: Mapping[str, Probabilities],
    targets: Sequence[str],
    judged: Callable[[HeldOut, dict[str, F1Table]], VerdictDocument],
) -> Leaks | None:
    """The suspects of all folds and the verdict without them; None if there are none.

    Args:
        folds: the suspects of each fold.
        held_out: the test images of all folds.
        predicted: arm → probabilities of each seed.
        targets: the target classes. If one has no other test image, there is no second verdict.
        judged: the verdict on the tables of these test images.
    """
    found = sorted((one.found for fold in folds for one in fold), key=lambda one: one.nearness)
    if not found:
        return None
    starts = np.searchsorted(held_out.folds, np.arange(len(folds)))
    kept = np.ones(len(held_out.labels), bool)
    kept[[starts[number] + one.row for number, fold in enumerate(folds) for one in fold]] = False
    rest = without(held_out, ~kept)
    verdict = None
    if all(rest.counts()[name] for name in targets):
        verdict = judged(rest, {arm: rest.table(rows[..., kept, :]) for arm, rows in predicted.items()})
    return Leaks(suspects=found, verdict=verdict)


def without(held_out: HeldOut, rows: npt.NDArray[np.bool_]) -> HeldOut:
    """The test images without `rows`, with groups and folds numbered anew."""
    groups, folds = (np.unique(of[~rows], return_inverse=True)[1] for of in (held_out.groups, held_out.folds))
    return HeldOut(held_out.labels[~rows], groups, folds, held_out.classes, held_out.seed)


def in_words(suspects: Sequence[SuspectImage], shown: int = 2) -> list[str]:
    """A warning, if there are suspects."""
    if not suspects:
        return []
    kinds = {"train": "training", "val": "validation", "synthetic": "synthetic"}
    named = [f"{s.found.test!r} of the {kinds[s.found.source]} image {s.found.like!r}" for s in suspects[:shown]]
    return [
        f"{len(suspects)} test images look like copies (perhaps mirrored, moved, turned or cropped): {', '.join(named)}"
        f"{'' if len(suspects) <= shown else ', …'}; the verdict is also given without them"
    ]
