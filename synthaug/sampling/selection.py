"""Selects candidates by the run's discriminator: the best of each chunk, or by rejection sampling.

The decision on a candidate depends on its chunk only. So the first 100 selected images are the same if 100 or 5000 are
requested, with or without interruptions, in any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError
from synthaug.models.inputs import CHUNK
from synthaug.progress import Progress, Silent
from synthaug.sampling.critic import Critic, Scores, calibrate
from synthaug.sampling.generate import SeededGenerator
from synthaug.seeds import coin, pilot_seed

PILOT = 8
"""Chunks of each class on which rejection sampling is calibrated; they are never exported."""
HELD_OUT = 20
"""The fewest real images for a calibration."""
_EPSILON = 1e-8


@dataclass
class Selector:
    """Keeps a share of the candidates of each class by their scores."""

    critic: Critic
    keep: float

    def prepare(self, labels: Iterable[str]) -> None:
        """Calibrate these classes now, so that forked processes inherit the result."""

    def choose(self, pixels: NDArray[np.uint8], class_index: int) -> tuple[Scores, NDArray[np.bool_]]:
        """The scores [n] of one chunk of candidates, uint8 [n, C, H, W], and which of them are selected, [n]."""
        scores = self.critic.scores(pixels, class_index)
        return scores, self._select(scores, pixels, class_index)

    def _select(self, scores: Scores, pixels: NDArray[np.uint8], class_index: int) -> NDArray[np.bool_]:
        raise NotImplementedError

    def limits(self, class_index: int) -> dict[str, float]:
        """The limits for images of a class, for the manifest."""
        return {}


class TopK(Selector):
    """The best of each chunk: the share `keep` of its 64 images, by score (top-k, 2002.06224, at sampling)."""

    def _select(self, scores: Scores, pixels: NDArray[np.uint8], class_index: int) -> NDArray[np.bool_]:
        best = np.argsort(-scores, kind="stable")[: max(1, round(self.keep * len(scores)))]
        selected = np.zeros(len(scores), np.bool_)
        selected[best] = True
        return selected


@dataclass
class Rejection(Selector):
    """Discriminator rejection sampling (1810.06758, algorithm 1): accept with probability σ(F − γ), see `evidence`.

    Two things differ from the paper. Logits are calibrated scores (see `critic.calibrate`); the paper trains the
    discriminator further instead. And the largest logit is that of a pilot sample, not of all images so far, so the
    decision on an image does not depend on others. An image above it is almost always accepted.

    Args:
        sampler: draws the pilot samples, with another seed.
        held_out: gives the real images of val; called only in `prepare`.
    """

    sampler: SeededGenerator
    held_out: Callable[[], LabelledImages]
    progress: Progress = field(default_factory=Silent)
    slope: float = 1.0
    _largest: dict[int, float] = field(default_factory=dict, repr=False)
    _gamma: dict[int, float] = field(default_factory=dict, repr=False)

    def prepare(self, labels: Iterable[str]) -> None:
        """Draw the pilot samples, calibrate, and find γ and the largest logit of each class.

        Raises:
            SynthaugError: there are too few held-out images, or the discriminator prefers generated ones.
        """
        images = self.held_out()
        real = {label: images.of_class(label) for label, count in images.counts().items() if count}
        if (count := sum(map(len, real.values()))) < HELD_OUT:
            raise SynthaugError(
                f"rejection sampling needs {HELD_OUT} held-out images to calibrate on, and the run has {count} in val",
                "use --select top-k, which needs none, or train with a larger data.val_fraction",
            )
        pilots: dict[str, Scores] = {}
        drawn = list(dict.fromkeys([*real, *labels]))
        other = replace(self.sampler, seed=pilot_seed(self.sampler.seed))
        with self.progress.task("selection: pilot samples", len(drawn) * PILOT * CHUNK, "images") as task:
            for label in drawn:
                index, chunks = other.class_index(label), []
                for chunk in range(PILOT):
                    chunks.append(self.critic.scores(other.chunk(label, chunk), index))
                    task.advance(CHUNK)
                pilots[label] = np.concatenate(chunks)
        scored = {label: self.critic.scores(pixels, other.class_index(label)) for label, pixels in real.items()}
        self.slope = calibrate(scored, {label: pilots[label] for label in scored})
        if self.slope <= 0:
            raise SynthaugError(
                "the discriminator does not score held-out real images higher than generated ones, so its scores "
                "cannot select images",
                "export without --select, or use another checkpoint with --checkpoint",
            )
        for label in labels:
            index, logits = other.class_index(label), self.slope * pilots[label]
            self._largest[index] = float(logits.max())
            self._gamma[index] = float(np.quantile(evidence(logits, self._largest[index]), 1 - self.keep))

    def __getstate__(self) -> dict[str, Any]:
        """What a task needs that selects in another process; a progress bar belongs to one."""
        return {k: v for k, v in vars(self).items() if k not in ("sampler", "held_out", "progress")}

    def _select(self, scores: Scores, pixels: NDArray[np.uint8], class_index: int) -> NDArray[np.bool_]:
        logits = evidence(self.slope * scores, self._largest[class_index]) - self._gamma[class_index]
        selected: NDArray[np.bool_] = np.array([coin(image) for image in pixels]) < expit(logits)
        return selected

    def limits(self, class_index: int) -> dict[str, float]:
        return {"largest_logit": self._largest[class_index], "gamma": self._gamma[class_index]}


def evidence(logits: Scores, largest: float) -> Scores:
    """F = D − M − log(1 − e^(D − M − ε)), whose σ(F) is e^(D − M), the share that rejection sampling accepts.

    D are logits [n] and M is the largest; a D above M counts as M. Subtracting γ from F raises the share (1810.06758).
    γ is the quantile of F that a share `keep` of a pilot sample exceeds; for `keep` 0.2, the paper's 80th percentile.

    >>> expit(evidence(np.log([0.5, 0.1]), 0.0)).round(6)
    array([0.5, 0.1])
    """
    below = np.minimum(logits - largest, 0)
    found: Scores = below - np.log(-np.expm1(below - _EPSILON))
    return found


def build_selector(
    method: str,
    keep: float,
    critic: Critic,
    sampler: SeededGenerator,
    held_out: Callable[[], LabelledImages],
    progress: Progress = Silent(),
) -> Selector:
    """The selector called `method`; `held_out` gives the real images of val."""
    return TopK(critic, keep) if method == "top-k" else Rejection(critic, keep, sampler, held_out, progress)
