"""`synthaug.Sampler`: imbalanced-learn's own checks, images in and out in every form, clear errors for other arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_material import Painters, fit_by_painter
from sklearn.datasets import load_digits

import synthaug
from synthaug.documents import FitDocument
from synthaug.errors import SynthaugError
from synthaug.requests import FitRequest

pytest.importorskip("imblearn")
from imblearn.pipeline import make_pipeline
from imblearn.utils import estimator_checks
from sklearn.linear_model import LogisticRegression

SMALL = {
    "model.width": 8, "model.discriminator_width": 8, "training.batch_size": 16, "monitor.samples_per_class": 8,
    "training.augment": ["color"], "gate.steps": 24,
}  # fmt: skip
NOT_FOR_IMAGES = {
    "check_samplers_fit": "its X has two columns",
    "check_samplers_sparse": "images are not sparse",
    "check_samplers_pandas_sparse": "images are not sparse",
    "check_sampler_get_feature_names_out": "its X has negative values",
    "check_sampler_get_feature_names_out_pandas": "its X has negative values",
}
"""Checks with rows that are no images, which the documentation lists."""


def images(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Digits as imbalanced-learn's checks take data: float rows, and three classes, the last the largest."""
    digits = load_digits()
    X, y = digits.data / 16, digits.target
    rows = np.concatenate([np.flatnonzero(y == k)[: count * (k + 2) // 10] for k in range(3)])
    return X[rows], y[rows]


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> list[FitRequest]:
    """A painter instead of a training; the requests that were made."""
    asked = []

    def run_fit(request: FitRequest, progress: object) -> FitDocument:
        asked.append(request)
        return fit_by_painter(request, progress)

    monkeypatch.setattr("synthaug.imbalanced.run_fit", run_fit)
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())
    return asked


def rows_of_images() -> synthaug.Sampler:
    return synthaug.Sampler(image_shape=(8, 8), gate=False, random_state=0, progress=False)


EVERY_CHECK = {
    check.func.__name__: check
    for _, check in estimator_checks.parametrize_with_checks([rows_of_images()]).args[1]  # in old and new versions
}
CHECKS = {name: check for name, check in EVERY_CHECK.items() if name not in NOT_FOR_IMAGES}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_imbalanced_learns_own_checks(
    check: Callable[[Any], None], no_training: list[FitRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimator_checks, "sample_dataset_generator", images)
    check(rows_of_images())


def test_the_checks_are_those_that_the_documentation_names() -> None:
    page = (Path(__file__).parents[2] / "docs/training-loops.md").read_text(encoding="utf-8")
    assert {name for name in NOT_FOR_IMAGES if f"`{name}`" in page} == set(NOT_FOR_IMAGES)
    assert len(CHECKS) == len(EVERY_CHECK.keys() - NOT_FOR_IMAGES) >= 9
    estimator_checks.check_param_validation("Sampler", rows_of_images())


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        (lambda X: X.reshape(-1, 8, 8), (8, 8)),
        (lambda X: (X.reshape(-1, 8, 8) * 255).round().astype(np.uint8), (8, 8)),
        (lambda X: (X.reshape(-1, 8, 8, 1) * 255).round().astype(np.int64), (8, 8, 1)),
        (lambda X: X.reshape(-1, 1, 8, 8).astype(np.float32), (1, 8, 8)),
        (lambda X: np.repeat(X.reshape(-1, 4, 16, 1), 3, axis=3), (4, 16, 3)),
        (lambda X: np.repeat(X.reshape(-1, 1, 4, 16), 3, axis=1), (3, 4, 16)),
    ],
)
def test_images_come_back_in_the_form_that_they_came_in(
    form: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], no_training: list[FitRequest]
) -> None:
    X, y = images()
    X = form(X)
    sampler = synthaug.Sampler(gate=False, random_state=0, progress=False)
    X_all, y_all = sampler.fit_resample(X, y)
    assert (X_all.dtype, X_all.shape[1:]) == (X.dtype, shape)
    assert np.array_equal(X_all[: len(X)], X)
    assert np.array_equal(y_all[: len(y)], y)
    assert Counter(y_all.tolist()) == dict.fromkeys(range(3), 24)
    made = X_all[len(X) :]
    assert made.max() > 0.5 * X.max()
    assert len(np.unique(made.reshape(len(made), -1), axis=0)) == len(made)
    assert no_training[0].target_class == ("0", "1")


def test_a_training_in_earnest_in_a_pipeline(tmp_path: Path) -> None:
    X, y = images()
    names = np.array(["a/b", "B", "b"])[y]  # which cannot be folders
    sampler = synthaug.Sampler(
        image_shape=(8, 8), sampling_strategy="minority", budget="1kimg", recipe="default", resolution=16,
        settings=SMALL, gate=False, random_state=0, device="cpu", out=tmp_path / "kept", progress=False,
    )  # fmt: skip
    fitted = make_pipeline(sampler, LogisticRegression(max_iter=50)).fit(X, names)
    assert fitted.score(X, names) > 0.9
    assert fitted[0].sampling_strategy_ == {"a/b": 12}
    assert (tmp_path / "kept/runs/latest/config.yaml").is_file()
    with pytest.raises(SynthaugError, match="exists already"):
        sampler.fit_resample(X, names)


def test_what_is_balanced_stays(no_training: list[FitRequest]) -> None:
    X, y = np.zeros((4, 8, 8)), np.array([0, 0, 1, 1])
    assert synthaug.Sampler(progress=False).fit_resample(X, y)[0].shape == (4, 8, 8)
    assert not no_training


Y = np.array([0, 0, 0, 1])


@pytest.mark.parametrize(
    ("X", "y", "options", "said", "hint"),
    [
        (np.zeros((4, 64)), Y, {}, "rows are no images", "image_shape=(8, 8)"),
        (np.zeros((4, 65)), Y, {}, "rows are no images", "image_shape=(H, W)"),
        (np.zeros((4, 64)), Y, {"image_shape": (8, 9)}, "image_shape is (8, 9)", "[N, 72]"),
        (np.zeros((4, 8, 8, 4)), Y, {}, "images of the shape (8, 8, 4)", "1 or 3 channels"),
        (np.zeros((4, 2, 2, 2, 3)), Y, {}, "images of the shape (2, 2, 2, 3)", "1 or 3 channels"),
        (np.full((4, 8, 8), 16.0), Y, {}, "values from 16 to 16 as float64", "X / X.max()"),
        (np.full((4, 8, 8), -1), Y, {}, "values from -1 to -1 as int64", "from 0 to 255"),
        (np.full((4, 8, 8), np.nan), Y, {}, "values from nan to nan", "from 0 to 1"),
        (np.full((4, 8, 8), "x"), Y, {}, "the type <U1", "numbers"),
        ([np.zeros((8, 8))] * 3 + [np.zeros((9, 8))], Y, {}, "2 sizes: 8 × 8, 9 × 8", "resize them"),
        (np.zeros((4, 8, 8)), np.zeros(4), {}, "one class only", "at least two classes"),
    ],
)
def test_other_arrays_are_one_clear_error(X: Any, y: Any, options: dict[str, Any], said: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        synthaug.Sampler(progress=False, **options).fit_resample(X, y)
    assert isinstance(error.value, SynthaugError)
    assert said in error.value.message
    assert hint in error.value.hint


def test_without_imbalanced_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.imbalanced.BaseOverSampler", None)
    with pytest.raises(SynthaugError, match="needs imbalanced-learn") as error:
        synthaug.Sampler()
    assert error.value.hint == "pip install imbalanced-learn"
