"""The page of `fit --preview`: what it says, what is left in the run, and what it hands out."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from listener import Listener

from synthaug.config import resolve
from synthaug.evaluation.report.preview import speed
from synthaug.grid import grid
from synthaug.page_server import PageServer
from synthaug.pipelines.preview import Preview, previewed
from synthaug.runs import Run, RunFacts, create, write_config
from synthaug.training.interruption import StopRequest

HOSTILE = '"><img src=x onerror=alert(1)>'
CLASSES = ["a", HOSTILE, "rare"]


def row(kimg: float, **more: Any) -> dict[str, Any]:
    return {"kind": "step", "kimg": kimg, "loss_d": 1.0 / kimg, "loss_g": 2.0, "images_per_second": 100.0, **more}


def monitor(kimg: float, **more: Any) -> dict[str, Any]:
    scores = {"kid": 0.25, "coverage": 0.5, "samples": 8, "reference": "val"}
    return {
        "kind": "monitor", "kimg": kimg, "score": 1 / kimg, "best": True, "per_class": {"a": scores, "rare": scores},
        "pooled": {"kid": 0.1, "reference": "val"}, **more,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    facts = RunFacts(data=tmp_path, fingerprint="", classes=CLASSES, targets=["rare"], channels=1)
    made = create(tmp_path / "runs", "test", lambda new: write_config(new, resolve(), facts))
    made.set_status(state="running", kimg=0.0)
    return made


def trained(run: Run, kimg: int) -> None:
    """Write what a training of that length leaves, of 20 kimg."""
    for at in range(1, kimg + 1):
        run.append_metrics(row(at))
        run.append_metrics(monitor(at))
        run.samples.mkdir(exist_ok=True)
        pixels = np.full((2, 1, 16, 16), at, np.uint8)
        grid([pixels] * 3, 2, CLASSES).save(run.samples / f"kimg{at:06d}.png")
    run.set_status(kimg=float(kimg), total_kimg=20.0, best_checkpoint=f"kimg{kimg:06d}")


def test_the_page_says_how_far_it_is_and_shows_the_newest_samples(run: Run) -> None:
    page = Preview(run, lambda: None)
    trained(run, 10)
    text = page.show("").body.decode()  # type: ignore[union-attr]
    assert "10.0 of 20.0 kimg" in text
    assert "1 min 40 s" in text  # 10,000 images at 100 a second
    assert 'src="samples/kimg000010.png"' in text
    assert "0.250" in text
    assert "<svg" in text
    assert 'id="stop"' in text
    assert HOSTILE not in text
    assert "&#34;&gt;&lt;img src=x onerror=alert(1)&gt;" in text


def test_it_can_be_looked_at_before_anything_is_trained(run: Run) -> None:
    text = Preview(run, lambda: None).show("").body.decode()  # type: ignore[union-attr]
    assert "not known yet" in text
    assert "first checkpoint" in text


def test_only_pictures_of_samples_are_handed_out(run: Run) -> None:
    trained(run, 1)
    page = Preview(run, lambda: None)
    picture = page.show("samples/kimg000001.png")
    assert picture is not None
    assert picture.body == (run.samples / "kimg000001.png").read_bytes()
    for path in ("samples/../config.yaml", "config.yaml", "samples/kimg000009.png", "samples/", "../x", "stop"):
        assert page.show(path) is None, path
    assert page.take("samples/kimg000001.png", {}) is None


def test_the_page_in_the_run_needs_neither_server_nor_script(run: Run) -> None:
    trained(run, 3)
    run.set_status(state="interrupted")
    Preview(run, lambda: None).save()
    text = run.preview.read_text()
    assert text.count("data:image/png;base64,") == 1
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert run.resuming().split()[0] in text
    assert "time left" not in text


def test_an_open_page_is_drawn_again_only_if_the_files_changed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def draw(run: Run, source: Callable[[str], str], *, live: bool) -> str:
        drawn.append(1)
        return str(len(drawn))

    monkeypatch.setattr("synthaug.pipelines.preview.render_preview", draw)
    page = Preview(run, lambda: None)
    assert [page.show("").body for _ in range(3)] == [b"1"] * 3  # type: ignore[union-attr]
    trained(run, 1)
    page._next = 0.0  # a drawing may take no more than a small share of the time
    assert page.show("").body == b"2"  # type: ignore[union-attr]


def test_a_page_that_cannot_be_drawn_ends_no_training(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise ValueError("odd")

    monkeypatch.setattr("synthaug.pipelines.preview.render_preview", fail)
    heard = Listener()
    with previewed(run, PageServer(None), lambda: None, heard) as on_row:
        on_row(monitor(1))
    assert len(heard.warnings) == 2
    assert "preview.html" in heard.warnings[0]


def test_its_address_is_announced_and_nothing_happens_without_a_server(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 5000 10.0.0.2 22")
    heard, server = Listener(), PageServer(None)
    with previewed(run, server, lambda: None, heard):
        pass
    assert heard.lines[0] == f"preview: {server.url}"
    assert f"ssh -N -L {server.port}:127.0.0.1:{server.port}" in heard.lines[1]
    run.preview.unlink()
    with previewed(run, None, lambda: None, heard) as on_row:
        on_row(monitor(1))
    assert not run.preview.exists()
    assert len(heard.lines) == 2


def test_asking_to_stop_twice_is_asking_once() -> None:
    said: list[str] = []
    with StopRequest(said.append) as stop:
        assert Preview(Run(Path("nowhere")), stop.ask).take("stop", {}) is not None
        stop.ask()
        assert stop.signal == signal.SIGINT
    assert len(said) == 1


def test_the_speed_counts_pauses_between_rows() -> None:
    rows = [row(1.0), row(2.0), row(3.0, images_per_second=25.0)]  # 10 s, then 40 s with a score
    assert speed(rows) == pytest.approx(2000 / 50)
    assert speed(rows[:1]) is None
