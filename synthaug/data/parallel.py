"""Work on many small files on all cores, in order.

Threads wait for each other where an image takes a tenth of a millisecond: two need more time than one. So on Linux,
from `FORK_FROM` items on, forked processes share the work, as PyTorch's `DataLoader` forks; elsewhere threads do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from types import TracebackType
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits
from typing_extensions import Self

from synthaug.errors import RunFailed

R = TypeVar("R")
CHUNK = 64
FORK_FROM = 1000
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt

_work: Callable[..., Any] | None = None  # in a forked process: what it was forked for


def workers() -> int:
    """Processes or threads to use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, available)


def worth_forking(items: int) -> bool:
    """Whether so many small items are shared among processes rather than threads."""
    return sys.platform == "linux" and items >= FORK_FROM and workers() > 1


class Crew:
    """Workers that call one function: forked processes, or threads of this one. A context manager.

    A process inherits what the function refers to as it is when the crew begins. What it writes into must be shared (a
    memory-mapped file, `mmap`); arguments and results are pickled.

    Args:
        work: what the workers call.
        forks: processes rather than threads.

    Raises:
        RunFailed: on leaving the context, where a process died.
    """

    def __init__(self, work: Callable[..., Any], *, forks: bool) -> None:
        self.forks = forks
        self._work = _run if forks else work
        self._pool: Executor = (
            ProcessPoolExecutor(workers(), get_context("fork"), initializer=partial(_install, work))
            if forks
            else ThreadPoolExecutor(workers())
        )

    def submit(self, *arguments: Any) -> Future[Any]:
        """Let a worker call the function."""
        with warnings.catch_warnings():
            # Python warns of forks beside threads, and forks at the first call. The children take no lock that a thread
            # holds: they decode, encode, and compute on one thread.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            return self._pool.submit(self._work, *arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise RunFailed(
                "a process that worked on images died", "it was killed from outside or ran out of memory; run it again"
            ) from error


def in_chunks(work: Callable[[range], R], count: int) -> Iterator[tuple[range, R]]:
    """Call `work` on ranges that cover `range(count)`, and yield each with its result, in order.

    Raises:
        RunFailed: a process died.
    """
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    with Crew(work, forks=worth_forking(count)) as crew:
        coming = [crew.submit(chunk) for chunk in chunks]
        for chunk, future in zip(chunks, coming, strict=True):
            yield chunk, future.result()


def _install(work: Callable[..., Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a worker whose parent is killed would wait for ever
    with suppress(AttributeError):  # another C library
        # Arrays of a few MB come and go. Given back to the system each time, they cost a fifth of sampling in faults.
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, 1 << 30)
    threadpool_limits(1)  # threads of BLAS and OpenMP do not survive a fork, and the cores are shared out already
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _run(*arguments: Any) -> Any:
    assert _work is not None
    return _work(*arguments)
