"""One thread for thousands of small matrix products, which many threads make slower.

Each product takes about a millisecond, after which all threads wait for one another. The waiting threads of numpy's
BLAS, scipy's BLAS and OpenMP take the cores from one another: on two busy cores, k-means of 250 images took 0.1 s with
one thread and 5 s with two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits BLAS and OpenMP to one thread. Not for feature nets, which use all cores."""
    with threadpool_limits(1):
        yield
