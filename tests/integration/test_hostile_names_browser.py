"""A run whose classes, files and folders have names that would be scripts: all its pages in a real browser.

The browser does without the pages' content security policy, which would stop what the pages let through.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chromium import CHROMIUM, Chromium
from export_material import save_images, save_net
from listener import Listener
from PIL import Image, ImageOps

from synthaug.data.run_data import RunData
from synthaug.page_server import PageServer
from synthaug.pipelines.compare import compare
from synthaug.pipelines.curate import curate
from synthaug.pipelines.evaluate import evaluate
from synthaug.pipelines.fit import fit
from synthaug.pipelines.preview import Preview
from synthaug.runs import Run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium, or set CHROMIUM")

CLASSES = ["'-window.hit=1-'", "&lt;img src=x onerror=window.hit=1&gt;", "${window.hit=1}{{window.hit=1}}"]
FILES = [
    *("<img src=x onerror=window.hit=1>", '"onerror="window.hit=1', "'onload='window.hit=1", "javascript:window.hit=1"),
    *("<{slash}title><script>window.hit=1<{slash}script>", "]]><svg onload=window.hit=1>"),
]
"""`{slash}`: what follows lies in a folder."""
SMALL = {
    "data.resolution": 16, "data.min_images_for_val": 8, "model.width": 4, "model.discriminator_width": 4,
    "model.embed_dim": 4, "training.batch_size": 32, "monitor.samples_per_class": 8, "monitor.every_kimg": 0.4,
}  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    started = Chromium(tmp_path_factory.mktemp("profile"))
    started.send("Page.setBypassCSP", enabled=True)
    yield started
    started.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("<svg onload=window.hit=1>")


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    def renamed(image: Image.Image, path: Path, number: int) -> Path:
        name = FILES[number % len(FILES)].format(slash="/")
        file = path.parent / f"{number} {name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)
        return file

    save_images(place / "data", dict(zip(CLASSES, (14, 20, 20), strict=True)), write=renamed)
    save_net(place / "net.pt")
    made = fit(
        place / "data", target_class=CLASSES[0], set=SMALL, budget="1.1kimg", features=str(place / "net.pt"),
        name="<img src=x onerror=window.hit=1>", runs=place / "runs", device="cpu", preview=True,
        cache=place / "cache", progress=False,
    )  # fmt: skip
    return Run(Path(made.run))


def harmless(browser: Chromium, page: Path | str) -> str:
    """The text of a page, after all of it was opened and touched: no script has run, nothing came from elsewhere."""
    browser.open(page, 1280)
    browser.run("document.querySelectorAll('details').forEach(folded => folded.open = true)")
    for event in ("mouseover", "focus", "load", "error", "toggle"):
        browser.run(f"document.querySelectorAll('body *').forEach(e => e.dispatchEvent(new Event('{event}')))")
    assert browser.run("window.hit ?? null") is None
    own = page if isinstance(page, str) else "blob:"
    assert [url for url in browser.requests() if not url.startswith(own)] == []
    assert browser.run("[...document.querySelectorAll('script:not([src])')].length") == 0
    return str(browser.run("document.documentElement.textContent"))


def test_the_browser_would_run_a_script(browser: Chromium, run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    html = run.preview.read_text("utf-8")
    assert "Content-Security-Policy" in html
    page.write_text(html.replace("</body>", "<img src=x onerror=window.hit=1></body>"), "utf-8")
    browser.open(page, 1280)
    assert browser.run("new Promise(done => setTimeout(() => done(window.hit ?? null), 500))") == 1


def test_the_report(browser: Chromium, run: Run, place: Path) -> None:
    split = RunData.open(run).split
    for row in split.of("train")[::2]:  # the report shows a test image that is a mirrored copy, with the names of both
        copy = place / "test" / row.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(place / "data" / row.path) as image:
            ImageOps.mirror(image).save(copy)
    done = evaluate(
        run, test=place / "test", gate=False, seeds=2, steps=2, arms=["real", "oversample", "synthetic"], jobs=1,
        features=str(place / "net.pt"), device="cpu", cache=place / "cache", progress=False,
    )  # fmt: skip
    assert done.report
    text = harmless(browser, Path(done.report))
    for name in CLASSES:
        assert name in text
    assert any(FILES[0] in warning for warning in done.warnings)


def test_the_page_of_the_training(browser: Chromium, run: Run) -> None:
    assert CLASSES[0] in harmless(browser, run.preview)
    server = PageServer(None)
    with server.serving(Preview(run, lambda: None)):
        assert CLASSES[0] in harmless(browser, server.url)


def test_runs_side_by_side(browser: Chromium, run: Run, place: Path, tmp_path: Path) -> None:
    page = compare([run, run], out=tmp_path / "compare.html").page
    assert page is not None
    assert CLASSES[0] in harmless(browser, Path(page))


def test_curation(browser: Chromium, run: Run, place: Path) -> None:
    texts: list[str] = []
    curate(
        run, class_=CLASSES, count=4, gate=False, device="cpu", cache=place / "cache",
        progress=Visitor(lambda url: texts.append(harmless(browser, url)), browser),
    )  # fmt: skip
    assert texts
    for name in CLASSES:
        assert name in texts[0]


class Visitor(Listener):
    """Looks at the page that is announced, and ends it."""

    def __init__(self, look: Callable[[str], None], browser: Chromium) -> None:
        super().__init__()
        self._look, self._browser = look, browser

    def announce(self, line: str) -> None:
        if line.startswith("page: "):
            threading.Thread(target=self._visit, args=(line.removeprefix("page: "),)).start()

    def _visit(self, url: str) -> None:
        try:
            self._look(url)
        finally:
            self._browser.run("document.getElementById('finish').click()")
