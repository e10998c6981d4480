"""Images inside the page, as data URIs, within a budget of bytes for the whole report."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from synthaug.data.cache import LabelledImages
from synthaug.documents import MadeFrom
from synthaug.evaluation.images import Origins
from synthaug.evaluation.report.charts import Table
from synthaug.evaluation.report.html import data_uri

BUDGET = 1_700_000  # bytes of image data in a page, before base64 adds a third
PAIRS = 16  # in a page
TILES = 24  # per panel; fewer of large images, or of many classes
SOURCES = 10  # per class
PIXELATED = 64  # images up to this size are enlarged without smoothing

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Panel:
    """Images of one class from one source, and their files."""

    title: str
    note: str
    tiles: list[str]
    files: list[str]
    total: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A synthetic image and the training image nearest to it."""

    label: str
    synthetic: str
    train: str
    distance: float
    same: bool


@dataclass(frozen=True, slots=True)
class Album:
    """The images of one class, real and synthetic, side by side; then the synthetic ones nearest to a real one.

    `missing` are real images to which no synthetic one is alike.
    """

    label: str
    panels: list[Panel]
    pairs: list[Pair]
    missing: list[str]

    def table(self) -> Table:
        """Which files are shown, in the order of the tiles."""
        count = max(len(panel.tiles) for panel in self.panels)
        shown = [panel.files[: len(panel.tiles)] + ["–"] * (count - len(panel.tiles)) for panel in self.panels]
        return Table(
            ["place", *(panel.title.lower() for panel in self.panels)],
            [[str(i + 1), *files] for i, files in enumerate(zip(*shown, strict=True))],
            words=tuple(range(len(shown) + 1)),
        )


def albums(
    sources: Sequence[tuple[str, str, LabelledImages | None]],
    labels: Sequence[str],
    budget: int,
    *,
    pairs: Sequence[Pair] = (),
    missing: Mapping[str, list[str]] | None = None,
) -> list[Album]:
    """For each label a panel from each source (title, note, images), all within `budget` bytes.

    The images are taken at even steps from all images, not selected by quality. `pairs` and `missing` (label →
    pictures) are given to the albums of their classes.
    """
    found = [(label, [(t, n, *_of_class(images, label)) for t, n, images in sources if images]) for label in labels]
    filled = sum(len(pixels) > 0 for _, panels in found for _, _, pixels, _ in panels)
    each = budget // max(1, filled)
    large = any(side(images) > PIXELATED for _, _, images in sources)
    tiles = TILES // 2 if large or len(labels) > 4 else TILES
    result = []
    for label, panels in found:
        drawn = []
        for title, note, pixels, files in panels:
            chosen = _spaced(len(pixels), tiles)
            shown = _encode([pixels[i] for i in chosen], each)
            drawn.append(Panel(title, note, shown, [files[i] for i in chosen], len(pixels)))
        if any(panel.tiles for panel in drawn):
            own = [pair for pair in pairs if pair.label == label]
            result.append(Album(label, drawn, own, (missing or {}).get(label, [])))
    return result


@dataclass(frozen=True, slots=True)
class Translated:
    """What a class's synthetic images were made from: tiles (source, result, class of the source)."""

    label: str
    counts: str
    tiles: list[tuple[str, str, str]]


def translated(
    synthetic: LabelledImages | None, origins: Origins | None, made_from: Mapping[str, MadeFrom], labels: Sequence[str],
    budget: int,
) -> list[Translated]:  # fmt: skip
    """For each label some synthetic images and the image that each was made from, all within `budget` bytes.

    They are taken at even steps from images of different sources, not selected by quality.
    """
    if synthetic is None or origins is None:
        return []
    sources, result = origins.sources, []
    for label in labels:
        own = np.flatnonzero(synthetic.labels == synthetic.classes.index(label))
        different = np.sort(np.unique(origins.rows[own], return_index=True)[1])
        chosen = own[different[_spaced(len(different), SOURCES)]]
        rows = origins.rows[chosen]
        tiles = _encode([*sources.images.pixels[rows], *synthetic.pixels[chosen]], budget // max(1, len(labels)))
        above, below = tiles[: len(rows)], tiles[len(rows) :]
        of = [sources.rows[row].label for row in rows]
        if len(tiles) == 2 * len(rows) > 0:
            result.append(Translated(label, made_from[label].text(), list(zip(above, below, of, strict=True))))
    return result


def pairs(given: Sequence[tuple[Pixels, Pixels, str, float]], budget: int, count: int = PAIRS) -> list[Pair]:
    """The nearest pairs first."""
    nearest = sorted(given, key=lambda p: (not np.isfinite(p[3]), p[3]))[:count]
    result = []
    for synthetic, train, label, distance in nearest:
        tiles = _encode([np.asarray(synthetic), np.asarray(train)], budget // max(1, len(nearest)))
        if len(tiles) == 2:
            same = bool(np.array_equal(synthetic, train))
            result.append(Pair(label, tiles[0], tiles[1], float(distance), same))
    return result


def pairs_of(given: Sequence[tuple[Pixels, Pixels, str, float]], labels: Sequence[str], budget: int) -> list[Pair]:
    """The nearest pairs of each label: four of a few labels, two of many."""
    most = max(2, min(4, PAIRS // max(1, len(labels))))
    ordered = sorted(given, key=lambda pair: pair[3])
    return pairs([pair for label in labels for pair in [p for p in ordered if p[2] == label][:most]], budget)


def by_file(images: LabelledImages | None) -> dict[str, Pixels]:
    """File → its pixels."""
    return {} if images is None else dict(zip(images.paths, images.pixels, strict=True))


def thumbnails(images: Mapping[str, Pixels], files: Sequence[str], budget: int) -> dict[str, str]:
    """Small pictures of those files that `images` has, file → data URI; the first ones within `budget`."""
    found: dict[str, str] = {}
    for file in dict.fromkeys(f for f in files if f in images):
        data = _bytes(images[file], "png", 0, PIXELATED)
        budget -= len(data)
        if budget < 0:
            break
        found[file] = data_uri(data, "png")
    return found


def side(images: LabelledImages | None) -> int:
    """The images' size in pixels, 0 when there are none."""
    return int(images.pixels.shape[-1]) if images is not None and images.pixels.ndim == 4 else 0


def _of_class(images: LabelledImages, label: str) -> tuple[Pixels, list[str]]:
    if label not in images.classes:
        return np.zeros((0, 1, 1, 1), np.uint8), []
    wanted = np.flatnonzero(np.asarray(images.labels) == images.classes.index(label))
    return np.asarray(images.pixels[wanted]), [images.paths[i] for i in wanted]


def _spaced(total: int, count: int) -> list[int]:
    """`count` indices at even steps among `total`, or all of them."""
    steps = np.linspace(0, max(0, total - 1), min(count, total))
    return sorted({round(float(step)) for step in steps})


def _encode(tiles: Sequence[Pixels], budget: int) -> list[str]:
    """As PNG if that fits into the budget; else as JPEG, with fewer tiles if necessary, but at least two."""
    if not tiles:
        return []
    for kind, quality in (("png", 0), ("jpeg", 92), ("jpeg", 80)):
        encoded = [_bytes(tile, kind, quality) for tile in tiles]
        if sum(map(len, encoded)) <= budget:
            break
    else:
        while len(encoded) > 2 and sum(map(len, encoded)) > budget:
            encoded.pop()
    return [data_uri(data, kind) for data in encoded]


def _bytes(tile: Pixels, kind: str, quality: int, largest: int | None = None) -> bytes:
    """The image as a file, no side longer than `largest` pixels."""
    planes = np.ascontiguousarray(tile, dtype=np.uint8)
    image = Image.fromarray(planes[0] if planes.shape[0] != 3 else planes.transpose(1, 2, 0))
    if largest is not None:
        image.thumbnail((largest, largest))
    buffer = io.BytesIO()
    if kind == "png":
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return buffer.getvalue()
