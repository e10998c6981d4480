"""The report in a real browser: silent, alone, inside a phone's width, and reachable by keyboard."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from report_material import evaluation, material

from synthaug.documents import EvaluateDocument
from synthaug.evaluation.report import ReportMaterial, write_report

CHROMIUM = os.environ.get("CHROMIUM") or next(
    (found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))),
    None,
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium, or set CHROMIUM")

DIGITS = [str(i) for i in range(10)]
LONG = ["<b>bold</b>", "Donaudampfschifffahrtsgesellschaftskapitaensmuetze_ohne_Leerzeichen", "日本語", "c", "d e f"]
MANY = [f"class-{i:02d} {'scratched' if i % 3 else 'x'}" for i in range(24)]

# What a person would notice: the page scrolls sideways, labels lie over one another, something can't be reached.
PROBE = """
<script>
addEventListener("load", () => {
  const seen = e => e.getClientRects().length > 0;
  const root = document.documentElement;
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
  const outside = [...document.querySelectorAll("svg text, h1, h2, h3, h4, .value, .label, .badge")].filter(e => {
    if (!seen(e) || e.closest(".scroll, .data-box")) return false;
    const r = e.getBoundingClientRect();
    return r.width > 2 && (r.left < -1 || r.right > innerWidth + 1);
  }).map(e => e.textContent.trim());
  const pixelated = [...document.querySelectorAll(".tiles img, .pair img")];
  const result = {
    width: innerWidth,
    scrollWidth: root.scrollWidth,
    fetched: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
    wide: boxes.length,
    unreachable: boxes.filter(e => e.tabIndex !== 0).map(e => e.className),
    broken: [...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length,
    images: pixelated.length,
    rendering: [...new Set(pixelated.map(i => getComputedStyle(i).imageRendering))],
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    ground: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color,
    overlaps, outside,
  };
  parent.postMessage(JSON.stringify(result), "*");
});
</script>
"""

# Chromium's windows are at least 500 pixels wide, frames are not.
FRAME = """<!doctype html><body style="margin:0"><script>
addEventListener("message", event => {{
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = event.data;
  document.body.append(out);
}});
</script><iframe src="{page}" style="border:0; width:{width}px; height:900px"></iframe></body>"""


@dataclass
class Seen:
    probe: dict[str, Any]
    console: list[str]


def look(page: Path, profile: Path, width: int, *flags: str, probe: str = PROBE) -> Seen:
    """Open a copy of `page` that measures itself. The copy has no content policy, for the page allows no script."""
    source = page.read_text("utf-8")
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source, count=1)
    copy = page.with_name("probed.html")
    copy.write_text(bare.replace("</body>", probe + "</body>"), "utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.format(page=copy.name, width=width), "utf-8")
    done = chromium(frame, profile, max(width, 500), "--virtual-time-budget=4000", *flags)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    return Seen(json.loads(html.unescape(found[1])), console(done.stderr))


def console(log: str) -> list[str]:
    return [line for line in log.splitlines() if ":CONSOLE" in line]


def chromium(page: Path, profile: Path, width: int, *flags: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
        *("--enable-logging=stderr", "--dump-dom", f"--window-size={width},900", f"--user-data-dir={profile}"),
        *flags,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def case(name: str) -> tuple[EvaluateDocument, ReportMaterial]:
    if name == "digits":
        return evaluation(DIGITS, ["3", "8"]), material(DIGITS, ["3", "8"])
    if name == "long names":
        return evaluation(LONG, LONG[:3], verdict="hurts", effect=-0.1), material(LONG, LONG[:3], size=32, channels=3)
    if name == "24 classes":
        return evaluation(MANY, MANY[:10]), material(MANY, MANY[:10], size=32, channels=3)
    document = evaluation(["ok", "bad"], ["bad"], seeds=1, verdict="no measurable effect", ungated=False, per_class=20)
    document.quality.per_class = {}
    return document, ReportMaterial()


@pytest.mark.parametrize(
    ("name", "width"),
    [("digits", 390), ("digits", 1280), ("long names", 390), ("24 classes", 390), ("24 classes", 800), ("bare", 390)],
)
def test_the_page_fits_and_is_quiet(tmp_path: Path, name: str, width: int) -> None:
    page = write_report(*case(name), tmp_path / "report")
    seen = look(page, tmp_path / "profile", width)
    assert seen.probe["width"] == width
    assert seen.probe["scrollWidth"] <= width
    assert seen.probe["outside"] == []
    assert seen.probe["overlaps"] == []
    assert seen.probe["fetched"] == []
    assert seen.probe["unreachable"] == []
    assert seen.probe["broken"] == 0
    assert seen.console == []
    if name != "bare":
        assert seen.probe["images"] > 20
        assert seen.probe["rendering"] == ["pixelated"]
    if width == 390:
        assert seen.probe["wide"] > 0  # wide tables are there, and scroll inside their own box


def test_the_page_as_written_says_nothing_on_the_console(tmp_path: Path) -> None:
    """With its content policy in place: nothing in the page is against it."""
    page = write_report(*case("long names"), tmp_path / "report")
    done = chromium(page, tmp_path / "profile", 1280)
    assert "What was compared" in done.stdout
    assert console(done.stderr) == []


def test_open_details_fit_too(tmp_path: Path) -> None:
    page = write_report(*case("long names"), tmp_path / "report")
    opened = "<script>document.querySelectorAll('details').forEach(d => d.open = true)</script>" + PROBE
    seen = look(page, tmp_path / "profile", 390, probe=opened)
    assert seen.probe["scrollWidth"] <= 390
    assert seen.probe["outside"] == []
    assert seen.probe["unreachable"] == []


def test_dark_and_light(tmp_path: Path) -> None:
    page = write_report(*case("bare"), tmp_path / "report")
    light = look(page, tmp_path / "light", 800).probe
    dark = look(page, tmp_path / "dark", 800, "--blink-settings=preferredColorScheme=0").probe
    assert (light["dark"], dark["dark"]) == (False, True)
    assert light["ground"] != dark["ground"]
    assert light["ink"] != dark["ink"]


def test_the_probe_notices_faults(tmp_path: Path) -> None:
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
        <img src="{image}"><script>console.error("fault")</script></body>""",
        "utf-8",
    )
    seen = look(page, tmp_path / "profile", 390)
    server.shutdown()
    assert seen.probe["scrollWidth"] >= 2000
    assert seen.probe["outside"] == ["off"]
    assert seen.probe["overlaps"] == ["bbbb | aaaa"]
    assert seen.probe["fetched"] == [image]
    assert len(seen.probe["unreachable"]) == 1
    assert seen.probe["broken"] == 1
    assert any("fault" in line for line in seen.console)
