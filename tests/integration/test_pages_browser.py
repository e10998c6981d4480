"""The pages of `curate` and `fit --preview` in a real browser: by mouse, by keyboard, at the width of a phone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import CHROMIUM, Chromium

from synthaug.config import resolve
from synthaug.data.cache import LabelledImages
from synthaug.grid import grid
from synthaug.page_server import PageServer
from synthaug.pipelines.candidates import Candidates
from synthaug.pipelines.curation_page import CurationPage
from synthaug.pipelines.preview import Preview
from synthaug.runs import Run, RunFacts, create, write_config
from synthaug.sampling import curation
from synthaug.sampling.curation import Images

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium, or set CHROMIUM")

CLASSES = ["<img src=x onerror=alert(1)>", "Käfer " * 20]
IMAGES = Images(checkpoint="kimg000100", checkpoint_sha256="a" * 64, seed=0)
COUNT = 12


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    started = Chromium(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    facts = RunFacts(data=tmp_path, fingerprint="", classes=CLASSES, targets=CLASSES[:1], channels=3)
    made = create(tmp_path / "runs", "test", lambda new: write_config(new, resolve(), facts))
    made.set_status(state="running", kimg=0.0)
    return made


def page_of(run: Run) -> CurationPage:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 3, 16, 16), dtype=np.uint8)
    train = LabelledImages(pixels, np.repeat([0, 1], 30), CLASSES, [f"{i}.png" for i in range(60)])
    like = np.arange(3) + np.arange(COUNT)[:, None]
    shown = {label: Candidates(pixels[20:32], [3 * i for i in range(COUNT)], like) for label in CLASSES}
    return CurationPage(run, curation.read(run, IMAGES), shown, train, "a run")


def until(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < end:
        time.sleep(0.02)
    assert value, "it did not come"
    return value


def open_ready(browser: Chromium, url: str, width: int = 1280) -> None:
    browser.open(url, width)
    until(lambda: browser.run("document.querySelectorAll('#all button').length") == COUNT)


def middle(browser: Chromium, selector: str) -> tuple[float, float]:
    box = browser.run(
        f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'nearest'}});"
        " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )
    return box[0], box[1]


def test_images_are_accepted_and_rejected_by_key_and_mouse_and_it_goes_on_after_a_restart(
    browser: Chromium, run: Run
) -> None:
    first, server = page_of(run), PageServer(None)
    with server.serving(first):
        open_ready(browser, server.url)
        browser.press("a")
        browser.press("r")
        browser.press("ArrowRight")
        browser.click(*middle(browser, "#accept"))
        browser.click(*middle(browser, "#all li:nth-child(6) button"))
        browser.click(*middle(browser, "#reject"))
        browser.press("ArrowLeft")
        browser.press("u")
        until(lambda: browser.run("document.getElementById('news').textContent") == "kept")
        wanted = {0: "accepted", 3: "rejected", 9: "accepted"}
        until(lambda: curation.read(run, IMAGES).decisions == {CLASSES[0]: wanted})
        assert "2 accepted, 1 rejected, 9 undecided" in browser.run("document.getElementById('counts').textContent")
        assert browser.complaints() == []
        assert all(url.startswith(server.url) for url in browser.requests())
    second, server = page_of(run), PageServer(None)
    with server.serving(second):
        open_ready(browser, server.url)
        marks = browser.run("[...document.querySelectorAll('#all button')].map(b => b.className)")
        assert marks[:4] == ["accepted", "rejected", "", "accepted"]
        assert browser.run("document.querySelector('#all [aria-current]').parentElement.matches(':nth-child(3)')")
        browser.click(*middle(browser, "#finish"))
        until(second.finished.is_set)
        assert "all decisions are kept" in until(lambda: browser.run("document.getElementById('news').textContent"))


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_says_everything_without_colour(browser: Chromium, run: Run, width: int) -> None:
    page, server = page_of(run), PageServer(None)
    page.kept.decide(CLASSES[0], 0, "accepted")
    with server.serving(page):
        open_ready(browser, server.url, width)
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("[...document.images].every(i => i.alt !== null) && document.images.length") > COUNT
        shown = "[...document.images].filter(i => i.loading !== 'lazy')"
        broken = browser.run(f"Promise.all({shown}.map(i => i.decode().then(() => 0, () => 1)))")
        assert broken
        assert not any(broken)
        assert browser.run("document.querySelector('#all button span').textContent") == "✓"
        label = browser.run("document.querySelector('#all button').getAttribute('aria-label')")
        assert label == "image 0, accepted"
        assert browser.run("document.querySelector('#classes').textContent") == "".join(CLASSES)
        small = (
            "[...document.querySelectorAll('.bar button')].filter(b => b.getBoundingClientRect().height < 40).length"
        )
        assert browser.run(small) == 0  # large enough for a thumb
        bar = browser.run("document.querySelector('.bar').getBoundingClientRect().bottom")
        assert bar <= browser.run("innerHeight") + 1  # the buttons are in view, however long the page is
        assert browser.complaints() == []


def test_a_finger_decides_and_the_page_says_about_which_image(browser: Chromium, run: Run) -> None:
    server = PageServer(None)
    with server.serving(page_of(run)):
        open_ready(browser, server.url, 390)
        said = browser.run("document.querySelector('#made figcaption').textContent")
        assert said == f"Image 1 of {COUNT} (number 0 of class {CLASSES[0]}): undecided"
        browser.tap(*middle(browser, "#reject"))
        until(lambda: curation.read(run, IMAGES).decisions == {CLASSES[0]: {0: "rejected"}})


def test_a_decision_that_cannot_be_kept_is_said_and_not_shown(
    browser: Chromium, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, server = page_of(run), PageServer(None)

    def full() -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "save", full)
    with server.serving(page):
        open_ready(browser, server.url)
        browser.press("r")
        news = until(lambda: browser.run("document.getElementById('news').textContent"))
        assert news.startswith("not kept: ")
        assert browser.run("document.querySelector('#all button').className") == ""


def test_the_page_of_a_training_follows_it_and_stops_it(browser: Chromium, run: Run) -> None:
    stopped: list[bool] = []
    page, server = Preview(run, lambda: stopped.append(True)), PageServer(None)
    with server.serving(page):
        browser.open(server.url, 390)
        assert "first checkpoint" in browser.run("document.body.textContent")
        for kimg in (1, 2):
            run.append_metrics({"kind": "step", "kimg": kimg, "loss_d": 1.0, "loss_g": 2.0, "images_per_second": 100.0})
            run.append_metrics({"kind": "monitor", "kimg": kimg, "score": 0.5, "best": True, "per_class": {}})
        run.samples.mkdir()
        pixels = np.zeros((10, 3, 16, 16), np.uint8)
        grid([pixels, pixels], 10, CLASSES).save(run.samples / "kimg000002.png")
        run.set_status(total_kimg=4.0)
        until(lambda: browser.run("document.querySelectorAll('.samples').length") == 1)
        until(lambda: browser.run("document.querySelector('.samples').naturalWidth") > 600)
        assert "2.0 of 4.0 kimg" in browser.run("document.getElementById('state').textContent")
        assert browser.run("document.querySelectorAll('#curves figure').length") > 0
        assert browser.run("document.documentElement.scrollWidth") <= 390
        assert browser.complaints() == []
        browser.click(*middle(browser, "#stop"))
        until(lambda: stopped)
        browser.press("Enter")
        assert stopped == [True]
    until(lambda: "has ended" in browser.run("document.getElementById('news').textContent"))
