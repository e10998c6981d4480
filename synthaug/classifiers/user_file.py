"""The user's own classifier: a Python file with `fit(images, labels, weights, seed)` and `predict(images)`.

The file has both functions, or `fit` returns a model with `predict`, or the file has a class (or a function without
arguments) `Classifier` that makes an object with both. Images are uint8 [N, C, H, W], labels int64 [N] in 0 … K-1,
weights float64 [N] of mean 1; `predict` returns probabilities [N, K] or labels [N].

The file runs in a process of its own (`user_code`), which it can end without ending this one. It is run again for each
training, so that an arm cannot use what an earlier one learnt. It runs only if it is named on the command line or in a
call; files in a run or a data folder never run by themselves.
"""

from __future__ import annotations

import itertools
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from typing_extensions import Self

from synthaug.classifiers.base import Ability, Augment, Labels, Pixels, Probabilities, Weights, check_training_input
from synthaug.classifiers.user_code import HINT, source
from synthaug.classifiers.weights import augmented, drawn, shared_with_copies
from synthaug.errors import RunFailed, SynthaugError
from synthaug.files import digest

_START = "import sys; sys.path[:] = {path!r}; from synthaug.classifiers.user_code import main; main({file!r})"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_NUMBERS = itertools.count()


class _UserTraceback(Exception):
    """A traceback of the other process, as text: the cause of an error, for --debug."""


class _UserProcess:
    """The process that runs a file."""

    def __init__(self, file: Path, threads: int) -> None:
        self.file = file
        # the path is set before anything is imported: `python -c` looks into the working folder first
        start = _START.format(path=sys.path, file=str(file))
        quiet = ["-W", "ignore"] if ("ignore", None, Warning, None, 0) in warnings.filters else []
        self._process = subprocess.Popen(
            [sys.executable, *quiet, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(_THREADS, str(threads))},
        )  # fmt: skip
        self._lock = threading.Lock()
        self.dropped: list[int] = []  # numbers of models that nothing needs any more
        self.close = weakref.finalize(self, _end, self._process)

    def ask(self, name: str, *arguments: Any) -> Probabilities:
        """Call a method of `user_code._UserCode` there; without a result, the array is empty.

        Raises:
            SynthaugError: the file failed, or ended its process.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            try:
                dropped, self.dropped = self.dropped, []
                pickle.dump((dropped, name, *arguments), process.stdin, protocol=5)
                process.stdin.flush()
                head: dict[str, Any] = json.loads(process.stdout.readline())
                shape = head.get("shape", [0])
                values = process.stdout.read(4 * int(np.prod(shape)))
                found: Probabilities = np.frombuffer(values, np.float32).reshape(shape).copy()
            except (OSError, ValueError) as error:
                raise self._ended(name) from error
        if "error" in head:
            raise SynthaugError(head["error"], head["hint"]) from _UserTraceback(head["traceback"])
        return found

    def forget(self, number: int) -> None:
        """Drop a model with the next request: this may be called in the midst of one, when garbage is collected."""
        self.dropped.append(number)

    def _ended(self, name: str) -> SynthaugError:
        self.close()
        _process.cache_clear()
        code = self._process.returncode
        if code < 0:
            return RunFailed(
                f"the process of the classifier file {str(self.file)!r} was killed by signal {-code} in {name}",
                "it may have run out of memory: close other programs, or take fewer or smaller images",
            )
        return SynthaugError(
            f"the classifier file {str(self.file)!r} ended its process with status {code} in {name}",
            f"correct the file: it must return; {HINT}",
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@lru_cache(maxsize=1)
def _process(file: Path, threads: int) -> _UserProcess:
    """One process for all trainings of this one: the file's imports take longer than many trainings."""
    return _UserProcess(file, threads)


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
    process = _UserProcess(path, 1)
    try:
        process.ask("check")
    finally:
        process.close()
    return path


def file_sha256(file: Path) -> str:
    return digest(source(file))


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
        self._process: _UserProcess | None = None

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
        number, process = next(_NUMBERS), _process(self.file, torch.get_num_threads())
        process.ask("fit", number, pixels, labels, weights / weights.mean(), seed)
        self._number, self._process = number, process
        weakref.finalize(self, process.forget, number)
        return self

    def predict_proba(self, pixels: Pixels) -> Probabilities:
        if self._process is None:
            raise RuntimeError("predict_proba before fit")
        if not len(pixels):
            return np.zeros((0, self._num_classes), np.float32)
        return self._process.ask("predict", self._number, np.array(pixels), self._num_classes)


def factory(file: Path) -> Callable[..., FileClassifier]:
    """A function of `device` that makes a classifier, as the classes of the table are."""
    return partial(FileClassifier, file)
