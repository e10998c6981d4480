"""Map files that a generator paints: masks, sketches, label maps. Those of the data's images, and a user's own.

The map of an image has its relative path, with any suffix. Maps are resized exactly as the images of the run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from synthaug.data import store
from synthaug.data.class_names import normalise_label
from synthaug.data.folder import scan
from synthaug.data.layout import Entry, Tree, is_image_name, walk
from synthaug.data.reading import read_all
from synthaug.data.run_data import RunData
from synthaug.data.scan_store import FileInfo
from synthaug.data.split import Split, SplitRow
from synthaug.documents import Document
from synthaug.errors import SynthaugError, plural, suggest
from synthaug.progress import Progress, Silent

_SHOWN = 3


class OwnMap(Document):
    """A map of the user, and the class to paint it as; it belongs to no image, and so to no group."""

    path: str = Field(description="relative to the folder, with forward slashes")
    label: str
    pixel_sha256: str

    @property
    def group(self) -> str:
        return ""


class OwnMaps(Document):
    """The maps in a folder of the user, sorted by path."""

    folder: Path
    maps: list[OwnMap]


def paired_maps(folder: Path, data: RunData, cache: Path | None, progress: Progress) -> Split:
    """The maps of all images, in the order of the data's split; paths are relative to `folder`.

    Raises:
        SynthaugError: there is no such folder, an image has no map, or a map cannot be read or does not fit its image.
    """
    tree = _tree(folder, "give a folder with a map for each image, or --pairs edges, which draws edge maps")
    path_of = _matched(tree, data.split.rows)
    infos = _read(tree, path_of.values(), data, cache, progress)
    images = {image.path: image for image in scan(data.folder, cache=cache).images}
    wrong = []
    for row in data.split.rows:
        image, info = images[row.path], infos[path_of[row.path]]
        # one pixel for the rounding of a side
        if abs(info.width * image.height - info.height * image.width) > max(image.width, image.height):
            sizes = f"{info.width}x{info.height} pixels, its image {image.width}x{image.height}"
            wrong.append(f"{path_of[row.path]!r} has {sizes}")
    if wrong:
        raise SynthaugError(
            f"{plural(len(wrong), 'map')} in {str(tree.root)!r} with other proportions than the image: {_some(wrong)}",
            "a map may be larger or smaller than its image, but must show all of it: cut or pad both alike",
        )
    unused = sorted(set(filter(is_image_name, tree.files)) - set(path_of.values()))
    if unused:
        progress.warn(f"{plural(len(unused), 'map')} without an image, not used: {_some(map(repr, unused))}")
    return Split([
        replace(row, path=path_of[row.path], pixel_sha256=infos[path_of[row.path]].pixel_sha256)
        for row in data.split.rows
    ])  # fmt: skip


def own_maps(folder: Path, data: RunData, cache: Path | None = None) -> OwnMaps:
    """The maps `folder/CLASS/…`, to be painted as CLASS; those right in `folder` are of the run's only target class.

    Raises:
        SynthaugError: there is no such folder or class, no map, one that cannot be read, or several target classes.
    """
    tree = _tree(folder, "give a folder of maps: DIR/CLASS/1.png")
    paths = sorted(filter(is_image_name, tree.files))
    if not paths:
        raise SynthaugError(f"{str(tree.root)!r} holds no image files", "give a folder of maps: DIR/CLASS/1.png")
    labels = {path: _label(path, tree, data) for path in paths}
    infos = _read(tree, paths, data, cache, Silent())
    found = [OwnMap(path=path, label=labels[path], pixel_sha256=infos[path].pixel_sha256) for path in paths]
    return OwnMaps(folder=tree.root, maps=found)


def _label(path: str, tree: Tree, data: RunData) -> str:
    folder, slash, _ = path.partition("/")
    if not slash and len(data.targets) != 1:
        raise SynthaugError(
            f"the map {path!r} in {str(tree.root)!r} is of no class, and {data.name} has {len(data.targets)} targets",
            "put it into a folder with the name of its class: DIR/CLASS/1.png",
        )
    label = normalise_label(folder, f"the folder {folder!r}") if slash else data.targets[0]
    if label not in data.classes:
        raise SynthaugError(
            f"the maps in {str(tree.root / folder)!r} are of a class that {data.name} does not have",
            suggest(label, data.classes),
        )
    return label


def _tree(folder: Path, hint: str) -> Tree:
    if not folder.is_dir():
        raise SynthaugError(f"there is no folder of maps {str(folder)!r}", hint)
    return walk(folder)


def _matched(tree: Tree, rows: Sequence[SplitRow]) -> dict[str, str]:
    """Path of an image → path of its map."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in filter(is_image_name, tree.files):
        by_stem[_stem(path)].append(path)
    options = {row.path: by_stem[_stem(row.path)] for row in rows}
    options = {path: [path] if path in maps else maps for path, maps in options.items()}
    for fault, wrong in (
        ("no map", [path for path, maps in options.items() if not maps]),
        ("more than one map", [path for path, maps in options.items() if len(maps) > 1]),
    ):
        if wrong:
            raise SynthaugError(
                f"{len(wrong)} of {plural(len(rows), 'image')} with {fault} in {str(tree.root)!r}: "
                f"{_some(map(repr, sorted(wrong)))}",
                f"the map of an image has its path: {Path(min(wrong)).with_suffix('.png')}; "
                "--pairs edges needs no maps",
            )
    return {path: maps[0] for path, maps in options.items()}


def _stem(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0]}"


def _read(
    tree: Tree, paths: Iterable[str], data: RunData, cache: Path | None, progress: Progress
) -> dict[str, FileInfo]:
    """Path of a map → what is known of it.

    Raises:
        SynthaugError: one cannot be read, or has colours that the run's grey images would lose.
    """
    entries = [Entry(path, "", None, tree.files[path]) for path in sorted(set(paths))]
    place = store.outside(tree.root, store.cache_root(cache)) / store.SCANS
    read = read_all(tree.root, entries, place, progress)
    if failures := read.failures:
        raise SynthaugError(
            f"{plural(len(failures), 'map')} in {str(tree.root)!r} cannot be read: "
            f"{_some(f'{path!r} ({reason})' for path, reason in sorted(failures.items()))}",
            "replace or remove them",
        )
    infos = {entry.path: info for entry, info in zip(read.entries, read.infos, strict=True)}
    coloured = sorted(path for path, info in infos.items() if info.coloured)
    if coloured and data.channels == 1:
        raise SynthaugError(
            f"{plural(len(coloured), 'map')} in {str(tree.root)!r} with colours, which a run of grey images cannot "
            f"see: {_some(map(repr, coloured))}",
            "train in colour: --set data.channels=3, or make the maps grey",
        )
    return infos


def _some(items: Iterable[str]) -> str:
    found = list(items)
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
