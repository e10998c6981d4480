"""The user's own classifier: a Python file with `fit(images, labels, weights, seed)` and `predict(images)`.

The file has both functions, or `fit` returns a model with `predict`, or the file has a class (or a function without
arguments) `Classifier` that makes an object with both. Images are uint8 [N, C, H, W], labels int64 [N] in 0 … K-1,
weights float64 [N] of mean 1; `predict` returns probabilities [N, K] or labels [N].

The file is run again for each training, so that an arm cannot use what an earlier one learnt. It runs only if it is
named on the command line or in a call; files in a run or a data folder never run by themselves.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from synthaug.classifiers.base import Ability, Augment, Labels, Pixels, Probabilities, Weights, check_training_input
from synthaug.classifiers.weights import augmented, drawn, shared_with_copies
from synthaug.errors import SynthaugError
from synthaug.files import digest

FACTORY = "Classifier"
HINT = (
    "the file needs the functions fit(images, labels, weights, seed) and predict(images), or a class Classifier with "
    "them as methods"
)
_MODULE = "synthaug_user_classifier"


def check_file(file: str | Path) -> Path:
    """Return the file's full path; run it once, to see that it holds a classifier.

    Raises:
        SynthaugError: it is missing, is not valid Python, fails, or lacks the functions.
    """
    path = Path(file)
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "does not exist"
        raise SynthaugError(f"the classifier file {str(file)!r} {fault}", f"give a Python file; {HINT}")
    path = path.resolve()
    _functions(path)
    return path


def file_sha256(file: Path) -> str:
    return digest(_source(file))


class FileClassifier:
    """The functions of a file as a `Classifier` without steps, which weighs images instead of drawing them.

    Classical augmentation adds augmented copies, as for `logistic`. A classifier that ignores the weights cannot show
    the difference between some arms.

    Args:
        file: a Python file.
        device: not used; the file decides where it computes.
    """

    uses_steps: ClassVar[bool] = False
    native_side: ClassVar[int] = 224  # what networks for photographs usually take
    supports: ClassVar[frozenset[Ability]] = frozenset()

    def __init__(self, file: Path, *, device: str = "auto") -> None:
        self.file = file
        self._predict: Callable[..., Any] | None = None

    def fit(
        self, pixels: Pixels, labels: Labels, draw_weights: Weights, *, num_classes: int,
        loss_weights: Weights | None = None, steps: int = 600, seed: int = 0, augment: Augment = "none",
        groups: Labels | None = None,
    ) -> Self:  # fmt: skip
        check_training_input(pixels, labels, draw_weights, num_classes)
        pixels, labels, weights, groups = drawn(pixels, labels, draw_weights, loss_weights, groups)
        image_of, weights = shared_with_copies(weights, labels, groups, augment)
        pixels = np.concatenate([pixels, augmented(pixels, image_of[len(pixels) :])])
        labels = labels[image_of]
        self._num_classes = num_classes
        fit, predict = _functions(self.file)
        model = _called(self.file, "fit", fit, pixels, labels, weights / weights.mean(), seed)
        self._predict = getattr(model, "predict", None) or predict
        if not callable(self._predict):
            raise SynthaugError(f"fit of {str(self.file)!r} returned no model, and there is no predict", HINT)
        return self

    def predict_proba(self, pixels: Pixels) -> Probabilities:
        if self._predict is None:
            raise RuntimeError("predict_proba before fit")
        if not len(pixels):
            return np.zeros((0, self._num_classes), np.float32)
        given = _called(self.file, "predict", self._predict, np.array(pixels))
        return _probabilities(self.file, given, len(pixels), self._num_classes)


def factory(file: Path) -> Callable[..., FileClassifier]:
    """A function of `device` that makes a classifier, as the classes of the table are."""
    return partial(FileClassifier, file)


def _source(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fault = error.strerror or error
        raise SynthaugError(f"the classifier file {str(file)!r} cannot be read: {fault}", "check the file") from error


def _compiled(file: Path) -> CodeType:
    try:
        return compile(_source(file), str(file), "exec")
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise SynthaugError(
            f"the classifier file {str(file)!r}{where} is not valid Python: {getattr(error, 'msg', error)}", HINT
        ) from error


def _functions(file: Path) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """Run the file and find `fit` and `predict`. `predict` is None if `fit` has to return a model."""
    code = _compiled(file)
    module = ModuleType(_MODULE)
    module.__file__ = str(file)
    sys.modules[_MODULE] = module  # dataclasses and pickle look up the module of a class
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # the file may import its neighbours
    _called(file, "the file", exec, code, module.__dict__)
    make = getattr(module, FACTORY, None)
    holder: Any = _called(file, FACTORY, make) if callable(make) else module
    fit, predict = getattr(holder, "fit", None), getattr(holder, "predict", None)
    if not callable(fit):
        raise SynthaugError(f"the classifier file {str(file)!r} has no function fit", HINT)
    if predict is not None and not callable(predict):
        raise SynthaugError(f"predict in the classifier file {str(file)!r} is not a function", HINT)
    return fit, predict


def _called(file: Path, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the user's code; an exception becomes one line that names the place."""
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = f", line {frames[-1].lineno}" if frames else ""
        message = f": {error}" if str(error) else ""
        where = "running" if function is exec else f"{name} of"
        raise SynthaugError(
            f"{where} the classifier file {str(file)!r}{line} raised {type(error).__name__}{message}",
            f"correct the file, or see the whole traceback with --debug; {HINT}",
        ) from error


def _probabilities(file: Path, given: Any, count: int, num_classes: int) -> Probabilities:
    """Check the result of `predict`; labels become probabilities of 0 and 1."""
    hint = f"give probabilities [{count}, {num_classes}] whose rows sum to 1, or labels [{count}]"
    try:
        found = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    except (ValueError, TypeError) as error:
        raise SynthaugError(
            f"predict of {str(file)!r} gave {type(given).__name__}, not an array: {error}", hint
        ) from error
    start = f"predict of {str(file)!r} gave"
    if found.shape == (count,) and found.dtype.kind in "iub":
        if found.min() < 0 or found.max() >= num_classes:
            label = found[(found < 0) | (found >= num_classes)][0]
            raise SynthaugError(f"{start} the label {label} for classes 0 to {num_classes - 1}", hint)
        return np.eye(num_classes, dtype=np.float32)[found.astype(np.int64)]
    if found.shape != (count, num_classes) or found.dtype.kind not in "fiub":
        raise SynthaugError(f"{start} {found.dtype} of shape {list(found.shape)}", hint)
    rows = found.astype(np.float64)
    if not np.isfinite(rows).all() or (rows < 0).any():
        raise SynthaugError(f"{start} numbers that are not probabilities ({rows.min():g} to {rows.max():g})", hint)
    sums = rows.sum(axis=1)
    if np.abs(sums - 1).max() > 0.01:
        raise SynthaugError(f"{start} rows with sums from {sums.min():g} to {sums.max():g}", hint)
    return rows.astype(np.float32)
