"""Work on many small files on all cores, in order.

If an image takes a tenth of a millisecond, threads wait for each other: two are slower than one. So on Linux, for
`FORK_FROM` items or more, forked processes share the work, as in PyTorch's `DataLoader`. Otherwise threads do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from itertools import islice
from multiprocessing import get_context
from types import TracebackType
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits
from typing_extensions import Self

from synthaug.errors import LostProcess

R = TypeVar("R")
CHUNK = 64
FORK_FROM = 1000
_AHEAD = 8  # chunks for each worker
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt

_work: Callable[..., Any] | None = None  # the function that a forked process calls


def workers() -> int:
    """Processes or threads to use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, available)


def worth_forking(items: int) -> bool:
    """Whether processes are faster than threads for so many small items."""
    return sys.platform == "linux" and items >= FORK_FROM and workers() > 1


class Crew:
    """Workers that call one function: forked processes, or threads of this process. A context manager.

    A forked process has a copy of the objects that the function refers to, made when the crew begins. Memory that it
    writes to must be shared (a memory-mapped file, `mmap`). Arguments and results are pickled.

    Args:
        work: the function that the workers call.
        forks: use processes instead of threads.

    Raises:
        RunFailed: a process died; raised on leaving the context.
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
            # The first call forks, and Python warns if there are threads. The children do not use locks of other
            # threads: they decode, encode, and compute on one thread.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            return self._pool.submit(self._work, *arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            hint = "it was killed from outside or ran out of memory; run it again"
            raise LostProcess("a process that worked on images died", hint) from error


def in_chunks(work: Callable[[range], R], count: int) -> Iterator[tuple[range, R]]:
    """Call `work` on ranges that cover `range(count)`, and yield each with its result, in order.

    Only some are under way at once, so that results which nobody has taken yet do not fill the memory.

    Raises:
        LostProcess: a process died.
    """
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    with Crew(work, forks=worth_forking(count)) as crew:
        coming: deque[Future[Any]] = deque()
        later = iter(chunks)
        for chunk in chunks:
            coming.extend(crew.submit(next_one) for next_one in islice(later, _AHEAD * workers() - len(coming)))
            yield chunk, coming.popleft().result()


def _install(work: Callable[..., Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the workers
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # otherwise a worker outlives a killed parent
    with suppress(AttributeError):  # another C library
        # Keep freed arrays of a few MB in the process: returning them costs a fifth of sampling in page faults.
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, 1 << 30)
    threadpool_limits(1)  # threads of BLAS and OpenMP do not survive a fork, and each core has a worker
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _run(*arguments: Any) -> Any:
    assert _work is not None
    return _work(*arguments)
