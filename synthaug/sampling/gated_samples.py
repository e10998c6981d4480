"""Generates candidates chunk by chunk until enough of them pass the gates."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import RunFailed
from synthaug.models.inputs import CHUNK
from synthaug.progress import Progress, Silent
from synthaug.sampling.curation import Choice
from synthaug.sampling.gate import Gate
from synthaug.sampling.generate import SeededGenerator
from synthaug.sampling.judgement import (
    AGREEMENT,
    COPY,
    DISCRIMINATOR,
    DUPLICATE,
    NOT_BY_HAND,
    REJECTED_BY_HAND,
    UNCHANGED,
    USED_UP,
    Judgement,
    Measured,
)


class Batch(NamedTuple):
    """One chunk of candidates and its judgement."""

    chunk: int
    pixels: NDArray[np.uint8]  # [64, C, H, W]
    judgement: Judgement


Candidates = tuple[NDArray[np.uint8], Measured | None]
"""Pixels [64, C, H, W] of a chunk, and the measurements of the gates."""
MOST_PENDING = 4
"""How many chunks may be generated before the oldest is judged."""


def max_candidates(count: int, keep: float = 1.0) -> int:
    """How many candidates may be tried for `count` images: 20 times as many plus 500.

    A selector keeps only the share `keep` of them, so the limit is divided by it.
    """
    return math.ceil((20 * count + 500) / keep)


def make_candidates(sampler: SeededGenerator, gate: Gate | None, label: str, chunk: int) -> Candidates:
    """Generate a chunk and measure it. This does not depend on other chunks."""
    pixels = sampler.chunk(label, chunk)
    if gate is None:
        return pixels, None
    return pixels, gate.measure(pixels, sampler.class_index(label), sampler.training_rows(label, chunk))


def judge_chunks(
    sampler: SeededGenerator,
    gate: Gate | None,
    label: str,
    count: int,
    *,
    limit: int,
    chunk: int = 0,
    have: int = 0,
    submit: Callable[[str, int], Future[Candidates]] | None = None,
    choice: Choice | None = None,
) -> Iterator[Batch]:
    """Generate and judge chunks of candidates until `count` are accepted or `limit` were tried.

    Args:
        gate: None accepts everything.
        chunk: the first chunk to judge; `have` images were accepted before it (an interrupted export continues so).
        submit: calls `make_candidates` in another process for a class and a chunk. The result does not depend on it.
        choice: decisions by hand.
    """
    class_index = sampler.class_index(label)
    most = sampler.most(label)
    end = min(limit, most, math.inf if choice is None else choice.end(label))
    pending: deque[Future[Candidates]] = deque()
    tried = accepted = 0
    while have < count and chunk * CHUNK < end:
        if submit is None:
            pixels, measured = make_candidates(sampler, gate, label, chunk)
        else:
            # Only as many as are needed at the acceptance rate so far, because superfluous chunks cost time.
            rate = max(accepted / tried, 1 / MOST_PENDING) if tried else 1.0
            wanted = min(MOST_PENDING, math.ceil((count - have) / (CHUNK * rate)))
            while len(pending) < wanted:
                pending.append(submit(label, chunk + len(pending)))
            pixels, measured = pending.popleft().result()
        by_hand = None if choice is None else choice.reasons(label, chunk)
        if gate is None or measured is None:
            judgement = Judgement.unmeasured(len(pixels), count - have, by_hand)
            judgement.use_up(most - chunk * CHUNK)
        else:
            measured.judgement.use_up(most - chunk * CHUNK)
            judgement = gate.accept(measured, class_index, count - have, by_hand)
        tried += len(pixels)
        accepted += (found := int(judgement.accepted.sum()))
        have += found
        yield Batch(chunk, pixels, judgement)
        chunk += 1
    for future in pending:
        future.cancel()


def shortfall(label: str, have: int, count: int, rejected: Counter[str]) -> RunFailed:
    """The error for a class with too few accepted images."""
    tried = have + sum(rejected.values())
    reasons = ", ".join(f"{reason} {n}" for reason, n in rejected.most_common()) or "none"
    hints = {
        AGREEMENT: "the classifiers do not recognise the class in most of its images: train longer",
        COPY: "most of its images copy training images: use an earlier checkpoint",
        UNCHANGED: "most of its images still look like those that they were made from: train longer",
        DUPLICATE: "its images repeat each other: ask for fewer, or train longer",
        USED_UP: "each real image may be used only so many times (model.draws_per_source): ask for fewer",
        DISCRIMINATOR: "the discriminator rejects most of its images: keep a larger share with --keep",
        REJECTED_BY_HAND: "most of its images were rejected by hand: ask for fewer, or train longer",
        NOT_BY_HAND: "too few of its images were accepted by hand: accept more with `synthaug curate`",
    }
    # A selection rejects most candidates by design, so it is named only if there is no other reason.
    faults = sorted(rejected, key=lambda reason: (reason == DISCRIMINATOR, -rejected[reason]))
    main = hints[faults[0]] if faults else "ask for fewer"
    no_gate = ", or all candidates with --no-gate" if set(rejected) - {USED_UP, REJECTED_BY_HAND, NOT_BY_HAND} else ""
    return RunFailed(
        f"class {label!r} cannot be filled: {have} of {count} images could be used among {tried} candidates "
        f"(rejected: {reasons})",
        f"{main}; or accept fewer images with --allow-short{no_gate}",
    )


class GatedSamples(NamedTuple):
    """Accepted images of one class."""

    pixels: NDArray[np.uint8]  # [n, C, H, W]
    indices: NDArray[np.int64]  # [n], their sample indices
    rejected: dict[str, int]
    judgements: Judgement  # of the accepted ones


def gated_samples(
    sampler: SeededGenerator,
    gate: Gate | None,
    label: str,
    count: int,
    *,
    limit: int | None = None,
    allow_short: bool = False,
    choice: Choice | None = None,
    progress: Progress | None = None,
) -> GatedSamples:
    """The first `count` images of a class that pass the gates.

    Args:
        limit: how many candidates may be tried; `max_candidates(count)` if None.
        allow_short: return fewer images instead of an error.
        choice: decisions by hand.

    Raises:
        SynthaugError: there is no such class.
        RunFailed: too few candidates pass, and `allow_short` is not set.
    """
    if gate is not None:
        gate.forget(sampler.class_index(label))
    shape = (sampler.trained.channels, sampler.trained.resolution, sampler.trained.resolution)
    pixels, indices = [np.empty((0, *shape), np.uint8)], [np.empty(0, np.int64)]
    judgements: list[Judgement] = []
    rejected: Counter[str] = Counter()
    limit = max_candidates(count) if limit is None else limit
    with (progress or Silent()).task(f"samples of {label}", count, "images") as task:
        for batch in judge_chunks(sampler, gate, label, count, limit=limit, choice=choice):
            rows = np.flatnonzero(batch.judgement.accepted)
            pixels.append(batch.pixels[rows])
            indices.append(rows.astype(np.int64) + batch.chunk * CHUNK)
            judgements.append(batch.judgement.take(rows))
            rejected += batch.judgement.rejected
            task.advance(len(rows))
            task.note(", ".join(f"{reason} {n}" for reason, n in rejected.items()))
    have = sum(map(len, indices))
    if have < count and not allow_short:
        raise shortfall(label, have, count, rejected)
    return GatedSamples(np.concatenate(pixels), np.concatenate(indices), dict(rejected), Judgement.join(judgements))
