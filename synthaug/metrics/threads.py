"""One thread for thousands of small matrix products, which are slower with many threads.

Each product takes about a millisecond; then all threads wait for each other. The waiting threads of numpy's BLAS,
scipy's BLAS and OpenMP compete for the cores: on two busy cores, k-means of 250 images took 0.1 s with one thread, 5 s
with two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS and OpenMP to one thread. Not for feature nets, which use all cores."""
    with threadpool_limits(1):
        yield
