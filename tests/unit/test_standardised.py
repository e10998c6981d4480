"""Features on one scale: as scikit-learn makes them, but nearly constant ones do not outweigh the others."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from synthaug.classifiers.finetune import Finetune
from synthaug.classifiers.logistic import Logistic, RememberedFeatures
from synthaug.features.standardised import SMALLEST, Standardiser


def test_features_that_vary_alike_are_those_of_scikit_learn() -> None:
    rows = np.random.default_rng(0).normal(3, 2, (200, 7))
    np.testing.assert_allclose(Standardiser().fit_transform(rows), StandardScaler().fit_transform(rows))


@pytest.mark.parametrize("deviation", [0.0, 1e-7, 1e-3])
def test_a_nearly_constant_feature_is_divided_by_a_share_of_what_others_vary(deviation: float) -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(0, 1, (200, 9)), rng.normal(0, deviation, (200, 1))], axis=1)
    scaler = Standardiser().fit(rows)
    assert scaler.scale_[-1] == pytest.approx(SMALLEST * rows.std(axis=0).mean())
    assert abs(scaler.transform(np.ones((1, 10)))[0, -1]) < 12


def test_features_without_any_variation_stay_finite() -> None:
    assert (Standardiser().fit_transform(np.ones((4, 3))) == 0).all()


class _Net:
    """Features of images [N, 1, 2, 2]: three pixels, and one that is dark on all images but the augmented ones."""

    dim, name = 4, "pixels"

    def __call__(self, pixels: np.ndarray, batch_size: int = 32) -> np.ndarray:
        rows = pixels.reshape(len(pixels), 4).astype(np.float32) / 255
        rows[:, 3] *= 1e-3
        return rows


class _Dark(RememberedFeatures):
    """Augmented copies are the images themselves."""

    def of_copies(self, pixels: np.ndarray, indices: np.ndarray) -> np.ndarray:
        return self(pixels[indices])


class _Lit(_Dark):
    """Augmented copies light up the dead feature."""

    def of_copies(self, pixels: np.ndarray, indices: np.ndarray) -> np.ndarray:
        rows = super().of_copies(pixels, indices)
        rows[:, 3] = np.random.default_rng(0).uniform(0, 1, len(rows))
        return rows


@pytest.mark.parametrize("classifier", [Logistic, Finetune])
def test_a_feature_that_only_augmented_copies_have_does_not_hide_the_class(classifier: type) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    pixels = rng.integers(60, 120, (120, 1, 2, 2)).astype(np.uint8)
    pixels[:, 0, 0, 0] += (60 * labels).astype(np.uint8)
    pixels[:, 0, 1, 1] = 0
    right = []
    for features in (_Dark, _Lit):
        made = classifier(device="cpu", features=features(_Net()))
        made.fit(pixels[:80], labels[:80], np.ones(80), num_classes=2, augment="classical", steps=4000)
        right.append(float((made.predict_proba(pixels[80:]).argmax(1) == labels[80:]).mean()))
    assert right[0] >= 0.8
    assert right[1] >= right[0] - 0.05
