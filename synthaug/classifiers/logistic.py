"""Logistic regression on frozen features: strong on little data, and without optimiser steps.

The features are those of `efficientnet_lite0`, standardised. The strength of the penalty is chosen from one fixed grid
by cross-validation on the real training images. SMOTE interpolates in the same features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import StratifiedGroupKFold
from typing_extensions import Self

from synthaug.classifiers.base import Ability, Augment, Labels, Pixels, Probabilities, Weights, check_training_input
from synthaug.classifiers.losses import Loss, priors_of
from synthaug.classifiers.smote import interpolate, require_smote
from synthaug.classifiers.weights import augmented_copy, drawn, numbered, shared_with_copies
from synthaug.features import load_features
from synthaug.features.base import FeatureNet
from synthaug.features.efficientnet_lite0 import INPUT_SIDE
from synthaug.features.standardised import Standardiser
from synthaug.files import digest
from synthaug.progress import Progress, Silent

FEATURES = "efficientnet_lite0"
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse penalties C of scikit-learn, for standardised features and sample weights of mean 1."""
FOLDS = 3
BATCH = 32
"""Images of a forward pass of the net: larger batches fall out of a CPU's cache."""
Floats = npt.NDArray[np.float32]


class RememberedFeatures:
    """A feature net that computes each image once: arms and seeds share most of their images.

    The net only gets whole batches, because the last digits of a feature depend on the size of its batch. So an image
    has the same bits whichever images came before it: an evaluation that was interrupted skips some.
    """

    def __init__(self, net: FeatureNet, progress: Progress | None = None) -> None:
        self.net = net
        self.progress = progress or Silent()
        self._rows: dict[str, Floats] = {}

    def __call__(self, pixels: Pixels) -> Floats:
        """Features [N, d] of images [N, C, H, W]."""
        return self._found([digest(image) for image in pixels], lambda rows: pixels[rows])

    def of_copies(self, pixels: Pixels, indices: Labels) -> Floats:
        """Features [n, d] of `augmented(pixels, indices)`; only copies that are not known yet are made."""
        names = {index: digest(pixels[index]) for index in set(indices.tolist())}
        copies = numbered(indices)
        keys = [f"{names[index]} copy {number}" for index, number in copies]
        return self._found(
            keys, lambda rows: np.stack([augmented_copy(pixels[i], n) for i, n in (copies[r] for r in rows)])
        )

    def _found(self, keys: list[str], images: Callable[[list[int]], Pixels]) -> Floats:
        missing = {key: row for row, key in enumerate(keys) if key not in self._rows}
        if missing:
            names, made = list(missing), images(list(missing.values()))
            with self.progress.task("features", len(made), "images") as task:
                for start in range(0, len(made), BATCH):
                    part = made[start : start + BATCH]
                    found = self.net(np.resize(part, (BATCH, *part.shape[1:])), batch_size=BATCH)  # repeats the images
                    self._rows.update(zip(names[start : start + BATCH], found, strict=False))
                    task.advance(len(part))
        return np.stack([self._rows[key] for key in keys]) if keys else np.zeros((0, self.net.dim), np.float32)


class Logistic:
    """Weighted multinomial logistic regression with an L2 penalty.

    Args:
        device: where the feature net runs.
        features: a net to use instead of loading one (shared between trials).
        penalty: the C to use; None: choose it by cross-validation. After `fit` it holds the C that was used.
    """

    uses_steps: ClassVar[bool] = False
    native_side: ClassVar[int] = INPUT_SIDE
    supports: ClassVar[frozenset[Ability]] = frozenset({"smote", "logit-adjusted"})

    def __init__(
        self, *, device: str = "auto", features: RememberedFeatures | None = None, penalty: float | None = None
    ) -> None:
        self.device = device
        self.features = features
        self.penalty = penalty

    def fit(
        self, pixels: Pixels, labels: Labels, draw_weights: Weights, *, num_classes: int,
        loss_weights: Weights | None = None, steps: int = 600, seed: int = 0, augment: Augment = "none",
        groups: Labels | None = None, loss: Loss = "cross-entropy", smote: bool = False,
    ) -> Self:  # fmt: skip
        check_training_input(pixels, labels, draw_weights, num_classes)
        self._smote = smote
        if smote:
            require_smote()
        if self.features is None:
            self.features = RememberedFeatures(load_features(FEATURES, device=self.device))
        pixels, labels, weights, groups = drawn(pixels, labels, draw_weights, loss_weights, groups)
        image_of, weights = shared_with_copies(weights, labels, groups, augment)  # one each a row of features
        copied = self.features.of_copies(pixels, image_of[len(pixels) :])
        rows = np.concatenate([self.features(pixels), copied])
        real = np.flatnonzero(groups >= 0)
        # weights have mean 1 on the real images, so that synthetic ones do not change the strength of the penalty
        weights *= max(len(real), 1) / weights.sum()
        self._scaler = Standardiser().fit(rows[real])
        rows = self._scaler.transform(rows)
        self._num_classes = num_classes
        # The intercept has no penalty, so training with logits f + log π finds the plain model's f − log π.
        priors = priors_of(labels[image_of], weights, num_classes) if loss == "logit-adjusted" else np.ones(num_classes)
        self._priors = priors.astype(np.float32)
        if self.penalty is None:
            self.penalty = self._choose(rows, labels, weights, image_of, groups, seed)
        self._model = self._train(rows, labels[image_of], weights, self.penalty, seed)
        return self

    def predict_proba(self, pixels: Pixels) -> Probabilities:
        if self.features is None:
            raise RuntimeError("predict_proba before fit")
        given = np.zeros((len(pixels), self._num_classes), np.float32)
        if len(pixels):
            rows = self._scaler.transform(self.features(pixels))
            given[:, self._model.classes_] = self._model.predict_proba(rows)
            given /= self._priors
            given /= given.sum(axis=1, keepdims=True)
        return given

    def _train(self, rows: Floats, labels: Labels, weights: Weights, penalty: float, seed: int) -> Any:
        if self._smote:
            rows, labels = interpolate(rows, labels, seed)
            weights = np.ones(len(labels))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # at weak penalties the last digits do not matter
            return LogisticRegression(C=penalty, max_iter=300, tol=1e-3).fit(rows, labels, sample_weight=weights)

    def _choose(
        self, rows: Floats, labels: Labels, weights: Weights, image_of: Labels, groups: Labels, seed: int
    ) -> float:
        """The C with the best mean recall of the classes on held-out real images; the strongest penalty among equals.

        Not macro-F1: the precision of a class of two dozen images hangs on how many of the many others fall to it, and
        what it chose was worse on images outside (docs/science/controls.md).
        """
        real = np.flatnonzero(groups >= 0)
        if np.bincount(labels[real]).max() < FOLDS:
            return GRID[len(GRID) // 2]  # too few images to choose by
        folds = np.full(len(groups), -1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # classes of fewer images than folds
            splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
            for fold, (_, held_out) in enumerate(splitter.split(real, labels[real], groups[real])):
                folds[real[held_out]] = fold
        predicted = np.full((len(GRID), len(groups)), -1)
        for fold in range(FOLDS):
            held_out = np.flatnonzero(folds == fold)
            seen = np.flatnonzero(folds[image_of] != fold)
            if not len(held_out) or len(np.unique(labels[image_of[seen]])) < 2:
                continue
            for index, penalty in enumerate(GRID):
                model = self._train(rows[seen], labels[image_of[seen]], weights[seen], penalty, seed)
                predicted[index, held_out] = model.predict(rows[held_out])
        scores = [
            recall_score(labels[real], row[real], labels=np.unique(labels[real]), average="macro") for row in predicted
        ]
        return GRID[int(np.argmax(scores))]
