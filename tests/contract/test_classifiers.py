"""Every classifier of the table keeps its promises: learning, determinism, pairing, and checks of its input."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch

from synthaug.augment.classical import OPERATIONS, trivial_augment
from synthaug.augment.mixing import MIXES
from synthaug.classifiers import CLASSIFIERS, supported
from synthaug.classifiers.base import Ability
from synthaug.classifiers.logistic import Logistic, RememberedFeatures
from synthaug.classifiers.losses import LOSSES
from synthaug.classifiers.steps import draws
from synthaug.classifiers.weights import copies
from synthaug.errors import SynthaugError

NAMES = CLASSIFIERS.names()
LARGE = {"resnet18", "finetune-full"}
"""They get a few steps here: too few to be held to anything learnt."""
FEW = 2


def blobs(
    n: int, channels: int = 1, side: int = 16, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Three classes that differ in where the bright square is."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    pixels = rng.integers(0, 60, (n, channels, side, side), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        start = int(label) * side // 3
        image[:, start : start + side // 3, 2:-2] += 150
    return pixels, labels


def fitted(name: str, **changes: Any) -> Any:
    pixels, labels = blobs(60, channels=changes.pop("channels", 1))
    arguments: dict[str, Any] = {"num_classes": 3, "steps": FEW if name in LARGE else 40, "seed": 3} | changes
    return CLASSIFIERS.get(name)(device="cpu").fit(pixels, labels, np.ones(len(labels)), **arguments)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", NAMES)
def test_takes_any_side_up_to_its_native_one(name: str) -> None:
    native = CLASSIFIERS.get(name).native_side
    for side in (21, native):
        pixels, labels = blobs(12, channels=3, side=side)
        made = CLASSIFIERS.get(name)(device="cpu").fit(pixels, labels, np.ones(12), num_classes=3, steps=1)
        assert made.predict_proba(pixels).shape == (12, 3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_learns_and_gives_probabilities(name: str, channels: int) -> None:
    classifier = fitted(name, channels=channels)
    pixels, labels = blobs(30, channels=channels, seed=1)
    probabilities = classifier.predict_proba(pixels)
    assert probabilities.shape == (30, 3)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-5)
    if name not in LARGE:
        assert (probabilities.argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_classifiers_and_leave_the_global_state_alone(name: str) -> None:
    pixels, _ = blobs(12, seed=1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = fitted(name, augment="classical", steps=FEW).predict_proba(pixels)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert np.array_equal(first, fitted(name, augment="classical", steps=FEW).predict_proba(pixels))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in LARGE])
def test_weights_and_loss_weights_act(name: str) -> None:
    pixels, labels = blobs(60)
    weights = np.where(labels == 2, 0.0, 1.0)
    ignorant = CLASSIFIERS.get(name)(device="cpu").fit(pixels, labels, weights, num_classes=3, steps=40)
    plain = fitted(name).predict_proba(pixels)
    known, unknown = ((p[labels == 2].argmax(axis=1) == 2).mean() for p in (plain, ignorant.predict_proba(pixels)))
    assert unknown <= 0.1 < 0.9 <= known  # a class that is never drawn: an unseen image may still fall to its side
    weighed = fitted(name, loss_weights=np.array([1.0, 1.0, 20.0])).predict_proba(pixels)
    assert weighed[:, 2].mean() > plain[:, 2].mean()


@pytest.mark.parametrize("name", NAMES)
def test_steps_act_if_the_classifier_says_so(name: str) -> None:
    pixels, _ = blobs(12, seed=1)
    few, more = (fitted(name, steps=steps).predict_proba(pixels) for steps in (1, 2))
    assert CLASSIFIERS.get(name).uses_steps == (not np.array_equal(few, more))


def argument(ability: str) -> dict[str, Any]:
    """How `fit` is asked for an ability."""
    return {"loss": ability} if ability in LOSSES else {"mix": ability} if ability in MIXES else {ability: True}


def ability_trained(name: str, **options: Any) -> npt.NDArray[np.float32]:
    """Probabilities after a few steps on 46 images, 6 of them of the third class."""
    pixels, labels = blobs(60)
    few = np.flatnonzero((labels != 2) | (np.arange(60) < 20))
    classifier = CLASSIFIERS.get(name)(device="cpu")
    classifier.fit(pixels[few], labels[few], np.ones(len(few)), num_classes=3, steps=FEW, seed=1, **options)
    return classifier.predict_proba(blobs(12, seed=1)[0])


plainly_trained = cache(ability_trained)


@pytest.mark.parametrize(
    ("name", "ability"), [(name, ability) for name in NAMES for ability in sorted(supported(name))]
)
def test_abilities_act_and_depend_on_the_seed_alone(name: str, ability: str) -> None:
    assert ability in get_args(Ability)
    before = torch.get_rng_state()
    asked = ability_trained(name, **argument(ability))
    assert torch.equal(before, torch.get_rng_state())
    assert np.abs(plainly_trained(name) - asked).max() > 1e-4
    if name not in LARGE:  # they share the loop and its draws
        assert np.array_equal(asked, ability_trained(name, **argument(ability)))


def test_logit_adjustment_of_logistic_regression_is_the_one_by_training() -> None:
    """Against a fit whose logits have log π added, by SciPy; the planted fault is the wrong sign."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax, softmax

    pixels, labels = blobs(90)
    few = np.flatnonzero((labels != 2) | (np.arange(90) < 30))
    pixels, labels = pixels[few], labels[few]

    class Corners:
        name, sha256, dim = "corners", "", 3

        def __call__(self, images: npt.NDArray[np.uint8], batch_size: int) -> npt.NDArray[np.float32]:
            return images[:, 0, [1, 7, 13], 8].astype(np.float32) + np.random.default_rng(0).normal(0, 60, 3)

    features: Any = RememberedFeatures(Corners())  # type: ignore[arg-type]
    classifier = Logistic(device="cpu", features=features, penalty=0.1)
    classifier.fit(pixels, labels, np.ones(len(labels)), num_classes=3, loss="logit-adjusted")
    rows = features(pixels)
    rows = (rows - rows.mean(0)) / rows.std(0)
    log_pi = np.log(np.bincount(labels) / len(labels))

    def by_training(sign: float) -> npt.NDArray[np.float64]:
        def risk(flat: npt.NDArray[np.float64]) -> float:
            weights, intercept = flat[:9].reshape(3, 3), flat[9:]
            log_p = log_softmax(rows @ weights + intercept + sign * log_pi, axis=1)[np.arange(len(labels)), labels]
            return float(-log_p.sum() + (weights**2).sum() / (2 * 0.1))

        flat = minimize(risk, np.zeros(12), method="BFGS").x
        return np.asarray(softmax(rows @ flat[:9].reshape(3, 3) + flat[9:], axis=1))

    found = classifier.predict_proba(pixels)
    assert found == pytest.approx(by_training(1.0), abs=5e-3)
    assert np.abs(found - by_training(-1.0)).max() > 0.1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": np.zeros(6, np.int64)}, "1 class"),
        ({"labels": np.full(6, 7)}, "label 7"),
        ({"labels": np.arange(5)}, "labels (5,)"),
        ({"weights": np.array([-1.0, 1, 1, 1, 1, 1])}, "negative"),
        ({"weights": np.full(6, np.nan)}, "infinite"),
        ({"pixels": np.zeros((6, 1, 16, 16), np.float32)}, "float32"),
    ],
)
@pytest.mark.parametrize("name", ["cnn", "logistic"])
def test_bad_input_is_named(name: str, change: dict[str, Any], said: str) -> None:
    given = {"pixels": np.zeros((6, 1, 16, 16), np.uint8), "labels": np.arange(6) % 3, "weights": np.ones(6)} | change
    with pytest.raises(SynthaugError, match=said.replace("(", r"\(").replace(")", r"\)")):
        CLASSIFIERS.get(name)().fit(given["pixels"], given["labels"], given["weights"], num_classes=3, steps=2)


def test_draws_keep_their_shares() -> None:
    weights = np.array([0.0, 1, 2, 5, 0])
    counts = np.bincount(draws(weights, 100, 64, seed=1).ravel(), minlength=5)
    assert np.abs(counts - 6400 * weights / 8).max() <= 1
    assert not np.array_equal(draws(weights, 100, 64, seed=1), draws(weights, 100, 64, seed=2))


def test_draws_pair_arrays_that_agree() -> None:
    """Half of every second image's weight given to a newcomer behind it leaves all other draws as they were."""
    plain = draws(np.ones(8), 50, 64, seed=0)
    split = draws(np.array([1, 1, 1, 1, 1, 1, 1, 0.5, 0.5]), 50, 64, seed=0)
    kept = split < 8
    assert np.array_equal(plain[kept], split[kept])
    assert (plain[~kept] == 7).all()


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5])
def test_real_images_are_augmented_as_often_with_synthetic_ones_beside_them(share: float) -> None:
    labels = np.repeat([0, 1], [60, 12])
    control = 1 / np.bincount(labels)[labels] / 2
    alone = np.bincount(copies(control, labels, np.arange(72)), minlength=72)
    assert (alone == np.repeat([1, 5], [60, 12])).all()
    weights = np.concatenate([np.where(labels == 1, control * (1 - share), control), np.full(100, share / 200)])
    groups = np.concatenate([np.arange(72), np.full(100, -1)])
    beside = np.bincount(copies(weights, np.concatenate([labels, np.ones(100, np.int64)]), groups), minlength=172)
    assert (beside == np.concatenate([alone, np.ones(100)])).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_trivial_augment_stays_in_range_and_uses_every_operation(channels: int) -> None:
    pixels = torch.from_numpy(blobs(600, channels)[0])
    first = trivial_augment(pixels, torch.Generator().manual_seed(0))
    assert first.shape == pixels.shape
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 255
    assert torch.equal(first, trivial_augment(pixels, torch.Generator().manual_seed(0)))
    unchanged = (first == pixels).flatten(1).all(1).float().mean()
    assert 0.5 / len(OPERATIONS) < unchanged < 0.4  # identity, and colour of grey images, leave images as they are


@pytest.mark.parametrize("operation", ["posterize", "solarize", "autocontrast", "equalize", "sharpness", "color"])
def test_photometric_operations_equal_pillow(operation: str) -> None:
    from PIL import Image, ImageEnhance, ImageOps

    from synthaug.augment.classical import _PHOTOMETRIC

    rng = np.random.default_rng(0)
    array = (rng.integers(20, 200, (3, 16, 16)) // 3 * 3).astype(np.uint8)
    image = Image.fromarray(array.transpose(1, 2, 0))
    tensor = torch.from_numpy(array)[None].float()
    expected = {
        "posterize": lambda: ImageOps.posterize(image, 6),
        "solarize": lambda: ImageOps.solarize(image, 128),
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(1.5),
        "color": lambda: ImageEnhance.Color(image).enhance(1.5),
    }[operation]()
    level = torch.full((1, 1, 1, 1), 1.5 if operation in ("sharpness", "color") else 0.5)
    ours = _PHOTOMETRIC[operation](tensor, level).clamp(0, 255)[0].numpy()
    assert np.abs(ours - np.asarray(expected).transpose(2, 0, 1)).max() <= 2
