"""Where a Python function shows its progress: in a notebook, on a terminal, nowhere; and in a kernel without either."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from synthaug.progress import Silent, counter, shown
from synthaug.progress.notebook import NotebookProgress
from synthaug.progress.terminal import BarProgress, QuietProgress


class Handle:
    """What `IPython.display.display` returns: it keeps what was drawn."""

    def __init__(self, drawn: list[str]) -> None:
        self.drawn = drawn

    def update(self, block: str) -> None:
        self.drawn.append(block)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A kernel's modules, as far as progress uses them; the blocks that were drawn."""
    drawn: list[str] = []

    def display(block: str, display_id: bool) -> Handle:
        assert display_id, "a block that cannot be redrawn"
        assert not drawn, "a second block"
        drawn.append(block)
        return Handle(drawn)

    kernel, page = ModuleType("IPython"), ModuleType("IPython.display")
    kernel.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    page.HTML, page.display = str, display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", page)
    return drawn


def test_a_terminal_gets_bars_and_a_log_only_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(shown(False), Silent)
    own = Silent()
    assert shown(own) is own
    assert isinstance(shown(True), QuietProgress)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(shown(True), BarProgress)
    monkeypatch.setenv("RANK", "1")  # the first process of the training reports
    assert isinstance(shown(True), Silent)


def test_without_any_stderr_warnings_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """So Windows starts programs without a console, and some hosts of kernels."""
    monkeypatch.setattr(sys, "stderr", None)
    progress = shown(True)
    progress.warn("careful")
    with progress.task("fit", 2, "kimg") as task:
        task.advance()


def test_a_notebook_has_one_block_that_is_redrawn(notebook: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(counter.time, "monotonic", lambda: now[0])
    progress = shown(True)
    assert isinstance(progress, NotebookProgress)
    progress.say("run <b>")
    progress.warn("two\nlines")
    with progress.task("fit", 10, "kimg") as outer:
        with progress.task("score", None, "images") as inner:
            now[0] = 10.0
            inner.advance(3)
        outer.note("loss 0.5")
        outer.advance(4)
        now[0] = 20.0
        outer.advance(1)
        assert (
            '<progress value="0.500"></progress> fit: 5/10 kimg (50%), 0.25 kimg/s, 20 s left, loss 0.5' in notebook[-1]
        )
    assert "<progress" not in notebook[-1]
    assert notebook[-1].startswith("<div>run &lt;b&gt;</div><div><b>warning:</b> two lines</div>")
    assert notebook[-1].count("<div>") == 4  # and a line for each task of several seconds


def test_a_notebook_is_not_redrawn_at_every_step(notebook: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter.time, "monotonic", lambda: 1.0)
    with shown(True).task("fit", 10_000, "steps") as task:
        for _ in range(10_000):
            task.advance()
    assert len(notebook) <= 3


def test_plain_ipython_is_no_notebook(notebook: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ipython: Any = sys.modules["IPython"]
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace())  # a terminal's shell has no kernel
    assert isinstance(shown(True), QuietProgress)
