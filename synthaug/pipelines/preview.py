"""`fit --preview`: the page of a training, served while it lasts and left in the run as a file.

It reads the files that the run writes anyway, in a thread, and only while somebody looks.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from synthaug.evaluation.report import html
from synthaug.evaluation.report.preview import render_preview
from synthaug.files import write_text
from synthaug.page_server import Answer, PageServer, way_from_elsewhere
from synthaug.progress import Progress
from synthaug.runs import Run
from synthaug.training.loop import OnRow

_PICTURE = re.compile(r"samples/(kimg\d{6,}\.png)")
_PATIENCE = 4.0
"""Seconds in which an open page asks for news, with some to spare."""
_SHARE = 0.02
"""The most of the time that a busy page may be drawn: the training waits meanwhile, for Python has one lock."""


class Preview:
    """The page of a run. `stop` asks the training to end."""

    def __init__(self, run: Run, stop: Callable[[], None]) -> None:
        self._run, self._stop = run, stop
        self._drawing = threading.Lock()
        self._page = b""
        self._of: tuple[Any, ...] = ()
        self._next = 0.0
        self._looked = -_PATIENCE

    def show(self, path: str) -> Answer | None:
        if path == "":
            drawn = self._drawn()
            self._looked = time.monotonic()
            return Answer(drawn)
        if path == "page.js":
            return Answer(html.script("preview.js"), "text/javascript; charset=utf-8")
        if (picture := _PICTURE.fullmatch(path)) is not None and (file := self._run.samples / picture[1]).is_file():
            return Answer(file.read_bytes(), "image/png")
        return None

    def take(self, path: str, message: dict[str, Any]) -> Answer | None:
        if path != "stop":
            return None
        self._stop()
        return Answer.of({"stopping": True})

    def save(self) -> None:
        """Write the page into the run, with its pictures in it."""

        def inside(name: str) -> str:
            return html.data_uri((self._run.samples / name).read_bytes(), "png")

        write_text(self._run.preview, render_preview(self._run, inside, live=False))

    def await_last_look(self) -> None:
        """Wait a moment, if somebody looks, until the browser has the end of the training."""
        ended = time.monotonic()
        if ended - self._looked < _PATIENCE:
            self._next = 0.0
            while self._looked < ended and time.monotonic() < ended + _PATIENCE:
                time.sleep(0.05)

    def _drawn(self) -> bytes:
        """The page of the run's files as they are, or a page of a moment ago."""
        with self._drawing:
            files = (self._run.metrics_file, self._run.path / "status.json")
            now = tuple((s.st_mtime_ns, s.st_size) for s in (file.stat() for file in files if file.is_file()))
            if not self._page or (now != self._of and time.monotonic() >= self._next):
                begun = time.thread_time()  # of the processor: a busy machine is not the page's fault
                self._page = render_preview(self._run, lambda name: f"samples/{name}", live=True).encode()
                self._of = now
                self._next = time.monotonic() + (time.thread_time() - begun) / _SHARE
            return self._page


@contextmanager
def previewed(run: Run, server: PageServer | None, stop: Callable[[], None], progress: Progress) -> Iterator[OnRow]:
    """Serve the page of a run; yield what gets each row of metrics.jsonl, so that the file in the run keeps up.

    Nothing is done without a server.
    """
    if server is None:
        yield lambda row: None
        return
    page = Preview(run, stop)

    def save() -> None:
        try:
            page.save()
        except Exception as error:  # no training ends because its page cannot be drawn
            progress.warn(f"{str(run.preview)!r} cannot be written: {type(error).__name__}: {error}")

    progress.announce(f"preview: {server.url}")
    if (way := way_from_elsewhere(server.port)) is not None:
        progress.announce(f"to open it on your own machine, run there first: {way}")
    try:
        with server.serving(page):
            yield lambda row: save() if row["kind"] == "monitor" else None
            page.await_last_look()
    finally:
        save()
