"""What a generator is told about an image beside its class: columns of a metadata table, as numbers.

Each column is a block of the vector of attributes. A number is standardised, a category is one entry of 1, and a text
is the mean of its words and pairs of neighbouring words, or the vector of a pretrained encoder. Where a value is
missing, its block is zero: a network learns this case too, because blocks are hidden at random while it trains.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data.attributes import MISSING, Column, column_of, number_in, read_texts
from synthaug.data.split import Split, SplitRow
from synthaug.data.text_encoders import embedded
from synthaug.documents import Condition
from synthaug.documents.conditions import TextEncoder
from synthaug.errors import SynthaugError, plural, suggest
from synthaug.files import write_text
from synthaug.parsing import ParseError, read_lines

Vector = NDArray[np.float32]
WORDS = 3
"""A column is a text if half of its different values have so many words."""
LEAST_LIKE = 5
"""Images that are near enough to what is asked for, at least."""
GIVES_AWAY = 0.95
MOST_CATEGORIES, MOST_WORDS, MOST_CHARACTERS = 100, 512, 2000
_NUMBERS = 0.8  # share of numbers in a column from which its other values are mistakes


def encode(column: Condition, text: str) -> Vector:
    """The block of a value, float32[size]; zeros where it is missing or unknown."""
    block, places = np.zeros(column.size, np.float32), _places(column)
    if column.kind == "number":
        number = number_in(text)
        if number is not None:
            block[:] = (number - column.mean) / column.deviation, 1
    elif column.kind == "category":
        if text in places:
            block[places[text]] = 1
    elif column.encoder != "words":
        block = embedded(column.encoder, "" if text == MISSING else text)
    else:
        known = [places[term] for term in terms(text) if term in places]
        block[known] = 1 / max(len(known), 1) ** 0.5
    return block


@lru_cache(maxsize=64)
def _places(column: Condition) -> dict[str, int]:
    return {value: place for place, value in enumerate(column.values)}


def checked(column: Condition, text: str) -> str:
    """A value that a user asks for.

    Raises:
        SynthaugError: it is no number, no category of the training images, or has no word of their texts.
    """
    given = f"{column.name}={text}"
    if column.kind == "number" and number_in(text) is None:
        raise SynthaugError(f"{given!r} is not a number", f"write, for example, {column.name}={column.mean:.3g}")
    if column.kind == "category" and text not in column.values:
        raise SynthaugError(f"{given!r}: no training image has this value", suggest(text, column.values))
    if column.kind == "text":
        _check_length(text, given)
        if not encode(column, text).any():
            words = [value for value in column.values if " " not in value]
            raise SynthaugError(
                f"{given!r} has no word of the texts of the training images",
                f"use some of their words, such as {', '.join(words[:8])}",
            )
    return text


def words_of(text: str) -> list[str]:
    """The words of a text in small letters."""
    return re.findall(r"\w+", text.lower())


def terms(text: str) -> list[str]:
    """The words of a text in small letters, and its pairs of neighbouring words.

    >>> terms("A red sign.")
    ['a', 'red', 'sign', 'a red', 'red sign']
    """
    single = words_of(text)
    return [*single, *(f"{a} {b}" for a, b in pairwise(single))]


@dataclass(frozen=True)
class Conditions:
    """The conditions of a run.

    Args:
        columns: in the order of their blocks.
        rows: the images [N] of the split.
        texts: column → values [N] of these images.
        classes: of the run.
    """

    columns: tuple[Condition, ...]
    rows: Sequence[SplitRow]
    texts: Mapping[str, Sequence[str]]
    classes: Sequence[str]

    @property
    def size(self) -> int:
        """Entries of a vector."""
        return sum(column.size for column in self.columns)

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @cached_property
    def train(self) -> NDArray[np.int64]:
        """The places of the training images in `rows`."""
        return np.flatnonzero([row.split == "train" for row in self.rows])

    @cached_property
    def vectors(self) -> Vector:
        """Those of the training images, float32[n, A]."""
        return np.stack([self.vector(self.of(int(k))) for k in self.train])

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The classes of the training images, int64[n]."""
        return np.array([self.classes.index(self.rows[k].label) for k in self.train], np.int64)

    @cached_property
    def summaries(self) -> dict[str, Column]:
        """The columns with few values, numbers as ranges, for each training image."""
        return {name: column_of(name, [self.texts[name][k] for k in self.train]) for name in self.names}

    @cached_property
    def blocks(self) -> NDArray[np.float32]:
        """Which entry belongs to which column: 1 or 0, float32[A, columns]."""
        return np.repeat(np.eye(len(self.columns), dtype=np.float32), [c.size for c in self.columns], axis=0)

    def of(self, place: int) -> dict[str, str]:
        """Column → value of one of `rows`."""
        return {name: self.texts[name][place] for name in self.names}

    def vector(self, values: Mapping[str, str], elsewhere: float = 0.0) -> Vector:
        """The vector of values, float32[A], with `elsewhere` in the blocks of columns without one."""
        return np.concatenate(
            [
                encode(column, values[column.name])
                if column.name in values
                else np.full(column.size, elsewhere, np.float32)
                for column in self.columns
            ]
        )

    def like(self, label: str, values: Mapping[str, str], kinds: Sequence[str] = ("category",)) -> NDArray[np.int64]:
        """The rows of `vectors` whose images are of a class and have these values in the columns of some kinds."""
        alike = self.labels == self.classes.index(label)
        for column in self.columns:
            if column.kind in kinds and column.name in values:
                own = [self.texts[column.name][k] == values[column.name] for k in self.train]
                alike &= np.array(own)
        return np.flatnonzero(alike)

    def nearest(self, label: str, values: Mapping[str, str]) -> NDArray[np.int64]:
        """The rows of `vectors` of the images of a class that are most like these values.

        Those with all the categories and texts, if there are any; of these or of all, the nearest tenth, and five at
        least. So what is not asked for goes with what is: a text about night goes with the camera of the night.
        """
        equal = self.like(label, values, kinds=("category", "text"))
        rows = equal if len(equal) else self.like(label, {})
        if not values or not len(rows):
            return rows
        asked = self.vector(values, elsewhere=np.nan)
        apart = np.linalg.norm(np.where(np.isnan(asked), 0, self.vectors[rows] - asked), axis=1)
        limit = np.sort(apart)[min(max(LEAST_LIKE, len(rows) // 10), len(rows)) - 1]
        near: NDArray[np.int64] = rows[apart <= limit]
        return near

    def seen(self, label: str, values: Mapping[str, str]) -> bool:
        """Whether training images of a class have these categories and all words of these texts, and numbers on both
        sides of those given.

        Words that the generator does not know, and so ignores, do not count.
        """
        rows = self.train[self.like(label, values)]
        for column in self.columns:
            if column.kind == "text" and column.name in values:
                wanted = {*words_of(values[column.name])}
                wanted = wanted & {*column.values} if column.encoder == "words" else wanted
                texts = self.texts[column.name]
                rows = np.array([k for k in rows if wanted <= {*words_of(texts[k])}], np.int64)
        for column in self.columns:
            if column.kind == "number" and column.name in values:
                numbers = [n for k in rows if (n := number_in(self.texts[column.name][k])) is not None]
                number = number_in(values[column.name])
                if number is None or not numbers or not min(numbers) <= number <= max(numbers):
                    return False
        return len(rows) > 0

    def write(self, file: Path) -> None:
        """Write `conditions.csv`: path and values of every image."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", *self.names])
        writer.writerows([row.path, *self.of(k).values()] for k, row in enumerate(self.rows))
        write_text(file, text.getvalue())


def fitted(
    names: Sequence[str], rows: Sequence[SplitRow], texts: Mapping[str, Sequence[str]], classes: Sequence[str],
    encoder: TextEncoder = "words",
) -> Conditions:  # fmt: skip
    """Conditions that are fitted to the training images among `rows`; `encoder` is that of texts.

    Raises:
        SynthaugError: a column is constant, empty, of too many categories, or mixes numbers and words.
    """
    columns = []
    for name in names:
        of_train = [text for row, text in zip(rows, texts[name], strict=True) if row.split == "train"]
        columns.append(_column(name, [text for text in of_train if text != MISSING], encoder))
    return Conditions(tuple(columns), rows, texts, classes)


def conditions_of(
    root: Path, names: Sequence[str], split: Split, classes: Sequence[str], encoder: TextEncoder = "words"
) -> Conditions:
    """The conditions that the user names, from the tables of a folder; `encoder` is that of texts.

    Raises:
        SynthaugError: there is no such column, or `fitted` refuses it.
    """
    found = read_texts(root, [row.path for row in split.rows])
    for name in names:
        if name not in found:
            hint = suggest(name, list(found)) if found else "write metadata.csv with the columns file_name and others"
            raise SynthaugError(f"--condition {name}: no table in {str(root)!r} has this column", hint)
    if len({*names}) < len(names):
        raise SynthaugError(f"--condition {','.join(names)} names a column twice", "name each once")
    return fitted(names, split.rows, {name: found[name] for name in names}, classes, encoder)


def giveaways(conditions: Conditions) -> list[str]:
    """The columns whose values tell the class of a share `GIVES_AWAY` of the training images.

    A generator cannot learn what such a column does within a class.
    """
    labels = [conditions.rows[k].label for k in conditions.train]
    most_frequent = max(Counter(labels).values())
    found = []
    for column in conditions.columns:
        if column.kind == "text":
            continue
        values = conditions.summaries[column.name].values
        first: dict[str, int] = {}
        for (value, _), n in Counter(zip(values, labels, strict=True)).items():
            first[value] = max(first.get(value, 0), n)
        if sum(first.values()) >= GIVES_AWAY * len(labels) > most_frequent:
            found.append(column.name)
    return found


def read_conditions(file: Path, columns: Sequence[Condition], split: Split, classes: Sequence[str]) -> Conditions:
    """The conditions of a run, with the values that `Conditions.write` left.

    Raises:
        SynthaugError: the file is missing or damaged, or does not belong to the split.
    """
    hint, names = "give a run that `synthaug fit` made, unchanged", [column.name for column in columns]
    try:
        cells = list(csv.reader(read_lines(file, newline="")))
    except (OSError, ParseError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it {error}"
        raise SynthaugError(f"cannot read {str(file)!r}: {reason}", hint) from error
    if cells[:1] != [["path", *names]] or [row[:1] for row in cells[1:]] != [[row.path] for row in split.rows]:
        raise SynthaugError(f"{str(file)!r} is not of the same images and columns as the run", hint)
    if any(len(row) != 1 + len(names) for row in cells):
        raise SynthaugError(f"{str(file)!r} has a row of another length", hint)
    texts = {name: [row[1 + k] for row in cells[1:]] for k, name in enumerate(names)}
    return Conditions(tuple(columns), split.rows, texts, classes)


def _column(name: str, given: Sequence[str], encoder: TextEncoder) -> Condition:
    """A column that is fitted to the values of training images, without missing ones."""
    option, different = f"--condition {name}", Counter(given)
    if len(different) < 2:
        what = f"all training images have {given[0]!r}" if given else "no training image has a value"
        raise SynthaugError(f"{option}: {what}", "leave this column out")
    numbers = [number_in(value) for value in given]
    words = [value for value, number in zip(given, numbers, strict=True) if number is None]
    if not words:
        return _of_numbers(name, np.array(numbers, np.float64))
    if len(words) <= (1 - _NUMBERS) * len(given):
        raise SynthaugError(
            f"{option}: {plural(len(words), 'value')} of {len(given)} are not numbers, the first is {words[0][:40]!r}",
            "leave the cells of missing numbers empty",
        )
    if sum(value.count(" ") >= WORDS - 1 for value in different) >= len(different) / 2:
        return _of_texts(name, given, encoder)
    if len(different) > MOST_CATEGORIES:
        raise SynthaugError(
            f"{option}: {len(different):,} different words, more than {MOST_CATEGORIES}: is it a name or a number?",
            "leave this column out, or write fewer categories",
        )
    return Condition(name=name, kind="category", values=tuple(sorted(different)))


def _of_numbers(name: str, numbers: NDArray[np.float64]) -> Condition:
    return Condition(name=name, kind="number", mean=float(numbers.mean()), deviation=float(numbers.std()))


def _of_texts(name: str, given: Sequence[str], encoder: TextEncoder) -> Condition:
    """With the most frequent words and pairs, of those that two images have at least."""
    for text in given:
        _check_length(text, f"--condition {name}")
    counts = Counter(term for text in given for term in {*terms(text)})
    frequent = [term for term, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if 1 < n < len(given)]
    if not frequent:
        raise SynthaugError(
            f"--condition {name}: no word tells some images from others", "use words that several images share"
        )
    return Condition(name=name, kind="text", values=tuple(frequent[:MOST_WORDS]), encoder=encoder)


def _check_length(text: str, where: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise SynthaugError(
            f"{where[:60]}: a text of {len(text):,} characters", f"write at most {MOST_CHARACTERS:,} characters"
        )
