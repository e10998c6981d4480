"""Pairs of 64-bit hashes that differ in few bits, without comparing all pairs.

Multi-index hashing (Norouzi, Punjani, Fleet, arXiv:1307.2982): if two hashes differ in at most `most` bits, one of
their four parts of 16 bits differs in at most `most // 4`. So each part, changed in that many bits, is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]

_PARTS, _BITS = 4, 16
_VALUES = 1 << _BITS
_AT_ONCE = 1 << 20  # pairs compared at once, to fit into the processor's cache
_FEW = 20_000  # are compared in less than a second
_DEARER = 10  # a pair that is looked up takes as long as so many that are compared in a row


def near_pairs(hashes: NDArray[np.uint64], most: int) -> Iterator[Pairs]:
    """Blocks of all pairs i < j of hashes [N] with at most `most` different bits; a pair may come up to four times."""
    if len(hashes) < _FEW:
        yield from _compared(hashes, most)
        return
    changes = [
        sum(1 << bit for bit in bits) for k in range(most // _PARTS + 1) for bits in combinations(range(_BITS), k)
    ]
    parts = [((hashes >> np.uint64(_BITS * k)) & np.uint64(_VALUES - 1)).astype(np.intp) for k in range(_PARTS)]
    sizes = [np.bincount(part, minlength=_VALUES) for part in parts]
    every = np.arange(_VALUES)
    candidates = sum(int(size @ size[every ^ change]) for size in sizes for change in changes) // 2
    if candidates * _DEARER > len(hashes) ** 2 // 2:
        yield from _compared(hashes, most)
        return
    for part, size in zip(parts, sizes, strict=True):
        for first, second in _candidates(part, size, changes):
            near = np.flatnonzero(np.bitwise_count(hashes[first] ^ hashes[second]) <= most)
            a, b = first[near], second[near]
            yield np.minimum(a, b), np.maximum(a, b)


def _compared(hashes: NDArray[np.uint64], most: int) -> Iterator[Pairs]:
    """Each hash with all later ones."""
    rows = max(1, _AT_ONCE // max(1, len(hashes)))
    for start in range(0, len(hashes), rows):
        others = hashes[start:]
        bits: NDArray[np.uint8] = np.bitwise_count(hashes[start : start + rows, None] ^ others[None])
        first, second = np.divmod(np.flatnonzero(bits.ravel() <= most), len(others))
        later = np.flatnonzero(second > first)
        yield first[later] + start, second[later] + start


def _candidates(part: NDArray[np.intp], size: NDArray[np.intp], changes: list[int]) -> Iterator[Pairs]:
    """Pairs whose part, of which there are `size` of each value, differs by one of the `changes`."""
    order = np.argsort(part, kind="stable")
    value, start = part[order], np.cumsum(size) - size
    place = np.arange(len(part))
    for change in changes:  # the partners of `order[k]` are the `count[k]` from `order[begin[k]]` on
        other = value ^ change
        begin = start[other] if change else place + 1
        count = np.where(value < other, size[other], 0) if change else start[value] + size[value] - begin
        end = np.cumsum(count)
        cuts = np.searchsorted(end, np.arange(_AT_ONCE, end[-1] + _AT_ONCE, _AT_ONCE)) + 1
        low = 0
        for high in np.minimum(cuts, len(part)).tolist():
            some = slice(low, high)
            before = end[some] - count[some]
            if high > low:
                first = np.repeat(place[some], count[some])
                second = np.repeat(begin[some] - before, count[some]) + np.arange(before[0], end[high - 1])
                yield order[first], order[second]
            low = high
