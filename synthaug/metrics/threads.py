"""Thousands of products of some hundred rows are done sooner by one thread than by many.

Each of them is over in a millisecond or so, after which all threads wait for one another. BLAS, which is there twice
(numpy's and scipy's), and OpenMP wait in loops that take the cores from one another, and where another program wants a
core the wait is for its time slice: k-means of 250 images took 0.1 s with one thread, and 5 s with two on two cores
that were busy with something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it BLAS and OpenMP keep to one thread. Not for feature nets, which have work for all cores."""
    with threadpool_limits(1):
        yield
