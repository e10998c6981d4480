"""Folders at a URL (`s3://bucket/folder`, `gs://…`, `memory://…`) through fsspec: `pip install 'synthaug[storage]'`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthaug.errors import RunFailed, SynthaugError, suggest

UNFINISHED = "_UNFINISHED.json"
"""A file that marks a folder in which not all files have arrived."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(/?)")  # two letters or more: C:/ is a drive


def unfinished(where: Path | str) -> SynthaugError:
    """The error that a reader of such a folder raises."""
    return SynthaugError(
        f"{str(where)!r} is an export whose upload has not finished", "run its `synthaug export` again"
    )


def place(value: Any) -> Any:
    """A field of a request that is a path or a URL: a URL stays text, anything else, also `file://…`, becomes a path.

    >>> place("s3://bucket/out"), place("file:///tmp/out").as_posix()
    ('s3://bucket/out', '/tmp/out')

    Raises:
        SynthaugError: a `Path` holds a URL, or a URL has several protocols.
    """
    if not isinstance(value, (str, Path)):
        return value
    text, match = str(value), _URL.match(str(value))
    if "::" in text and "://" in text:
        raise SynthaugError(f"{text!r} chains several file systems", "give a URL with one protocol")
    if match is None or not match[2]:
        if match is not None and isinstance(value, Path) and not Path(value.parts[0]).exists():
            raise SynthaugError(f"{text!r} is a URL that lost a slash when it became a Path", "give it as text")
        return Path(value)
    return Path(text[match.end() :]) if match[1].lower() in ("file", "local") else text.rstrip("/")


@dataclass(frozen=True)
class Storage:
    """A folder at a URL. Names of files are relative to it, with forward slashes.

    Raises:
        SynthaugError: from `open`, if fsspec or the package for the protocol is missing.
        RunFailed: from everything else, if the storage fails.
    """

    url: str
    filesystem: Any
    root: str

    @classmethod
    def open(cls, url: str) -> Storage:
        try:
            import fsspec
        except ImportError as error:
            raise SynthaugError(f"{url!r} needs fsspec", "pip install 'synthaug[storage]'") from error
        protocol = url.partition("://")[0].lower()
        if protocol not in fsspec.available_protocols():
            raise SynthaugError(
                f"the protocol {protocol!r} of {url!r} is not known", suggest(protocol, ["s3", "gs", "az", "memory"])
            )
        try:
            with _failing(url):
                filesystem, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise SynthaugError(f"{url!r} needs a package for {protocol}", _install(protocol)) from error
        return cls(url, filesystem, root.rstrip("/"))

    def files(self) -> dict[str, dict[str, Any]]:
        """Name → what the storage knows of a file (`size`, and a time or checksum), sorted; empty: nothing is there."""
        with _failing(self.url):
            self.filesystem.invalidate_cache()
            found = self.filesystem.find(self.root, detail=True)
        start = len(self.root) + 1
        return {path[start:]: info for path, info in sorted(found.items()) if path.startswith(self.root + "/")}

    def read(self, name: str, most: int) -> bytes:
        """At most `most` bytes from the beginning of a file."""
        with _failing(self.url):
            content: bytes = self.filesystem.cat_file(f"{self.root}/{name}", start=0, end=most)
        return content

    def write(self, name: str, data: bytes) -> None:
        with _failing(self.url):
            self.filesystem.pipe_file(f"{self.root}/{name}", data)

    def upload(self, file: Path, name: str) -> None:
        """Copy a file from this machine, and compare its size."""
        with _failing(self.url):
            self.filesystem.put_file(str(file), f"{self.root}/{name}")
            self.filesystem.invalidate_cache()
            size = self.filesystem.size(f"{self.root}/{name}")
        if size != (wanted := file.stat().st_size):
            raise RunFailed(f"{self.url}/{name} has {size} bytes after its upload, not {wanted}", "upload it again")

    def download(self, name: str, file: Path) -> None:
        with _failing(self.url):
            self.filesystem.get_file(f"{self.root}/{name}", str(file))

    def remove(self, names: list[str]) -> None:
        """Delete files. Names with `*`, `?` or `[` go one by one: in a list they would stand for other files."""
        plain = [name for name in names if not set(name) & {*"*?["}]
        with _failing(self.url):
            if plain:
                self.filesystem.rm([f"{self.root}/{name}" for name in plain])
            for name in sorted({*names} - {*plain}):
                self.filesystem.rm_file(f"{self.root}/{name}")


def name_of(url: str) -> str:
    """The last part of a URL as the name of a file on any system.

    >>> name_of("s3://bucket/my set"), name_of("sftp://host/data/..")
    ('my-set', 'data')
    """
    return re.sub(r"[^\w.-]", "-", url.rpartition("/")[2]).strip(".-")[:80] or "data"


def _install(protocol: str) -> str:
    """The pip command for a protocol's package."""
    from fsspec.registry import known_implementations

    known = known_implementations[protocol]
    package = known["class"].partition(".")[0]
    return f"pip install {package}" if package != "fsspec" else str(known.get("err", "see fsspec's documentation"))


@contextmanager
def _failing(url: str) -> Iterator[None]:
    """Turn what a file system raises, which may be anything, into one error. A missing package stays what it is."""
    try:
        yield
    except (ImportError, SynthaugError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunFailed(
            f"cannot use {url!r}: {reason}", "check the name, your credentials and the network, and run it again"
        ) from error
