"""Can a classifier be trained on the synthetic images? GAN-train and GAN-test; floors use real images instead.

Shmelkov et al., "How good is my GAN?" (arXiv:1807.09499), section 3; GAN-train over all classes is the classification
accuracy score of Ravuri & Vinyals (arXiv:1905.10887). GAN-train is low if samples are poor or lack variety, GAN-test if
they do not look like their class. The classifier here is a logistic regression on 128 principal components of the
frozen features, fitted in a fraction of a second. `evaluate` trains the user's own classifier instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from synthaug.documents import Range
from synthaug.features.standardised import Standardiser
from synthaug.metrics.spread import mean_of_proportions, proportion_range

Array = NDArray[Any]
MIN_IMAGES = 5
"""A class with fewer images of any kind is left out."""
MAX_PER_CLASS = 200
"""Images of a class to train on, and synthetic ones to test on."""
DRAWS = 3
COMPONENTS = 128
_C = 1e-2


@dataclass(frozen=True, slots=True)
class Usefulness:
    """Recall of one class, or the mean over all (balanced accuracy); `*_floor` with real images in place of synthetic.

    `gan_train`: trained on synthetic, tested on held-out real images; floor: trained on as many real ones.
    `gan_test`: trained on real, tested on synthetic images; floor: tested on held-out real ones.
    """

    gan_train: Range
    gan_train_floor: Range
    gan_test: Range
    gan_test_floor: Range


def usefulness(
    train: Mapping[str, Array],
    held_out: Mapping[str, Array],
    synthetic: Mapping[str, Array],
    *,
    others: Mapping[str, Array] | None = None,
    rng: np.random.Generator,
) -> tuple[dict[str, Usefulness], Usefulness | None]:
    """GAN-train and GAN-test of every class that has enough images, and of all together.

    For each class the classifiers are fitted on equally many real and synthetic images, 200 at most, drawn three times
    without replacement. A class's range is Clopper and Pearson's for the images tested on; that of the mean over
    classes comes from their binomial variances. Both leave out the variance between trainings. Without two classes,
    nothing is measured.

    Args:
        train: class → features [t, d] of real training images.
        held_out: class → features [h, d] of real images that neither generator nor classifier has seen.
        synthetic: class → features [m, d].
        others: class → features of real training images of classes that were not generated. If only one class was
            generated, they are the other classes of every classifier.
        rng: draws the images.
    """
    kinds = (train, held_out, synthetic)
    judged = [name for name in synthetic if min(len(kind.get(name, ())) for kind in kinds) >= MIN_IMAGES]
    context = {}
    if len(judged) == 1 and others:
        context = {name: x for name, x in others.items() if name not in synthetic and len(x) >= MIN_IMAGES}
    names = [*judged, *context]
    if not judged or len(names) < 2:
        return {}, None
    components = _components([train[name] for name in names if name in judged] + list(context.values()), rng)
    train, held_out, synthetic, context = (
        {name: components.transform(sets[name]) for name in names if name in sets}
        for sets in (train, held_out, synthetic, context)
    )
    tested = {name: synthetic[name][rng.permutation(len(synthetic[name]))[:MAX_PER_CLASS]] for name in judged}
    shares = []
    for _ in range(DRAWS):
        real, fake = {}, {}
        for name in judged:
            n = min(len(train[name]), len(synthetic[name]), MAX_PER_CLASS)
            real[name] = train[name][rng.permutation(len(train[name]))[:n]]
            fake[name] = synthetic[name][rng.permutation(len(synthetic[name]))[:n]]
        for name, x in context.items():
            real[name] = fake[name] = x[rng.permutation(len(x))[:MAX_PER_CLASS]]
        by_real, by_fake = _fit(real, names), _fit(fake, names)
        shares.append(
            [
                (
                    _recall(by_fake, held_out[name], label),
                    _recall(by_real, held_out[name], label),
                    _recall(by_real, tested[name], label),
                )
                for label, name in enumerate(judged)
            ]
        )
    means = np.mean(shares, axis=0)
    counts = {name: (len(held_out[name]), len(held_out[name]), len(tested[name])) for name in judged}
    per_class = {
        name: _collected(*(proportion_range(float(s), n) for s, n in zip(row, counts[name], strict=True)))
        for name, row in zip(judged, means, strict=True)
    }
    if len(judged) < 2:
        return per_class, None
    columns = zip(*(counts[name] for name in judged), strict=True)
    return per_class, _collected(*(mean_of_proportions(s.tolist(), n) for s, n in zip(means.T, columns, strict=True)))


def _collected(gan_train: Range, real: Range, gan_test: Range) -> Usefulness:
    return Usefulness(gan_train=gan_train, gan_train_floor=real, gan_test=gan_test, gan_test_floor=real)


def _components(real: list[Array], rng: np.random.Generator) -> Pipeline:
    """The map from features to principal components of the standardised features of real training images."""
    x = np.concatenate([part[rng.permutation(len(part))[:MAX_PER_CLASS]] for part in real])
    count = min(COMPONENTS, *x.shape)
    solver = PCA(count, svd_solver="covariance_eigh" if len(x) > x.shape[1] else "full")
    return make_pipeline(Standardiser(), solver).fit(x)


def _fit(images: Mapping[str, Array], names: list[str]) -> LogisticRegression:
    x = np.concatenate([images[name] for name in names])
    y = np.repeat(np.arange(len(names)), [len(images[name]) for name in names])
    return LogisticRegression(C=_C, max_iter=100, tol=1e-3, class_weight="balanced").fit(x, y)


def _recall(model: LogisticRegression, features: Array, label: int) -> float:
    return float((model.predict(features) == label).mean())
