"""`check`: which conditions of a run act on its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data.attributes import MISSING, column_of
from synthaug.data.conditions import terms
from synthaug.data.run_data import RunData
from synthaug.documents import Condition, ConditionEffect
from synthaug.errors import SynthaugError
from synthaug.features.base import FeatureNet
from synthaug.metrics.condition_effect import Described, condition_effect
from synthaug.pipelines.balanced_conditions import balanced_sampler
from synthaug.progress import Progress
from synthaug.sampling.generate import SeededGenerator
from synthaug.seeds import named_stream

MOST_WORDS = 5
"""Words of a text that are tried."""
THUMBNAIL = 8
"""Side in pixels, a divisor of every resolution."""
_Texts = Sequence[Sequence[str]]  # of training images, of other real ones, of generated ones


def condition_effects(
    data: RunData, sampler: SeededGenerator, count: int, net: FeatureNet, cache: Path | None, progress: Progress
) -> list[ConditionEffect]:
    """The effect of each condition; of a text, of some of its words.

    Generated images are told each value of a column equally often, of those that their class has. So the class tells
    nothing of the value, or as little as can be.

    Args:
        data: of the run.
        sampler: its generator.
        count: images of each class.
        net: the feature net.
        cache: the folder of decoded images.
        progress: where to report.
    """
    conditions = data.conditions
    if conditions is None:
        return []
    sides = {side: data.images(side, cache, progress) for side in ("train", "val", "test")}
    held_out = [image for side in ("val", "test") for image in sides[side].pixels]
    if not held_out:
        return [
            ConditionEffect(name=name, acts="unknown", reason="the run has no held-out images")
            for name in conditions.names
        ]
    seen = [_features(net, pixels) for pixels in (sides["train"].pixels, np.stack(held_out))]
    places = {side: [k for k, row in enumerate(conditions.rows) if row.split == side] for side in sides}
    rows = [places["train"], [*places["val"], *places["test"]]]
    labels = [[conditions.rows[k].label for k in part] for part in rows]
    names = [label for label in data.classes for _ in range(count)]
    found = []
    with progress.task("conditions", len(conditions.columns), "columns") as task:
        for column in conditions.columns:
            balanced = sampler if column.kind == "text" else _equally(sampler, column.name, count)
            told = balanced.trained.attributes
            assert told is not None
            made = _features(net, np.concatenate([balanced.sample(label, count) for label in data.classes]))
            asked = [one[column.name] for label in data.classes for one in told.told(balanced.seed, label, count)]
            texts = [[conditions.texts[column.name][k] for k in part] for part in rows]
            for name, values in _values(column, [*texts, asked]):
                sets = zip([*seen, made], values, [*labels, names], strict=True)
                found.append(
                    condition_effect(name, *(Described(*one) for one in sets), rng=named_stream(sampler.seed, name))
                )
            task.advance()
    return found


def _equally(sampler: SeededGenerator, column: str, count: int) -> SeededGenerator:
    """The generator, with each value of a column that a class has equally often in it; as it is if there are many."""
    none = dict.fromkeys(sampler.classes, 0)
    with suppress(SynthaugError):  # of too many values
        return balanced_sampler(sampler, [column], none, dict.fromkeys(sampler.classes, count))
    return sampler


def _features(net: FeatureNet, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a net sees in images [n, C, H, W], and the images at 8 × 8: nets are made to overlook light and colour."""
    n, channels, side, _ = pixels.shape
    small = pixels.reshape(n, channels, THUMBNAIL, side // THUMBNAIL, THUMBNAIL, side // THUMBNAIL).mean(axis=(3, 5))
    return np.hstack([net(pixels), small.reshape(n, -1).astype(np.float32)])


def _values(column: Condition, texts: _Texts) -> Iterator[tuple[str, _Texts]]:
    """A column with few values: itself, with ranges of numbers; or some words of a text, each with yes or no.

    The words are those that occur in about half of the images.
    """
    if column.kind != "text":
        joined = column_of(column.name, [text for part in texts for text in part]).values
        ends = np.cumsum([len(part) for part in texts])
        yield column.name, [joined[end - len(part) : end] for end, part in zip(ends, texts, strict=True)]
        return
    words = [value for value in column.values if " " not in value]
    in_train = [{*terms(text)} for text in texts[0]]
    words.sort(key=lambda word: abs(sum(word in some for some in in_train) / len(in_train) - 0.5))
    for word in words[:MOST_WORDS]:
        yield f"{column.name}: {word}", [[_has(word, text) for text in part] for part in texts]


def _has(word: str, text: str) -> str:
    return MISSING if text == MISSING else "yes" if word in terms(text) else "no"
