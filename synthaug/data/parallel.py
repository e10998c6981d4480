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
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from synthaug.errors import RunFailed

R = TypeVar("R")
CHUNK = 64
FORK_FROM = 1000
_PR_SET_PDEATHSIG = 1

_work: Callable[[range], Any] | None = None  # in a forked process: what it was forked for


def workers() -> int:
    """Processes or threads to use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, available)


def in_chunks(work: Callable[[range], R], count: int) -> Iterator[tuple[range, R]]:
    """Call `work` on ranges that cover `range(count)`, and yield each with its result, in order.

    A process inherits what `work` refers to; what it writes into must be shared (a memory-mapped file, `mmap`), and its
    results are pickled.

    Raises:
        RunFailed: a process died.
    """
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    forks = sys.platform == "linux" and count >= FORK_FROM and workers() > 1
    pool: Executor
    if forks:
        pool = ProcessPoolExecutor(workers(), get_context("fork"), initializer=partial(_install, work))
    else:
        pool = ThreadPoolExecutor(workers())
    try:
        with warnings.catch_warnings():
            # Python warns of forks beside threads. The children decode images: they take no lock that a thread holds.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            results = pool.map(_run if forks else work, chunks)
        yield from zip(chunks, results, strict=True)
    except BrokenProcessPool as error:
        raise RunFailed(
            "a process that worked on images died", "it was killed from outside or ran out of memory; run it again"
        ) from error
    finally:
        pool.shutdown(wait=forks, cancel_futures=True)


def _install(work: Callable[[range], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a worker whose parent is killed would wait for ever


def _run(chunk: range) -> Any:
    assert _work is not None
    return _work(chunk)
