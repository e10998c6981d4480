"""Micro-batches: parts of a batch that take turns in one process, as if each had a process of its own.

Each part runs the whole step in a thread of its own; one thread runs at a time. Where the parts meet (the update of a
player, a statistic of the batch), each waits until the others have come as far. So a step is written for one batch, and
between two meetings the graphs of one part alone are in memory.

Modules change buffers when they are used (spectral norm's power iteration), and the step draws from one random
generator. Each part must find both as the first one did. So they are saved at a meeting and restored for each part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

R = TypeVar("R")
V = TypeVar("V")


class Abandoned(Exception):
    """Another part has failed."""


class State:
    """Tensors and a random generator that can be put back to an earlier state."""

    def __init__(self, tensors: list[Tensor], rng: torch.Generator) -> None:
        self._tensors, self._rng = tensors, rng

    def saved(self) -> tuple[list[Tensor], Tensor]:
        return [tensor.clone() for tensor in self._tensors], self._rng.get_state()

    def restore(self, saved: tuple[list[Tensor], Tensor]) -> None:
        # Not a change in the eyes of autograd: a graph that has used a tensor finds the value that it had then.
        for tensor, value in zip(self._tensors, saved[0], strict=True):
            tensor.data.copy_(value)
        self._rng.set_state(saved[1])

    @contextmanager
    def as_it_was(self, saved: tuple[list[Tensor], Tensor]) -> Iterator[None]:
        """For a while, an earlier state."""
        now = self.saved()
        self.restore(saved)
        try:
            yield
        finally:
            self.restore(now)


class Turns:
    """Runs a step for each of `count` parts of a batch.

    Args:
        state: what each part must find as the first one did.
    """

    def __init__(self, count: int, state: State, device: torch.device) -> None:
        def begin() -> None:
            if device.type == "cuda":
                torch.cuda.set_device(device)  # which is a thread's own

        self.count, self.part = count, 0
        self._state = state
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="part", initializer=begin)
        self._turn = threading.Condition()
        self._failed = False
        self._values: list[Any] = []
        self._result: Any = None
        self._undone: list[tuple[Tensor, list[Tensor]]] = []

    def run(self, step: Callable[[], R]) -> list[R]:
        """What `step` returns for each part. Whatever one of them raises ends all."""
        global _current
        self.part, self._failed, self._values = 0, False, []
        self._saved = self._state.saved()
        _current = self
        try:
            running: list[Future[R]] = [self._threads.submit(self._play, part, step) for part in range(self.count)]
            try:
                wait(running)
            except BaseException:  # Ctrl-C comes to this thread
                self._end()
                wait(running)
                raise
        finally:
            _current = None
            self._undone, self._result = [], None
        for error in (future.exception() for future in running):
            if error is not None and not isinstance(error, Abandoned):
                raise error
        return [future.result() for future in running]

    def meet(self, value: V, combine: Callable[[list[V]], R]) -> R:
        """What `combine` makes of the values of all parts; the last one to come calls it, for the whole batch."""
        global _current
        part = self.part
        self._values.append(value)
        if part < self.count - 1:
            self._state.restore(self._saved)
        else:
            values, self._values = self._values, []
            _current = None
            try:
                self._settle()
                self._result = combine(values)
            finally:
                _current = self
            self._saved = self._state.saved()
        self._pass_on(part)
        self._wait(part)
        result: R = self._result
        return result

    def divide(self, whole: Tensor) -> list[Tensor]:
        """The parts of a result [B, …] of the whole batch, cut from its graph until `_settle`."""
        leaves = [part.detach().requires_grad_() for part in whole.chunk(self.count)]
        self._undone.append((whole, leaves))
        return leaves

    def _settle(self) -> None:
        """Send the gradients of the parts, where they have some, through the graphs that they were cut from."""
        for whole, leaves in self._undone:
            gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
            if gradients:
                torch.autograd.backward(whole, torch.cat(gradients))
                for leaf in leaves:
                    leaf.grad = None

    def _play(self, part: int, step: Callable[[], R]) -> R:
        self._wait(part)
        try:
            done = step()
        except BaseException:
            self._end()
            raise
        if part < self.count - 1:
            self._state.restore(self._saved)
        self._pass_on(part)
        return done

    def _wait(self, part: int) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self.part == part or self._failed)
        if self._failed:
            raise Abandoned

    def _pass_on(self, part: int) -> None:
        with self._turn:
            self.part = (part + 1) % self.count
            self._turn.notify_all()

    def _end(self) -> None:
        with self._turn:
            self._failed = True
            self._turn.notify_all()


_current: Turns | None = None


def count() -> int:
    """How many parts take turns now: 1 outside of `Turns.run`, and where they meet."""
    return _current.count if _current is not None else 1


def part() -> int:
    """The number of the part whose turn it is, from 0."""
    return _current.part if _current is not None else 0


def meet(value: V, combine: Callable[[list[V]], R]) -> R:
    """`combine` of the values of all parts."""
    return combine([value]) if _current is None else _current.meet(value, combine)


def divided(values: V, make: Callable[[list[V]], Tensor]) -> Tensor:
    """This part of what `make` makes of the values of all parts. Its gradient goes on when the parts meet again."""
    turns = _current
    assert turns is not None
    part = turns.part
    return turns.meet(values, lambda all_values: turns.divide(make(all_values)))[part]
