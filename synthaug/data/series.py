"""Do file names show series, such as frames of a video or slices of a patient? A proposal for `--group-by`.

Names like `00013_00027.png` or `patient3-slice07.png` have several numbers; all but the last name a series, or the
folder below the class does. Names like `glass12.jpg` have one: neighbouring numbers may be one series. Nothing is
proposed because of names alone: images of one series must be measurably more alike than other images of their class.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from synthaug.data.duplicates import LOOK, SIDE

Floats = NDArray[np.float32]

COVERED = 0.8
"""So many of the file names must have the same form."""
LARGEST = 0.25
"""No series may hold more of the images than this."""
MORE_ALIKE = 0.15
"""So many more images than by chance must have their nearest image of the class in their own series."""
CLEAR = 4.0  # standard errors
NEIGHBOURS_ALIKE = 0.6
"""Probability that two images with neighbouring numbers are more alike than two with distant ones; by chance 0.5."""
DISTANT = 20
PAIRS = 30
OF_A_CLASS = 500  # images that are compared


@dataclass(frozen=True, slots=True)
class Series:
    """A proposed group expression. `evidence` is a sentence; `warning` one more, or empty."""

    expression: str
    groups: int
    evidence: str
    warning: str = ""

    def names(self, paths: Sequence[str]) -> list[str]:
        """The name of each image's series; its own path if it is in none."""
        return series_names(self.expression, paths)


def series_names(expression: str, paths: Sequence[str]) -> list[str]:
    """What the first group of the expression finds in each path; the path itself where it finds nothing.

    >>> series_names(r"(\\d+)_", ["a/3_1.png", "a/x.png"])
    ['3', 'a/x.png']
    """
    return [found.group(1) if (found := re.search(expression, path)) else path for path in paths]


def find_series(paths: Sequence[str], labels: Sequence[str], thumbnails: NDArray[np.uint8]) -> Series | None:
    """The series that file names show and images confirm; None if there are none.

    Args:
        paths: relative to the data folder, [N].
        labels: class of each.
        thumbnails: uint8 [N, 1056], see `duplicates.make_thumbnails`.
    """
    if not len(paths):
        return None
    found = [
        _confirmed(one, paths, labels, thumbnails) for one in (*_folders(paths, labels), *_by_numbers(paths, labels))
    ]
    confirmed = [one for one in found if one is not None]
    if confirmed:
        return min(confirmed, key=lambda one: one.groups)  # the largest series: a patient rather than a visit
    return _numbered(paths, labels, thumbnails)


def _folders(paths: Sequence[str], labels: Sequence[str]) -> list[str]:
    """The folder of a file, if it lies below the folder of its class."""
    below = [label in path.split("/")[:-2] for path, label in zip(paths, labels, strict=True)]
    return ["([^/]+)/[^/]+$"] if np.mean(below) >= COVERED else []


def _by_numbers(paths: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Expressions for each number of a file name but the last."""
    form, share = Counter(_form(path) for path in paths).most_common(1)[0]
    if share < COVERED * len(paths):
        return []
    parts = re.findall(r"#|A|.", form)
    patterns = [
        {"#": r"\d+", "A": r"[^\W\d_]+"}.get(part, part if part in "-_ " else re.escape(part)) for part in parts
    ]
    numbers = [k for k, part in enumerate(parts) if part == "#"]
    made = []
    for k in numbers[:-1]:
        name, rest = "".join(patterns[: k + 1]), "".join(patterns[k + 1 :])
        expression = rf"({name}){rest}\.\w+$"
        made.append(rf"([^/]*/{name}){rest}\.\w+$" if _start_again(expression, paths, labels) else expression)
    return made


def _form(path: str) -> str:
    """The form of a file name without its ending.

    >>> _form("x/patient3-slice07.png")
    'A#-A#'
    """
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return re.sub(r"\d+", "#", re.sub(r"[^\W\d_]+", "A", stem))


def _start_again(expression: str, paths: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether the numbers begin anew in each class, so that one number names a series in each of them."""
    numbers: dict[str, set[int]] = {}
    for path, label in zip(paths, labels, strict=True):
        if found := re.search(expression, path):
            numbers.setdefault(label, set()).add(int(re.findall(r"\d+", found.group(1))[-1]))
    if len(numbers) < 2 or len(set.union(*numbers.values())) == sum(map(len, numbers.values())):
        return False
    return float(np.mean([min(n) <= 1 and max(n) <= 1.5 * len(n) for n in numbers.values()])) > 0.5


def _confirmed(
    expression: str, paths: Sequence[str], labels: Sequence[str], thumbnails: NDArray[np.uint8]
) -> Series | None:
    """The series, if their images are more alike than others of the class."""
    groups = np.unique(series_names(expression, paths), return_inverse=True)[1]
    sizes = np.bincount(groups)
    if len(sizes) < max(10, 2 * len(set(labels))) or sizes.max() > LARGEST * len(paths) or len(sizes) == len(paths):
        return None
    same, chance = _nearest_in_series(groups, labels, thumbnails)
    spread = float(np.sqrt((chance * (1 - chance)).sum()))
    if len(same) < PAIRS or same.mean() - chance.mean() < MORE_ALIKE or (same - chance).sum() < CLEAR * spread:
        return None
    evidence = (
        f"{len(sizes):,} series; for {same.mean():.0%} of the images the nearest image of their class is of their own "
        f"series (by chance {chance.mean():.0%})"
    )
    return Series(expression, len(sizes), evidence)


def _nearest_in_series(
    groups: NDArray[np.intp], labels: Sequence[str], thumbnails: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For images whose series has others in the class: whether the nearest is one of these, and how often by chance."""
    same, chance = [np.zeros(0)], [np.zeros(0)]
    for rows in _by_class(labels):
        series = np.unique(groups[rows], return_inverse=True)[1]
        order = np.random.default_rng(0).permutation(series.max() + 1)[series]  # whole series, if not all images
        rows = rows[np.argsort(order, kind="stable")[:OF_A_CLASS]]
        looks = _looks(thumbnails[rows])
        alike = looks @ looks.T
        np.fill_diagonal(alike, -np.inf)
        own = groups[rows][:, None] == groups[rows][None]
        others = own.sum(axis=1) - 1
        some = np.flatnonzero((others > 0) & (others < len(rows) - 1))
        same.append(own[some, alike[some].argmax(axis=1)].astype(np.float64))
        chance.append(others[some] / max(len(rows) - 1, 1))
    return np.concatenate(same), np.concatenate(chance)


def _numbered(paths: Sequence[str], labels: Sequence[str], thumbnails: NDArray[np.uint8]) -> Series | None:
    """Series of ten numbers, if names have one number and neighbouring numbers are more alike than distant ones."""
    last = [re.search(r"(\d+)\D*$", path.rsplit("/", 1)[-1].rsplit(".", 1)[0]) for path in paths]
    if sum(found is not None for found in last) < COVERED * len(paths):
        return None
    numbers = np.array([int(found.group(1)) if found else -1 for found in last])
    probability, pairs, variance = 0.0, 0, 0.0
    for rows in _by_class(labels):
        rows = rows[numbers[rows] >= 0]
        rows = rows[np.argsort(numbers[rows], kind="stable")][:OF_A_CLASS]
        apart = np.abs(numbers[rows][:, None] - numbers[rows])
        looks = _looks(thumbnails[rows])
        alike = looks @ looks.T
        upper = np.triu(np.ones_like(apart, bool), 1)
        near, far = alike[upper & (apart == 1)], alike[upper & (apart >= DISTANT)]
        if len(near) and len(far):
            above = float(mannwhitneyu(near, far, alternative="greater").statistic) / len(far)
            probability, pairs, variance = probability + above, pairs + len(near), variance + len(near) / 12
    if pairs < PAIRS or probability < max(NEIGHBOURS_ALIKE * pairs, 0.5 * pairs + CLEAR * np.sqrt(variance)):
        return None
    folder = "[^/]*/" if len({path.rsplit("/", 1)[-1] for path in paths}) < len(paths) else ""  # numbers start again
    expression = rf"({folder}[^/]*)\d\D*\.\w+$"
    groups = set(series_names(expression, paths))
    if len(groups) > len(paths) / 3:
        return None
    return Series(
        expression,
        len(groups),
        f"{len(groups):,} series of up to ten consecutive numbers; two images of a class with neighbouring numbers are "
        f"more alike than two with distant ones in {probability / pairs:.0%} of cases (by chance 50%)",
        "a series of images may cross the border between two tens: if you know the objects, name the files by them",
    )


def _by_class(labels: Sequence[str]) -> list[NDArray[np.intp]]:
    """The rows of each class, in the order of their names."""
    names = {label: k for k, label in enumerate(sorted(set(labels)))}
    index = np.fromiter((names[label] for label in labels), np.intp, len(labels))
    order = np.argsort(index, kind="stable")
    return np.split(order, np.searchsorted(index[order], np.arange(1, len(names))))


def _looks(thumbnails: NDArray[np.uint8]) -> Floats:
    """Luminance at 16 × 16 and chroma at 4 × 4 pixels, as unit vectors [N, 288]."""
    step = LOOK // SIDE
    small = thumbnails[:, : LOOK * LOOK].reshape(-1, SIDE, step, SIDE, step).mean((2, 4), dtype=np.float32)
    rows = np.concatenate([small.reshape(-1, SIDE * SIDE), 2 * thumbnails[:, LOOK * LOOK :].astype(np.float32)], axis=1)
    rows[:, : SIDE * SIDE] -= rows[:, : SIDE * SIDE].mean(axis=1, keepdims=True)
    rows[:, SIDE * SIDE :] -= 256
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit
