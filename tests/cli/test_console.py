"""Progress where there is no terminal, and how values are written."""

from __future__ import annotations

import pytest

from synthaug_cli import console


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_every_few_seconds_with_rate_and_time_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with console.LineProgress().task("fit", 200, "kimg") as task:
        for second in range(1, 13):
            clock[0] = float(second)
            task.note("loss 0.5")
            task.advance(1.5)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "fit: 7.5/200 kimg (4%), 1.5 kimg/s, 2 min 08 s left, loss 0.5",
        "fit: 15/200 kimg (8%), 1.5 kimg/s, 2 min 03 s left, loss 0.5",
        "fit: 18/200 kimg in 12 s",
    ]


def test_quick_tasks_say_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with console.LineProgress().task("scan", None, "files") as task:
        clock[0] = 1.0
        task.advance(100)
    assert capsys.readouterr().err == ""


def test_quiet_says_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = console.QuietProgress()
    with quiet.task("fit", 10, "kimg") as task:
        task.advance(10)
    quiet.say("something")
    quiet.warn("two\nlines")
    assert capsys.readouterr().err == "warning: two lines\n"


def test_bars_are_drawn_and_gone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bars = console.BarProgress()
    with bars.task("outer [x]", 2, "arms") as outer:
        with bars.task("inner", None, "steps") as inner:
            inner.advance(3)
            inner.note("loss [bold]")
        bars.warn("careful")
        outer.advance()
    assert "warning: careful" in capsys.readouterr().err
    assert bars._bars is None


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "–"), (0, "0"), (12345, "12,345"), (0.12345, "0.123"), (1234.5, "1,234.5"), (True, "yes"), ("[x]", "[x]")],
)
def test_cell(value: object, written: str) -> None:
    assert console.cell(value) == written
