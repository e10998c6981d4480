"""Which copies of training images are found among test images, and how many other images are taken for copies.

    python tests/studies/leaks.py --write digits=FOLDER signs=FOLDER ...     rewrites the table in docs/science/leaks.md

Each folder has one folder per class, perhaps in train/ and test/; `make_folders.py` beside this file makes those of
digits and clothes. Real photographs are in groups: `--group-by '([^_]+)_'`. 70% of the groups stand for the training
images. Of the other images, up to 600 are new; 200 training images are changed, at their own size, and searched.
"""

from __future__ import annotations

import argparse
import io
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from tables import rewrite

from synthaug.data.aligned_copies import CopySearch, planes_of_thumbnails
from synthaug.data.alike import near_and_named
from synthaug.data.decode import on_white, open_image
from synthaug.data.duplicates import make_thumbnails, near_duplicate_components, reduced
from synthaug.data.folder import scan

Change = Callable[[Image.Image, random.Random], Image.Image]


def moved(image: Image.Image, right: int, down: int) -> Image.Image:
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((2, 2), (2, 2), (0, 0))[: pixels.ndim], "edge")
    return Image.fromarray(padded[2 - down : 2 - down + height, 2 - right : 2 - right + width])


def cropped(image: Image.Image, rng: random.Random) -> Image.Image:
    width, height = image.size
    left, top = 0.1 * width * rng.random(), 0.1 * height * rng.random()
    box = (left, top, left + 0.9 * width, top + 0.9 * height)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    return Image.open(file).copy()


def turned(image: Image.Image, rng: random.Random) -> Image.Image:
    """By 5°; the corners become black."""
    return image.rotate(rng.choice((-5, 5)), Image.Resampling.BICUBIC)


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


CHANGES: dict[str, Change] = {
    "mirrored": lambda x, _: mirrored(x),
    "moved 1 px": lambda x, rng: moved(x, *rng.choice([(1, 0), (0, 1), (-1, 0), (0, -1)])),
    "moved 2 px": lambda x, rng: moved(x, *rng.choice([(2, 0), (0, 2), (-2, 1), (1, -2)])),
    "turned 5°": turned,
    "90% crop": cropped,
    "brighter by a fifth": lambda x, _: ImageEnhance.Brightness(x).enhance(1.2),
    "JPEG 75": lambda x, _: jpeg(x),
    "mirrored, turned": lambda x, rng: turned(mirrored(x), rng),
    "crop, JPEG": lambda x, rng: jpeg(cropped(x, rng)),
}


def thumbnails_of(images: list[Image.Image]) -> NDArray[np.uint8]:
    return make_thumbnails(reduced(image) for image in images)


def rows_of(name: str, folder: Path, group_by: str | None, cache: Path | None) -> list[list[str]]:
    found = scan(folder, group_by=group_by, cache=cache)
    assert found.thumbnails is not None
    rng, groups = random.Random(0), near_and_named(found)
    names = sorted(set(groups.tolist()))
    rng.shuffle(names)
    train = np.isin(groups, names[: round(0.7 * len(names))])
    new = np.random.default_rng(0).permutation(np.flatnonzero(~train))[:600]
    seen = np.flatnonzero(train)
    search = CopySearch(planes_of_thumbnails(found.thumbnails[seen]), groups[seen])

    def by_alignment(queries: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.isin(np.arange(len(queries)), search.copies(planes_of_thumbnails(queries)).queries)

    def by_thumbnails(queries: NDArray[np.uint8]) -> NDArray[np.bool_]:
        component = near_duplicate_components(np.concatenate([found.thumbnails[seen], queries]))
        return np.isin(component[len(seen) :], component[: len(seen)])

    picked = np.random.default_rng(1).permutation(seen)[:200]
    originals = [on_white(open_image(found.root / found.images[k].path)) for k in picked]
    changed = {kind: thumbnails_of([change(x, rng) for x in originals]) for kind, change in CHANGES.items()}
    cells = []
    for way, found_by in (("thumbnails alone", by_thumbnails), ("alignment", by_alignment)):
        rates = [
            f"{found_by(found.thumbnails[new]).mean():.1%}",
            *(f"{found_by(x).mean():.0%}" for x in changed.values()),
        ]
        cells.append([name, f"{len(seen):,}", way, *rates])
        print(*cells[-1], sep=" | ", flush=True)
    return cells


def cost(count: int = 10_000) -> float:
    """Processor seconds for the search among `count` images of random scenes of ten kinds."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(0, 40, (10, 1, 8, 8))
    scenes = (kinds[rng.integers(0, 10, count)] + rng.normal(0, 40, (count, 1, 8, 8))).repeat(4, 2).repeat(4, 3) + 128
    planes = scenes.astype(np.float32)
    start = time.process_time()
    numbers = np.arange(count)
    CopySearch(planes, numbers).copies(planes, numbers)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--group-by", default="([^_/]+)_[^/]*$")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--write", action="store_true", help="rewrite the table in docs/science/leaks.md")
    a = parser.parse_args()
    rows = []
    for name, folder in (text.split("=", 1) for text in a.folders):
        grouped = any("_" in path.name for path in Path(folder).rglob("*.png"))
        rows += rows_of(name, Path(folder), a.group_by if grouped else None, a.cache)
    print(f"10,000 images: {cost():.0f} s of processor time")
    if a.write:
        rewrite("leaks", ["images", "training", "found by", "new images taken for copies", *CHANGES], rows)


if __name__ == "__main__":
    main()
