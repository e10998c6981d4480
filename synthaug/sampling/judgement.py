"""The measurements of the gates for candidates, and the reasons for rejecting them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthaug.sampling.copies import Accepted

DISCRIMINATOR = "discriminator"
AGREEMENT = "agreement"
COPY = "copy"
UNCHANGED = "unchanged"
DUPLICATE = "duplicate"
USED_UP = "source used up"
REJECTED_BY_HAND = "rejected by hand"
NOT_BY_HAND = "not accepted by hand"
NOT_NEEDED = "not needed"
"""Reasons to reject a candidate. `USED_UP`: its source was drawn as often as allowed. `NOT_NEEDED` (enough were
accepted before it) is not counted as a rejection."""


@dataclass(frozen=True)
class Judgement:
    """The judgement of n candidates. A missing measurement is NaN, or -1 for an index."""

    reasons: list[str | None]  # [n], None where accepted
    agreement: NDArray[np.float64]  # [n], probability of the image's own class
    nearest_real_distance: NDArray[np.float64]  # [n], in the gate's feature space
    nearest_real_index: NDArray[np.int64]  # [n], into the training images
    score: NDArray[np.float64]  # [n], the discriminator's

    @property
    def accepted(self) -> NDArray[np.bool_]:
        return np.asarray([reason is None for reason in self.reasons], np.bool_)

    @property
    def rejected(self) -> Counter[str]:
        """Reason → number of candidates rejected for it."""
        return Counter(reason for reason in self.reasons if reason not in (None, NOT_NEEDED))

    def use_up(self, room: float) -> None:
        """Reject what passed so far, from row `room` on."""
        for row, reason in enumerate(self.reasons):
            if reason is None and row >= room:
                self.reasons[row] = USED_UP

    def take(self, rows: NDArray[Any]) -> Judgement:
        """The judgement of some rows (indices, or a mask)."""
        indices = np.arange(len(self.reasons))[rows]
        return Judgement([self.reasons[i] for i in indices], *(column[indices] for column in self._measurements))

    @property
    def _measurements(self) -> tuple[NDArray[Any], ...]:
        return self.agreement, self.nearest_real_distance, self.nearest_real_index, self.score

    @classmethod
    def unmeasured(cls, n: int, needed: int, by_hand: Sequence[str | None] | None = None) -> Judgement:
        """The judgement without gates: the first `needed` are accepted, without those that are left out `by_hand`."""
        result = cls.blank([None] * n if by_hand is None else list(by_hand))
        for row in np.flatnonzero(result.accepted)[max(needed, 0) :]:
            result.reasons[row] = NOT_NEEDED
        return result

    @classmethod
    def blank(cls, reasons: list[str | None]) -> Judgement:
        """These reasons, without measurements."""
        n = len(reasons)
        return cls(reasons, np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1, np.int64), np.full(n, np.nan))

    @classmethod
    def join(cls, judgements: Sequence[Judgement]) -> Judgement:
        if not judgements:
            return cls.unmeasured(0, 0)
        columns = zip(*(one._measurements for one in judgements), strict=True)
        return cls([reason for one in judgements for reason in one.reasons], *map(np.concatenate, columns))


class Measured(NamedTuple):
    """Candidates measured one by one, before they are compared with those that were accepted."""

    judgement: Judgement
    projected: Accepted | None  # those that passed selection and agreement, copies among them
    rows: NDArray[np.intp]  # which candidates `projected` holds
