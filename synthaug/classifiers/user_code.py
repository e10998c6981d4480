"""Run a user's classifier file, in a process of its own: see `user_file`, which starts this module.

Requests come as pickles on stdin. A reply is a line of JSON, followed by an array's bytes if it names a shape. The file
may print, close its streams, fail or end the process: that is at most an error.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import CodeType, ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import SynthaugError

FACTORY = "Classifier"
HINT = (
    "the file needs the functions fit(images, labels, weights, seed) and predict(images), or a class Classifier with "
    "them as methods"
)
_MODULE = "synthaug_user_classifier"


def main(file: str) -> None:
    """Answer requests until the other process has gone: (models to forget, name of a method, arguments)."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with suppress(OSError):  # the file's own input and output are not ours
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    user = _UserCode(Path(file))
    for dropped, name, *arguments in _received(requests):
        array, head = None, {}
        user.models = {number: model for number, model in user.models.items() if number not in dropped}
        try:
            array = getattr(user, name)(*arguments)
        except SynthaugError as error:
            head = {"error": error.message, "hint": error.hint, "traceback": traceback.format_exc()}
        if array is not None:
            head = {"shape": array.shape}
        replies.write(json.dumps(head).encode() + b"\n" + (b"" if array is None else array.tobytes()))
        replies.flush()


def _received(requests: BinaryIO) -> Iterator[tuple[Any, ...]]:
    """The requests. A thread reads them, so that the end of the other process ends this one, also during a training."""
    queue: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def read() -> None:
        try:
            while True:
                queue.put(pickle.load(requests))
        finally:
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield queue.get()


class _UserCode:
    """The functions of the file. The file is run again for each training."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.models: dict[int, Callable[..., Any]] = {}

    def check(self) -> None:
        _functions(self.file)

    def fit(self, number: int, *training: Any) -> None:
        fit, predict = _functions(self.file)
        model = _called(self.file, "fit", fit, *training)
        predict = getattr(model, "predict", None) or predict
        if not callable(predict):
            raise SynthaugError(f"fit of {str(self.file)!r} returned no model, and there is no predict", HINT)
        self.models[number] = predict

    def predict(self, number: int, pixels: NDArray[np.uint8], num_classes: int) -> NDArray[np.float32]:
        def found() -> NDArray[Any]:
            given = self.models[number](pixels)
            return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)

        return _probabilities(self.file, _called(self.file, "predict", found), len(pixels), num_classes)


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


def source(file: Path) -> bytes:
    """The file's content.

    Raises:
        SynthaugError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        fault = error.strerror or error
        raise SynthaugError(f"the classifier file {str(file)!r} cannot be read: {fault}", "check the file") from error


def _compiled(file: Path) -> CodeType:
    try:
        return compile(source(file), str(file), "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise SynthaugError(
            f"the classifier file {str(file)!r}{where} is not valid Python: {getattr(error, 'msg', error)}", HINT
        ) from error


def _called(file: Path, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the user's code; an exception becomes one line that names the place."""
    try:
        return function(*arguments)
    except BaseException as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = f", line {frames[-1].lineno}" if frames else ""
        message = ""
        with suppress(BaseException):
            message = f": {error}" if str(error) else ""
        where = "running" if function is exec else f"{name} of"
        raise SynthaugError(
            f"{where} the classifier file {str(file)!r}{line} raised {type(error).__name__}{message}",
            f"correct the file, or see the whole traceback with --debug; {HINT}",
        ) from error


def _probabilities(file: Path, found: NDArray[Any], count: int, num_classes: int) -> NDArray[np.float32]:
    """Check the result of `predict`; labels become probabilities of 0 and 1."""
    hint = f"give probabilities [{count}, {num_classes}] whose rows sum to 1, or labels [{count}]"
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
