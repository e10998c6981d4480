"""Which images of a scan are alike: equal pixels, near-duplicates, aligned copies, and groups that the user names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from synthaug.data.aligned_copies import CopySearch, planes_of_thumbnails
from synthaug.data.decode import open_image
from synthaug.data.duplicates import join, make_thumbnails, near_duplicate_components, reduced
from synthaug.data.folder import Scan
from synthaug.progress import Progress, Silent

MOST = 20_000
"""Aligned copies are searched among so many images at most. The time grows with the square of their number: 10,000
images take about 20 s on one core."""


def together(scan: Scan, progress: Progress = Silent()) -> NDArray[np.intp]:
    """The component [N] of each image. Images that a split must not separate are connected.

    These are images of one group that the user names, equal images, near-duplicates and aligned copies.
    """
    if scan.together is None:
        component = near_and_named(scan)
        if len(scan.images) <= MOST:
            planes = planes_of_thumbnails(_thumbnails(scan))
            with progress.task("comparing images with each other", len(planes), "images") as task:
                copies = CopySearch(planes, component).copies(planes, component, task.advance)
            component = join(component, copies.queries, copies.images)
        scan.together = component
    return scan.together


def near_and_named(scan: Scan, names: Sequence[str | None] | None = None) -> NDArray[np.intp]:
    """The component [N] of each image, as `together` without aligned copies; `names` instead of the user's groups."""
    component = _alike(scan)
    first_of: dict[str, int] = {}
    names = [image.group for image in scan.images] if names is None else names
    pairs = [(k, first_of.setdefault(name, k)) for k, name in enumerate(names) if name is not None]
    return join(component, *np.array(pairs, np.intp).T) if pairs else component


def near_duplicate_groups(scan: Scan) -> list[list[int]]:
    """Groups of at least two indices into `scan.images` of near-duplicate or equal images, in ascending order."""
    return [group for group in members(_alike(scan)) if len(group) > 1]


def look_like(found: Scan, seen: Scan, paths: Iterable[str]) -> set[str]:
    """Paths of `found` whose image is a near-duplicate of one of the images `paths` of `seen`, another folder."""
    among = set(paths)
    rows = [k for k, image in enumerate(seen.images) if image.path in among]
    component = near_duplicate_components(np.concatenate([_thumbnails(found), _thumbnails(seen)[rows]]))
    mine, theirs = component[: len(found.images)], component[len(found.images) :]
    return {image.path for image, alike in zip(found.images, np.isin(mine, theirs), strict=True) if alike}


def members(component: NDArray[np.intp]) -> list[list[int]]:
    """The indices of each component, in the order of their first ones.

    >>> members(np.array([0, 2, 0]))
    [[0, 2], [1]]
    """
    found: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(component.tolist()):
        found[number].append(index)
    return list(found.values())


def _alike(scan: Scan) -> NDArray[np.intp]:
    """The component [N] of each image; images with equal pixels and near-duplicates are connected."""
    if scan.alike is not None:
        return scan.alike
    first_with: dict[str, int] = {}
    exact = np.array([first_with.setdefault(image.pixel_sha256, k) for k, image in enumerate(scan.images)], np.intp)
    distinct = np.unique(exact)
    component = np.arange(len(exact))
    component[distinct] = distinct[near_duplicate_components(_thumbnails(scan), distinct)]
    scan.alike = component[exact]
    return scan.alike


def _thumbnails(scan: Scan) -> NDArray[np.uint8]:
    if scan.thumbnails is not None:
        return scan.thumbnails
    return make_thumbnails(reduced(open_image(scan.root / image.path)) for image in scan.images)
