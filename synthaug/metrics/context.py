"""The input of the metrics: the images of one class, or of all classes, and the comparisons that metrics share.

Random draws: the comparisons of a context are made in a fixed order from one generator, so that a new metric does not
change the numbers of others. A metric that needs randomness takes `Context.rng_of(name)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from synthaug.documents import BiasRow, ClassQuality, Score
from synthaug.errors import plural
from synthaug.features.base import Pixels
from synthaug.metrics import collapse
from synthaug.metrics.bias import Sides, bias, looks
from synthaug.metrics.detectability import MIN_IMAGES as MIN_DETECT
from synthaug.metrics.detectability import detect_auc
from synthaug.metrics.diversity import clusters_of, missed_clusters, missed_floor
from synthaug.metrics.matched_comparison import MIN_KID, Stratum, compare_diversity, compare_fidelity, plan
from synthaug.metrics.memorisation import memorisation
from synthaug.metrics.real import Features, RealFeatures, all_real
from synthaug.metrics.spread import mean_of_proportions, proportion_range
from synthaug.metrics.usefulness import Usefulness
from synthaug.seeds import named_stream

MIN_UNFITTED = 2 * collapse.MIN_DIVERSITY
"""With so many held-out images, only they are the yardstick of variety if the feature net was trained on the others."""
MAX_DETECT = 500
"""Images a side for detectability."""


@dataclass(frozen=True, slots=True)
class ClassImages:
    """The real images of one class, and what they are used for."""

    stratum: Stratum
    train: Features
    held_out: Features
    yardstick: Features
    """The real images whose variety is compared with that of the synthetic ones."""
    compared_with_train: bool
    notes: list[str]

    @classmethod
    def of(cls, name: str, synthetic: Features, real: RealFeatures) -> ClassImages:
        nothing = synthetic[:0]
        reference, train = real.reference.get(name, nothing), real.train.get(name, nothing)
        held_out = reference if real.held_out else nothing
        notes = []
        compared_with_train = len(held_out) < MIN_KID <= len(train)
        if compared_with_train:
            reference = train
            many = f"only {plural(len(held_out), 'held-out image')}" if len(held_out) else "no held-out images"
            notes.append(
                f"{many} of this class: compared with its training images, so that copies get too good a score"
            )
        yardstick = all_real(held_out, train, held_out=True)
        if real.fitted and len(held_out) >= MIN_UNFITTED:
            yardstick = held_out
        elif real.fitted:
            notes.append(
                "the feature net was trained on images of this class, and too few other images are left for comparison"
            )
        floor = None if compared_with_train or real.fitted else train
        return cls(Stratum(reference, floor, synthetic), train, held_out, yardstick, compared_with_train, notes)


class Context:
    """One class or several, compared as one set.

    `fidelity` and `diversity` are None if the images are too few, `useful` (GAN-train and GAN-test) also if the
    generator's training images are unknown.
    """

    agreement: Score | None = None

    def __init__(
        self, classes: Sequence[ClassImages], real: RealFeatures, useful: Usefulness | None, rng: np.random.Generator
    ) -> None:
        self.head = real.head
        self.strata = [images.stratum for images in classes]
        self.useful = useful
        self._rng = rng
        self._seed = int(rng.spawn(1)[0].integers(2**32))
        self.fidelity = compare_fidelity(self.strata, rng=rng)
        self.diversity = compare_diversity(
            [images.yardstick for images in classes], [stratum.synthetic for stratum in self.strata], rng=rng
        )

    @property
    def n_real(self) -> int:
        return sum(len(stratum.reference) for stratum in self.strata)

    @property
    def n_synthetic(self) -> int:
        return sum(len(stratum.synthetic) for stratum in self.strata)

    def rng_of(self, name: str) -> np.random.Generator:
        """A generator for the metric of this name; the same for the same class and seed."""
        return named_stream(self._seed, name)

    @cached_property
    def detection(self) -> Score | None:
        """How well a classifier tells the sets apart. It is the last to draw from the shared generator."""
        chosen = plan(self.strata, at_least=MIN_DETECT, at_most=MAX_DETECT)
        if chosen is None:
            return None
        drawn = chosen.draw(self._rng)
        floor = detect_auc(drawn.real, drawn.other, rng=self._rng) if drawn.other is not None else None
        return Score.of(detect_auc(drawn.real, drawn.synthetic, rng=self._rng), floor)


class ClassContext(Context):
    """One class. `taken_for` is the other class that most samples look like, and their share."""

    def __init__(
        self,
        name: str,
        synthetic: Features,
        real: RealFeatures,
        *,
        rng: np.random.Generator,
        pixels: Pixels | None = None,
        useful: Usefulness | None = None,
    ) -> None:
        """Make the comparisons.

        Args:
            name: the class.
            synthetic: features [m, d], m ≥ 1.
            real: from `describe_real`.
            rng: of every random choice.
            pixels: the same images, uint8 [m, C, H, W]; None leaves out what needs them.
            useful: GAN-train and GAN-test of the class, which need the other classes.
        """
        to_cluster, self._to_halve, self.to_pair, to_miss = rng.spawn(4)
        self.images = ClassImages.of(name, synthetic, real)
        super().__init__([self.images], real, useful, rng)
        self.name, self.synthetic, self.real, self.pixels = name, synthetic, real, pixels
        self.real_pictures = real.pictures.get(name)
        yardstick, held_out = self.images.yardstick, self.images.held_out
        self.clustering = clusters_of(yardstick, rng=to_cluster)
        self.clusters = missed_clusters(self.clustering, synthetic) if self.clustering else None
        self.clusters_floor = (
            missed_floor(yardstick, len(synthetic), self.clusters.judged, rng=to_miss) if self.clusters else None
        )
        self.agreement, self.taken_for = _agreement(name, synthetic, real)
        self.memory = memorisation(
            synthetic,
            self.images.train,
            held_out if len(held_out) else None,
            mirrored=real.mirrored.get(name),
            pixels=self._nearness(),
            rng=rng,
        )

    def _nearness(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Pixel distances ÷ limits of synthetic and of held-out images; None if unknown."""
        finder = self.real.copy_finders.get(self.name)
        if self.pixels is None or finder is None or self.pixels.shape[1:] != finder.images.shape[1:]:
            return None
        return finder.closest(self.pixels)[0], self.real.held_out_nearness.get(self.name, np.empty(0))

    def bias(self) -> list[BiasRow]:
        """What the synthetic images of the class change, the largest change first."""
        name, images, real = self.name, self.images, self.real
        measures = {}
        if self.pixels is not None and name in real.reference_looks:
            known = real.train_looks.get(name)
            reference = known if images.compared_with_train and known else real.reference_looks[name]
            floor = known if not images.compared_with_train and known else {}
            measures = {
                measure: Sides(reference[measure], floor.get(measure), values)
                for measure, values in looks(self.pixels).items()
            }
        kinds = Sides(images.stratum.reference, images.stratum.train, self.synthetic)
        examples: list[str | None] = []
        if self.clustering is not None and len(images.train):
            examples = [real.train_paths[name][i] for i in self.clustering.middles(images.train)]
        return bias(measures, kinds, self.clustering, examples=examples, rng=self._to_halve)


class AllClassesContext(Context):
    """All judged classes as one set, each with as many real as synthetic images; agreement is the mean over them."""

    def __init__(
        self,
        synthetic: Mapping[str, Features],
        per_class: Mapping[str, ClassQuality],
        real: RealFeatures,
        *,
        rng: np.random.Generator,
        useful: Usefulness | None = None,
    ) -> None:
        """Make the comparisons.

        Args:
            synthetic: class → features [m, d].
            per_class: class → its scores.
            real: from `describe_real`.
            rng: of every random choice.
            useful: GAN-train and GAN-test, means over the classes.
        """
        super().__init__([ClassImages.of(name, found, real) for name, found in synthetic.items()], real, useful, rng)
        agreed = [
            (score.value, q.n_synthetic, score.floor.mean, real.judge.recognised[real.classes.index(name)][1])
            for name, q in per_class.items()
            if (score := q.score("agreement")).value is not None and score.floor is not None and real.judge is not None
        ]
        if agreed:
            shares, samples, floors, tried = zip(*agreed, strict=True)
            self.agreement = Score.of(mean_of_proportions(shares, samples), mean_of_proportions(floors, tried))


def _agreement(name: str, synthetic: Features, real: RealFeatures) -> tuple[Score | None, tuple[str, float] | None]:
    label = real.classes.index(name)
    if real.judge is None or (share := real.judge.share(synthetic, label)) is None:
        return None, None
    right, tried = real.judge.recognised[label]
    other = real.judge.taken_for(synthetic, label)
    score = Score.of(proportion_range(share, len(synthetic)), proportion_range(right / tried, tried))
    return score, (real.classes[other[0]], other[1]) if other else None
