"""The report in a real browser: silent, alone, inside a phone's width, and reachable by mouse and keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from chromium import CHROMIUM, Chromium
from report_material import evaluation, from_images, material, with_everything

from synthaug.documents import EvaluateDocument, Leaks, Suspect
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.evaluation.report.write import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium, or set CHROMIUM")

DIGITS = [str(i) for i in range(10)]
LONG = ["<b>bold</b>", "Donaudampfschifffahrtsgesellschaftskapitaensmuetze_ohne_Leerzeichen", "日本語", "c", "d e f"]
HOSTILE = [
    *('<img src=x onerror="window.hit=1">', "'><svg onload=window.hit=1>", "</title><script>window.hit=1</script>"),
    *("javascript:window.hit=1", "${window.hit=1}{{window.hit=1}}", "--><script>window.hit=1</script>\u2028"),
]
MANY = [f"class-{i:02d} {'scratched' if i % 3 else 'x'}" for i in range(24)]

# What a person would notice: the page scrolls sideways, labels lie over one another, something can't be reached.
PROBE = """
(async () => {
  const seen = e => e.checkVisibility({visibilityProperty: true, contentVisibilityAuto: false});
  const name = e => `${e.tagName.toLowerCase()} ${(e.getAttribute("aria-label") || e.textContent).trim().slice(0, 60)}`;
  const boxes = [...document.querySelectorAll("*")].filter(e =>
    seen(e) && ["auto", "scroll"].includes(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1);
  const overlaps = [];
  for (const svg of document.querySelectorAll("svg.ticks")) {
    const texts = [...svg.querySelectorAll("text")].filter(seen).map(t => [t.getBoundingClientRect(), t.textContent]);
    for (let i = 0; i < texts.length; i++) for (let j = 0; j < i; j++) {
      const [a, b] = [texts[i][0], texts[j][0]];
      if (a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
        overlaps.push(texts[i][1] + " | " + texts[j][1]);
    }
  }
  const texts = document.querySelectorAll("svg text, h1, h2, h3, h4, summary, .value, .label, .badge");
  const outside = [...texts].filter(e => {
    if (!seen(e) || e.closest(".scroll, .data-box")) return false;
    const r = e.getBoundingClientRect();
    return r.width > 2 && (r.left < -1 || r.right > innerWidth + 1);
  }).map(e => e.textContent.trim());
  const broken = [];
  for (const image of document.images) await image.decode().catch(() => broken.push(name(image)));
  const pictures = [...document.querySelectorAll(".tiles img, .pair img")];
  const tables = [...document.querySelectorAll("table")];
  return {
    width: innerWidth,
    scrollWidth: document.documentElement.scrollWidth,
    wide: boxes.length,
    unreachable: boxes.filter(e => e.tabIndex !== 0).map(name),
    images: pictures.length,
    rendering: [...new Set(pictures.map(i => getComputedStyle(i).imageRendering))],
    figures: document.querySelectorAll("figure").length,
    withoutTable: [...document.querySelectorAll("figure")].filter(f => !f.querySelector("table tbody tr")).map(name),
    withoutCaption: tables.filter(t => !t.caption || !t.caption.textContent.trim()).map(name),
    withoutScope: [...document.querySelectorAll("th:not([scope])")].map(name),
    broken, overlaps, outside,
  };
})()
"""
FAULTS = ("unreachable", "withoutTable", "withoutCaption", "withoutScope", "broken", "overlaps", "outside")

REACHABLE = """
(() => [...document.querySelectorAll("a[href], summary, [tabindex='0']")]
  .filter(e => e.checkVisibility({contentVisibilityAuto: false}))
  .map((e, i) => (e.dataset.place ||= String(i) + " " + e.tagName + " " + e.textContent.trim().slice(0, 30))))()
"""
FOCUSED = """
(() => {
  const e = document.activeElement, style = getComputedStyle(e), r = e.getBoundingClientRect();
  return {
    place: e.dataset.place ?? null, tag: e.tagName, href: e.getAttribute("href"), open: e.parentElement?.open ?? null,
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    inView: r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth && r.width > 0,
  };
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    started = Chromium(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of a case by its name, written once."""
    pages: dict[str, Path] = {}

    def page(name: str) -> Path:
        if name not in pages:
            pages[name] = write_report(*case(name), tmp_path_factory.mktemp("report"))
        return pages[name]

    return page


def case(name: str) -> tuple[EvaluateDocument, ReportMaterial]:
    if name == "digits":
        return evaluation(DIGITS, ["3", "8"]), material(DIGITS, ["3", "8"])
    if name == "everything":
        document, given = with_everything(evaluation(DIGITS, ["3", "8"])), material(DIGITS, ["3", "8"])
        document.warnings += ["the test images of a class come from only two groups"] * 5
        copies = [Suspect(test=f"{i}.png", label="3", like="a.png", source="train", nearness=0.5) for i in range(20)]
        document.leaks = Leaks(suspects=copies, verdict=document.verdict)
        given.suspects = given.pairs
        return document, given
    if name == "from images":
        document, given = case("everything")
        return from_images(document, given), given
    if name == "long names":
        document = evaluation(LONG, LONG[:3], verdict="hurts", effect=-0.1)
        return with_everything(document), material(LONG, LONG[:3], size=32, channels=3)
    if name == "hostile names":
        document = evaluation(HOSTILE, HOSTILE[:3])
        document.verdict.sentence = HOSTILE[0]
        document.warnings += HOSTILE
        given = material(HOSTILE, HOSTILE[:3])
        given.settings = dict(zip(HOSTILE, HOSTILE, strict=True))
        return with_everything(document), given
    if name == "24 classes":
        return with_everything(evaluation(MANY, MANY[:10])), material(MANY, MANY[:10], size=32, channels=3)
    document = evaluation(["ok", "bad"], ["bad"], seeds=1, verdict="no measurable effect", ungated=False, per_class=20)
    document.quality.per_class = {}
    return document, ReportMaterial()


def faultless(browser: Chromium, width: int) -> dict[str, Any]:
    """Look at the page as it stands; what the probe found where nothing is wrong."""
    seen: dict[str, Any] = browser.run(PROBE)
    assert seen["width"] == width
    assert seen["scrollWidth"] <= width
    assert {fault: seen[fault] for fault in FAULTS} == {fault: [] for fault in FAULTS}
    assert browser.complaints() == []
    assert browser.requests() == []
    return seen


@pytest.mark.parametrize(
    ("name", "width"),
    [
        *(("digits", 390), ("everything", 390), ("everything", 1280), ("long names", 390)),
        *(("24 classes", 390), ("24 classes", 800), ("bare", 390)),
    ],
)
def test_the_page_fits_and_is_quiet(browser: Chromium, report: Callable[[str], Path], name: str, width: int) -> None:
    browser.open(report(name), width)
    seen = faultless(browser, width)
    assert seen["figures"] > 0
    if name != "bare":
        assert seen["images"] > 20
        assert seen["rendering"] == ["pixelated"]


@pytest.mark.parametrize("name", ["everything", "from images", "long names", "24 classes"])
def test_the_answer_comes_first_then_pictures_then_statistics_on_a_short_page(
    browser: Chromium, report: Callable[[str], Path], name: str
) -> None:
    browser.open(report(name), 1280)
    places = ["h1", ".next", "#pictures", "#before-after", "#changed", "#contrasts", "#scores", "#quality", "#terms"]
    tops = browser.run(f"{json.dumps(places)}.map(e => document.querySelector(e).getBoundingClientRect().top)")
    assert tops == sorted(tops)
    assert tops[1] < 900  # the first screen
    judged = browser.run(
        "[...document.querySelectorAll('.verdict p')].find(p => p.textContent.startsWith('Judged at 64 px'))"
        ".getBoundingClientRect().bottom"
    )
    assert judged < 900
    assert browser.run("document.documentElement.scrollHeight") <= 6000
    faultless(browser, 1280)


def test_no_name_runs_as_a_script_even_without_the_content_policy(
    browser: Chromium, report: Callable[[str], Path], tmp_path: Path
) -> None:
    html = report("hostile names").read_text("utf-8")
    page = tmp_path / "report.html"
    page.write_text(open_to_scripts(html), "utf-8")
    browser.open(page, 1280)
    browser.run("document.querySelectorAll('details').forEach(folded => folded.open = true)")
    browser.run("document.querySelectorAll('*').forEach(e => e.dispatchEvent(new MouseEvent('mouseover')))")
    assert browser.run("[window.hit ?? null, document.scripts.length, document.images.length > 20]") == [None, 0, True]
    assert browser.requests() == []
    page.write_text(open_to_scripts(html).replace("</title>", "</title><script>window.hit=1</script>", 1), "utf-8")
    browser.open(page, 1280)
    assert browser.run("window.hit") == 1  # a script would have run


def open_to_scripts(html: str) -> str:
    """The page without its content security policy."""
    without, count = re.subn(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", html)
    assert count == 1
    return without


@pytest.mark.parametrize("name", ["everything", "long names"])
def test_everything_folded_opens_with_the_mouse(browser: Chromium, report: Callable[[str], Path], name: str) -> None:
    browser.open(report(name), 390)
    total = browser.run("document.querySelectorAll('details').length")
    assert total > 15
    for i in range(total):
        before, x, y = browser.run(
            f"""(() => {{
                const details = document.querySelectorAll('details')[{i}], summary = details.querySelector('summary');
                summary.scrollIntoView({{block: 'center', behavior: 'instant'}});
                const r = summary.getBoundingClientRect();
                return [details.open, r.left + Math.min(20, r.width / 2), r.top + r.height / 2];
            }})()"""
        )
        if not before:
            browser.click(x, y)
    assert browser.run("document.querySelectorAll('details:not([open])').length") == 0
    assert faultless(browser, 390)["wide"] > 0  # wide tables are there, and scroll inside their own box


def test_the_links_of_the_head_lead_to_their_sections(browser: Chromium, report: Callable[[str], Path]) -> None:
    browser.open(report("everything"), 1280)
    links = browser.run("document.querySelectorAll('nav a').length")
    assert links == browser.run("document.querySelectorAll('section').length")
    for i in range(links):
        x, y = browser.run(
            f"""(() => {{
                const link = document.querySelectorAll('nav a')[{i}];
                link.scrollIntoView({{block: 'center', behavior: 'instant'}});
                const r = link.getBoundingClientRect();
                return [r.left + r.width / 2, r.top + r.height / 2];
            }})()"""
        )
        browser.click(x, y)
        landed, top = browser.run(
            "(e => [e?.tagName, e?.getBoundingClientRect().top])(document.querySelector(':target'))"
        )
        assert landed == "SECTION"
        assert top < 900
    assert browser.complaints() == []


def test_the_keyboard_reaches_and_opens_everything(browser: Chromium, report: Callable[[str], Path]) -> None:
    """Tab through the page and open what is folded with Enter or the space bar; a ring shows where one is."""
    browser.open(report("everything"), 1280)
    browser.run(REACHABLE)
    reached = []
    opened = 0
    while True:
        browser.press("Tab")
        browser.run(REACHABLE)
        found = browser.run(FOCUSED)
        if found["tag"] == "BODY" or found["place"] in reached:
            break
        assert found["ring"], found
        assert found["inView"], found
        reached.append(found["place"])
        if len(reached) == 1:
            assert found["href"] == "#evidence"  # the way past the head comes first
        if found["tag"] == "SUMMARY" and not found["open"]:
            browser.press("Enter" if opened % 2 else " ")
            assert browser.run(FOCUSED)["open"], found
            opened += 1
    assert opened > 15
    assert sorted(reached) == sorted(browser.run(REACHABLE))
    assert browser.run("document.querySelectorAll('details:not([open])').length") == 0
    faultless(browser, 1280)


def test_the_first_link_skips_the_head(browser: Chromium, report: Callable[[str], Path]) -> None:
    browser.open(report("everything"), 1280)
    browser.press("Tab")
    browser.press("Enter")
    browser.press("Tab")
    assert browser.run("document.activeElement.closest('main')?.id") == "evidence"


def test_dark_and_light(browser: Chromium, report: Callable[[str], Path]) -> None:
    colours = []
    for dark in (False, True):
        browser.open(report("bare"), 800, dark=dark)
        colours.append(browser.run("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"))
    assert colours[0][0] != colours[1][0]
    assert colours[0][1] != colours[1][1]


def test_on_paper_the_tables_are_unfolded(browser: Chromium, report: Callable[[str], Path], tmp_path: Path) -> None:
    browser.open(report("everything"), 700, print_=True)  # A4 less its margins, in CSS pixels
    hidden = browser.run(
        """[...document.querySelectorAll('figure:not(.album) table, .judged table')]
           .filter(t => !t.closest('#training, #confusion, #changed') && !t.checkVisibility())
           .map(t => t.caption.textContent)"""
    )
    assert hidden == []
    assert browser.run("document.querySelector('nav').checkVisibility()") is False
    assert browser.run("document.documentElement.scrollWidth") <= 700
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    browser.pdf(tmp_path / "report.pdf")
    written = (tmp_path / "report.pdf").read_bytes()
    assert written.startswith(b"%PDF")
    assert 5 <= written.count(b"/Type /Page\n") + written.count(b"/Type /Page/") <= 30


@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        ("<script>throw new Error('planted')</script>", "planted"),
        ("<script>undefinedName.method()</script>", "undefinedName is not defined"),
        ("<script>Promise.reject(new Error('planted'))</script>", "planted"),
        ("<script>console.error('planted')</script>", "planted"),
    ],
)
@pytest.mark.parametrize("policy", [True, False])
def test_a_planted_script_is_caught(
    browser: Chromium, report: Callable[[str], Path], tmp_path: Path, planted: str, caught: str, policy: bool
) -> None:
    """The page's own policy runs no script and says so; without the policy the script's error is heard."""
    html = report("bare").read_text("utf-8")
    if not policy:
        html = html.replace('http-equiv="Content-Security-Policy"', "")
        assert "Content-Security-Policy" not in html
    page = tmp_path / "planted.html"
    page.write_text(html.replace("</body>", f"{planted}</body>"), "utf-8")
    browser.open(page, 800)
    heard = browser.complaints()
    assert any(("Content Security Policy" if policy else caught) in line for line in heard), heard


def test_the_probe_notices_faults(browser: Chromium, tmp_path: Path) -> None:
    """A page with everything wrong that the tests above look for."""
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    image = f"http://127.0.0.1:{server.server_port}/nowhere.png"
    page = tmp_path / "bad.html"
    page.write_text(
        f"""<!doctype html><meta name="viewport" content="width=device-width"><body style="margin:0">
        <div style="width:2000px">x</div><div style="overflow:auto"><div style="width:2000px">y</div></div>
        <h1 style="position:absolute; left:900px">off</h1>
        <svg class="ticks"><text y="20">aaaa</text><text y="20">bbbb</text></svg>
        <figure>bare</figure><table><tr><th>head</th></tr></table>
        <a href="#x" style="outline:none">no ring</a><img src="{image}" alt="gone"></body>""",
        "utf-8",
    )
    browser.open(page, 390)
    seen = browser.run(PROBE)
    server.shutdown()
    assert seen["scrollWidth"] >= 2000
    assert seen["outside"] == ["off"]
    assert seen["overlaps"] == ["bbbb | aaaa"]
    assert len(seen["unreachable"]) == 1
    assert len(seen["broken"]) == 1
    assert seen["withoutTable"] == ["figure bare"]
    assert len(seen["withoutCaption"]) == len(seen["withoutScope"]) == 1
    assert image in browser.requests()
    assert any("could not be loaded" in line for line in browser.complaints())
    browser.press("Tab")
    assert browser.run(FOCUSED)["ring"] is False
