"""Progress where there is no terminal, and how values are written."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from synthaug.errors import SynthaugError
from synthaug.progress import counter, terminal
from synthaug_cli import app, console


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(counter.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_every_few_seconds_with_rate_and_time_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with terminal.LineProgress().task("fit", 200, "kimg") as task:
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
    with terminal.LineProgress().task("scan", None, "files") as task:
        clock[0] = 1.0
        task.advance(100)
    assert capsys.readouterr().err == ""


def test_quiet_says_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = terminal.QuietProgress()
    with quiet.task("fit", 10, "kimg") as task:
        task.advance(10)
    quiet.say("something")
    quiet.warn("two\nlines")
    assert capsys.readouterr().err == "warning: two lines\n"


def test_bars_are_drawn_and_gone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bars = terminal.BarProgress()
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


def test_a_bar_keeps_amount_rate_and_time_whole_on_80_columns(clock: list[float]) -> None:
    bars = terminal.BarProgress()
    with bars.task("comparing the images of a long name", 4000, "classifiers") as task:
        clock[0] = 100.0
        task.advance(1000)
        task.note("KID 0.566 " * 20)
        drawn = io.StringIO()
        assert bars._bars is not None
        Console(file=drawn, width=80, force_terminal=True, color_system=None).print(bars._bars.get_renderable())
    lines = drawn.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "1,000/4,000 classifiers 10 classifiers/s 5 min 00 s left" in " ".join(lines[0].split())
    assert [line.strip().startswith("KID") for line in lines].count(True) == 1
    assert lines[-1].rstrip().endswith("…")


def test_until_the_time_left_is_known_a_task_says_how_long_it_has_taken(clock: list[float]) -> None:
    task = counter.Counter("gates", 10, "steps")
    clock[0] = 90.0
    assert (task.left, task.rate) == ("1 min 30 s", "")
    task.advance()
    assert task.left == "13 min 30 s left"


def test_what_an_earlier_call_has_done_says_nothing_about_the_rate(clock: list[float]) -> None:
    task = counter.Counter("training", 80, "kimg")
    task.advance(20)
    clock[0] = 10.0
    assert (task.rate, task.left) == ("", "10 s")
    task.advance(1)
    assert (task.amount, task.rate, task.left) == ("21/80 kimg", "0.1 kimg/s", "9 min 50 s left")


def test_loading_stands_on_a_terminal_until_the_first_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console.loading()
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True)
    console.loading()
    console.to_stderr("scanning")
    console.to_stderr("done")
    assert capsys.readouterr().err == "loading…\r\x1b[Kscanning\ndone\n"


def test_names_of_files_command_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), len(name) + ord(name[-5])).save(tmp_path / name)
    for name in ("cat/\x1b[2J\x9b1m.png", "cat/a\nnext: rm.png", "dog/\u202egnp.png", "\x1b]0;x\x07.txt"):
        (tmp_path / name).write_bytes(b"no image")
    assert app.run(["inspect", str(tmp_path), "--cache", str(tmp_path.with_name("cache"))]) == 0
    console.table("", ["\x1b[1m"], [["\x1b[31m"]])
    told = "".join(capsys.readouterr())
    assert not {*"\x1b\x07\x9b\u202e"} & {*told}
    assert not any(line.startswith("next: rm") for line in told.splitlines())
    for written in (r"cat/\x1b[2J\x9b1m.png", r"cat/a\nnext: rm.png", r"dog/\u202egnp.png", r"\x1b]0;x\x07.txt"):
        assert written in told


def test_sentences_break_between_words_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    sentence = "\nverdict: the images help, /a/path/that/is/long/er/than/all/of/a/line, and more words follow"
    console.prose(sentence, 9)
    assert capsys.readouterr().out == f"{sentence}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    console.prose(sentence, 9)
    first, verdict, path, rest = capsys.readouterr().out.rstrip("\n").split("\n")
    assert (first, verdict) == ("", "verdict: the images help,")
    assert path == "         /a/path/that/is/long/er/than/all/of/a/line,"
    assert rest == "         and more words follow"


def test_an_error_breaks_between_words_on_a_terminal_and_its_command_never(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    fault = SynthaugError("interrupted at 0.5 kimg; the state of the training is saved", "")
    continued = "synthaug fit 'my photos of last summer' --resume runs/00000-dcgan"
    fault.hint = f"with `synthaug runs ls` find the run, then continue with: {continued}"
    assert console.fail(fault) == 2
    assert capsys.readouterr().err == f"error: {fault.message}\nhint: {fault.hint}\n"  # one line each through a pipe
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    console.fail(fault)
    terminal.BarProgress().warn(
        "the file names show series, of which each is kept in one split by --group-by '([^/]*) \\d'"
    )
    assert capsys.readouterr().err.splitlines() == [
        "error: interrupted at 0.5 kimg; the",
        "state of the training is saved",
        "hint: with `synthaug runs ls` find the",
        "run, then continue with:",
        continued,
        "warning: the file names show series, of",
        "which each is kept in one split by",
        "--group-by '([^/]*) \\d'",
    ]
