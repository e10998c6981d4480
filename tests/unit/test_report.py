"""The report: its numbers agree with independent ones, and its page holds for anything that an evaluation can be."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report_material import combinations, curve, evaluation, material, with_everything
from scipy import stats

from synthaug.data.cache import LabelledImages
from synthaug.documents import (
    CheckDocument,
    ClassQuality,
    Contrast,
    EvaluateDocument,
    EvaluatedSize,
    LearningCurve,
    Range,
    Score,
)
from synthaug.evaluation.before_after import before_and_after
from synthaug.evaluation.report import pictures, protocol, scores
from synthaug.evaluation.report.bias import SHOWN as BIASES
from synthaug.evaluation.report.bias import bias_chart, biases
from synthaug.evaluation.report.confusion import OTHERS, SHOWN, compare
from synthaug.evaluation.report.contrasts import TOGETHER, contrast_chart, questions
from synthaug.evaluation.report.curves import chosen_kimg, training_plots
from synthaug.evaluation.report.headline import glances, headline, sharpness_sentence
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.evaluation.report.quality import POOLED, quality_blocks, quality_charts
from synthaug.evaluation.report.scores import class_estimates, over_seeds, wilson
from synthaug.evaluation.report.svg import number, scale, signed, tag
from synthaug.evaluation.report.terms import TERMS
from synthaug.evaluation.report.worth import worth_plots
from synthaug.evaluation.report.write import write_report
from synthaug.metrics import METRICS

DIGITS = [str(i) for i in range(10)]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, and whether every tag was closed in turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def written(document: EvaluateDocument, given: ReportMaterial, out: Path) -> tuple[Page, str]:
    html = write_report(document, given, out).read_text("utf-8")
    return Page(html), html


@pytest.mark.parametrize("verdict", ["helps", "no measurable effect", "hurts"])
def test_the_verdict_comes_first_in_words_and_with_its_own_icon(tmp_path: Path, verdict: str) -> None:
    document = evaluation(DIGITS, ["3", "8"], verdict=verdict)
    page, html = written(document, material(DIGITS, ["3", "8"]), tmp_path)
    body = html[html.index('<div class="page">') :]
    first_heading = re.search(r"<h1>(.*?)</h1>", body)
    assert first_heading is not None
    assert first_heading[1] == headline(document)
    assert document.verdict.sentence in body[: body.index("<h2")]
    icon = {"helps": "up", "no measurable effect": "level", "hurts": "down"}[verdict]
    assert body.index(f"#icon-{icon}") < body.index("<h1>") < body.index("<h2")
    for caveat in [*document.verdict.caveats, *document.warnings]:
        assert caveat in page.words


def test_json_is_the_document(tmp_path: Path) -> None:
    document = evaluation(DIGITS, ["3"])
    html = write_report(document, ReportMaterial(), tmp_path)
    again = EvaluateDocument.model_validate_json((tmp_path / "report.json").read_text("utf-8"))
    assert again == document.model_copy(update={"report": str(html)})


def test_json_holds_null_for_what_is_not_a_number(tmp_path: Path) -> None:
    document = evaluation(DIGITS, ["3"])
    document.arms["real"].per_class["3"].f1 = math.nan
    document.verdict.smallest_detectable = math.inf
    page, _ = written(document, ReportMaterial(), tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    read = json.loads((tmp_path / "report.json").read_text("utf-8"), parse_constant=refuse)
    assert read["arms"]["real"]["per_class"]["3"]["f1"] is None
    assert read["verdict"]["smallest_detectable"] is None
    assert "nan" not in page.words.lower().split()
    assert "inf" not in page.words.lower().split()


def test_the_page_needs_no_network_and_runs_nothing(tmp_path: Path) -> None:
    page, html = written(evaluation(DIGITS, ["3", "8"]), material(DIGITS, ["3", "8"]), tmp_path)
    for name, attributes in page.elements:
        assert name not in {"script", "link", "iframe", "object", "embed", "form", "base"}
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key in {"href", "src", "srcset", "xlink:href", "action", "poster"}:
                assert value.startswith(("#", "data:image/")), value[:80]
    assert "@import" not in html
    assert "url(" not in html
    assert "://" not in re.sub(r'src="data:[^"]*"', "", html)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_what_sharpness_tells_stands_before_everything_else_and_the_size_is_said(tmp_path: Path) -> None:
    document = evaluation(DIGITS, ["3", "8"])
    page, html = written(document, material(DIGITS, ["3", "8"]), tmp_path)
    said = sharpness_sentence(document)
    assert said is not None
    assert "“3” (the real one is sharper in 97% of pairs; between two real images, in 52%)" in said
    assert "The arms down-up show what this blur does without a generator." in said
    assert page.words.index(headline(document)) < page.words.index(said) < page.words.index(document.verdict.sentence)
    assert html.count("Sharpness alone") == 1
    assert "64 px: real images of about 243 px, and synthetic ones of 32 px that were enlarged 7.6 times" in page.words


def test_sharpness_is_said_of_the_classes_where_it_matters() -> None:
    document = evaluation([*DIGITS], DIGITS[:6])
    document.size = EvaluatedSize(asked="model", pixels=32, generator=32, real=32, enlarged=1.0)
    for name, told in zip(DIGITS[:6], (False, True, False, True, True, True), strict=True):
        document.sharpness[name].told_apart = told
    document.sharpness[DIGITS[1]].auc = Range(mean=0.02, low=0.0, high=0.04)
    said = sharpness_sentence(document)
    assert said is not None
    assert f"“{DIGITS[1]}” (the synthetic one is sharper in 98% of pairs; between two real images, in 48%)" in said
    assert f"“{DIGITS[0]}”" not in said
    assert "and of 1 more target class." in said
    assert "down-up" not in said
    for found in document.sharpness.values():
        found.told_apart = False
    assert sharpness_sentence(document) is None


HOSTILE = ["<script>alert(1)</script>", '" onload="x', "a & b", "日本語", "{{ 7 * 7 }}", "\udcff.png", "x" * 200, "‮rtl"]


def test_class_names_are_text_and_never_markup(tmp_path: Path) -> None:
    document = evaluation(HOSTILE, HOSTILE[:3])
    document.verdict.sentence = f"Helps {HOSTILE[0]}"
    document.warnings.append(HOSTILE[1])
    given = material(HOSTILE, HOSTILE[:3])
    given.settings = {"<b>key</b>": HOSTILE[0]}
    page, html = written(document, given, tmp_path)
    assert page.all("script") == []
    assert not any("onload" in attributes for _, attributes in page.elements)
    assert "<script" not in html
    assert "{{ 7 * 7 }}" in page.words
    assert "49" not in [t.strip() for t in page.text]
    read = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert read["classes"][0] == HOSTILE[0]
    assert read["classes"][5] == "\\udcff.png"


def test_links_lead_somewhere_and_everything_has_a_name(tmp_path: Path) -> None:
    page, _ = written(evaluation(DIGITS, ["3", "8"]), material(DIGITS, ["3", "8"]), tmp_path)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all("a") + page.all("use"):
        assert attributes["href"].removeprefix("#") in ids
    for attributes in page.all("section"):
        assert attributes["aria-labelledby"] in ids
    assert all("alt" in attributes for attributes in page.all("img"))
    for attributes in page.all("svg"):
        assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
    for _, attributes in page.elements:
        if attributes.get("class") in {"scroll", "data-box"}:
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]
    plots = [a for a in page.all("svg") if a.get("class") == "plot"]
    assert len(plots) == 6
    assert "8 (against training images) from" in plots[2]["aria-label"]
    assert all("chosen checkpoint is at 144 kimg" in a["aria-label"] for a in plots)


def test_every_part_may_be_missing(tmp_path: Path) -> None:
    document = evaluation(DIGITS, [], seeds=1, ungated=False)
    document.verdict.contrasts = {}
    document.verdict.details = {}
    document.verdict.caveats = []
    document.verdict.sentence = ""
    document.warnings = []
    document.run = None
    document.split = {}
    document.quality.per_class = {}
    document.arms = {"real": document.arms["real"]}
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert "Helps" in page.words
    sections = {a.get("id") for a in page.all("section")}
    assert sections == {"changed", "compared", "scores", "settings", "terms"}
    assert {a["href"] for a in page.all("a")} == {f"#{name}" for name in {*sections, "evidence"}}


@pytest.mark.parametrize("missing", ["arms", "confusion", "f1_per_seed", "per_class"])
def test_a_thin_document_still_gives_a_page(tmp_path: Path, missing: str) -> None:
    document = evaluation(DIGITS, ["3"])
    if missing == "arms":
        document.arms = {}
    for arm in document.arms.values():
        setattr(arm, missing, [] if missing == "confusion" else {})
    page, _ = written(document, material(DIGITS, ["3"]), tmp_path)
    assert document.verdict.sentence in page.words


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    document = evaluation(DIGITS, ["3"], ungated=False)
    nothing = ClassQuality(n_real=3, n_synthetic=0, reasons=["3 real images are too few"])
    document.quality = CheckDocument(per_class={"3": nothing}, features="own@0", reference="train", gated=False)
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert "3 real images are too few" in page.words
    assert page.words.count("insufficient data") == 2  # at a glance, and under quality
    assert page.words.count("insufficient held-out data") == 2
    assert "overrates the generator" in page.words
    assert "Measurements of 3" not in {a.get("aria-label") for a in page.all("div")}
    assert not any(a.get("aria-label", "").startswith("KID") for a in page.all("figure"))


def test_a_page_of_large_noise_stays_small(tmp_path: Path) -> None:
    classes = [f"class {i}" for i in range(10)]
    noise = np.random.default_rng(0).integers(0, 256, (300, 3, 128, 128), dtype=np.uint8)
    images = LabelledImages(noise, np.arange(300) % 10, classes, [""] * 300)
    pairs = [(noise[i], noise[i + 1], "class 0", 0.1) for i in range(40)]
    given = ReportMaterial(real=images, synthetic=images, generator=images, pairs=pairs)
    path = write_report(evaluation(classes, classes[:9]), given, tmp_path)
    assert path.stat().st_size < 3_000_000
    page = Page(path.read_text("utf-8"))
    assert len(page.all("img")) > 8 * 3
    assert "Not shown, to keep this page small: class 8." in page.words


def test_small_pictures_are_exact() -> None:
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        pixels = rng.integers(0, 256, (5, channels, 8, 8), dtype=np.uint8)
        images = LabelledImages(pixels, np.zeros(5, np.int64), ["a"], [""] * 5)
        (album,) = pictures.albums([("Real", "", images), ("None", "", None)], ["a"], pictures.BUDGET)
        (panel,) = album.panels
        assert panel.total == 5
        for source, want in zip(panel.tiles, pixels, strict=True):
            kind, data = source.split(",")
            assert kind == "data:image/png;base64"
            got = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
            assert np.array_equal(got if channels == 1 else got.transpose(2, 0, 1), want if channels > 1 else want[0])


def test_thumbnails_are_small_and_of_the_files_asked_for() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 100, 100), dtype=np.uint8)
    images = LabelledImages(pixels, np.zeros(3, np.int64), ["a"], ["x.png", "y.png", "z.png"])
    found = pictures.thumbnails(pictures.by_file(images), ["z.png", "gone.png", "x.png", "z.png"], 100_000)
    assert list(found) == ["z.png", "x.png"]
    got = Image.open(io.BytesIO(base64.b64decode(found["z.png"].partition(",")[2])))
    assert got.size == (64, 64)
    assert list(pictures.thumbnails(pictures.by_file(images), ["z.png", "x.png"], 15_000)) == ["z.png"]
    assert pictures.thumbnails(pictures.by_file(None), ["z.png"], 15_000) == {}


def test_a_copy_is_called_the_same_pixels(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    far = (image, 255 - image, "b", 3.0)
    found = pictures.pairs([far, (image, image.copy(), "a", 0.0)], 100_000)
    assert [(p.label, p.same) for p in found] == [("a", True), ("b", False)]


def test_intervals_agree_with_scipy() -> None:
    values = [0.41, 0.52, 0.47, 0.55, 0.5]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    got = over_seeds(values)
    assert (got.mean, got.low, got.high) == pytest.approx((np.mean(values), low, high))
    assert over_seeds([0.4]).low is None
    for k, n in ((0, 7), (3, 7), (7, 7), (55, 60)):
        want = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        got = wilson(k / n, n)
        assert (got.low, got.high) == pytest.approx((want.low, want.high), abs=1e-6)


def test_test_images_count_once_whatever_the_seeds() -> None:
    document = evaluation(DIGITS, ["3"], seeds=5, per_class=60)
    recall = class_estimates(document, "synthetic", "3")[2]
    want = stats.binomtest(round(60 * recall.mean), 60).proportion_ci(0.95, method="wilson")
    assert recall.low == pytest.approx(want.low, abs=0.02)
    assert recall.high == pytest.approx(want.high, abs=0.02)


def test_before_is_the_best_control_and_after_an_arm_that_the_verdict_rests_on() -> None:
    document = evaluation(DIGITS, ["3", "8"])
    assert before_and_after(document) == ("classical", "synthetic")  # the contrast that is above zero
    document.verdict.contrasts["synthetic-oversample"].low = -0.1
    assert before_and_after(document) == ("classical", "synthetic+classical")  # fixed, not the one that test likes best
    document.verdict.details["8"].helping = "synthetic-oversample"
    assert before_and_after(document) == ("classical", "synthetic")  # what helps a class
    document.verdict.best_control = "oversample"
    assert before_and_after(document)[0] == "oversample"
    document.verdict.best_control = "unknown"
    assert before_and_after(document)[0] == "classical"  # the best on the target classes
    document.arms = {}
    assert before_and_after(document) == (None, None)


def test_confusion_shares_and_their_change() -> None:
    document = evaluation(["a", "b"], ["b"], seeds=2)
    document.arms["oversample"].confusion = [[18, 2], [10, 10]]
    document.arms["synthetic"].confusion = [[16, 4], [4, 16]]
    found = compare(document, "oversample", "synthetic")
    assert found is not None
    before, after, change = ([[cell.text for cell in row] for row in m.rows] for m in found.matrices)
    assert before == [["90", "10"], ["50", "50"]]
    assert after == [["80", "20"], ["20", "80"]]
    assert change == [["−10", "+10"], ["−30", "+30"]]
    assert [cell.tone for row in found.matrices[2].rows for cell in row] == ["loss", "loss", "gain", "gain"]
    assert found.matrices[0].rows[1][0].words == "b taken for a: 50.0% (5.0 images per seed)"
    assert [(c.true, c.predicted) for c in found.changes] == [("b", "b"), ("b", "a"), ("a", "b")]


def test_many_classes_keep_the_targets_and_lose_no_image() -> None:
    classes = [f"c{i:02d}" for i in range(60)]
    document = evaluation(classes, ["c07", "c50"], per_class=20)
    found = compare(document, "oversample", "synthetic")
    assert found is not None
    labels = found.matrices[0].labels
    assert len(labels) == SHOWN
    assert {"c07", "c08", "c50", "c51", OTHERS} <= set(labels)
    row = found.matrices[0].rows[labels.index("c07")]
    shown = sum(float(cell.words.split(": ")[1].split("%")[0]) for cell in row)
    assert shown == pytest.approx(100, abs=0.1 * SHOWN)


def test_training_rows_out_of_order_repeated_or_broken() -> None:
    rows = [
        {"kind": "step", "kimg": 2.0, "loss_d": 1.0, "loss_g": float("nan")},
        {"kind": "step", "kimg": 1.0, "loss_d": 2.0, "loss_g": 0.5},
        {"kind": "step", "kimg": 2.0, "loss_d": 3.0, "loss_g": 0.7},
        {"kind": "step", "kimg": None, "loss_d": 9.0},
        {"kind": "step"},
        {"kind": "other", "kimg": 5.0},
        {"kind": "monitor", "kimg": 1.0, "per_class": None, "pooled": {"kid": None}, "best": True},
        {"kind": "monitor", "kimg": 2.0, "per_class": {"a": {"kid": 0.1}}, "pooled": {"kid": 0.2}, "best": True},
        {"kind": "monitor", "kimg": 3.0, "pooled": {"kid": 0.3}, "best": False},
    ]
    plots = training_plots(rows, ["a"])
    assert [p.heading.split(" ")[0] for p in plots] == ["Losses", "KID"]
    assert plots[0].table.body == [["1", "2.0000", "0.5000"], ["2", "3.0000", "0.7000"]]
    assert chosen_kimg(rows) == 2.0
    assert training_plots([], ["a"]) == []
    assert chosen_kimg([]) is None


def test_long_trainings_are_averaged_not_thinned() -> None:
    rows = [{"kind": "step", "kimg": i / 10, "loss_d": float(i % 2), "loss_g": 1.0} for i in range(1, 10_001)]
    (plot,) = training_plots(rows, [])
    assert len(plot.table.body) <= 120
    assert all(0.4 < float(d) < 0.6 for _, d, _ in plot.table.body)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.booleans())
def test_axes_hold_their_values_with_few_ticks(values: list[float], differences: bool) -> None:
    axis = scale([v if abs(v) > 1e-6 else 0.0 for v in values], differences=differences)
    assert 2 <= len(axis.ticks) <= 10
    slack = 1e-9 * (axis.high - axis.low)
    assert all(axis.low - slack <= v <= axis.high + slack for v in [*values, 0.0] if abs(v) > 1e-6)
    assert 0.0 in axis.ticks
    labels = [axis.label(t) for t in axis.ticks]
    assert len(set(labels)) == len(labels)


def test_numbers_as_people_print_them() -> None:
    assert [number(v, 2) for v in (0.126, -0.5, -0.001, None, math.nan)] == ["0.13", "−0.50", "0.00", "–", "–"]
    assert [signed(v, 2) for v in (0.126, -0.5, 0.001, None)] == ["+0.13", "−0.50", "0.00", "–"]
    assert tag("text", "<", title='"') == '<text title="&#34;">&lt;</text>'


def test_writing_again_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    for _ in range(2):
        write_report(evaluation(DIGITS, ["3"]), ReportMaterial(), out)
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "report.json", "report.md"]


def test_the_headline_says_what_the_verdict_says() -> None:
    document = evaluation(DIGITS, ["3", "8"])
    assert headline(document) == "Yes: with synthetic images the classifier recognises “3” and “8” better."
    document.verdict.per_target["8"] = "no measurable effect"
    assert headline(document) == "Yes: with synthetic images the classifier recognises “3” better."
    document.verdict.overall = "no measurable effect"
    assert headline(document).startswith("Not shown: ")
    document.verdict.missing_controls = ["classical", "class-weights"]
    assert headline(document).startswith("Cannot say: without “classical” and “class-weights” as a control")
    document.verdict.per_target["8"] = "hurts"
    assert headline(document) == "Mixed: synthetic images help with “3” and hurt with “8”."
    document.verdict.overall = "hurts"
    assert headline(document) == "No: with synthetic images the classifier recognises “8” worse."
    many = evaluation(DIGITS, DIGITS[:5])
    assert "recognises all 5 target classes better" in headline(many)
    many.verdict.per_target["0"] = "no measurable effect"
    assert "recognises 4 of 5 target classes better" in headline(many)


def test_the_arm_shown_is_one_that_the_verdict_rests_on() -> None:
    """The contrast above zero is that of synthetic; the arm with the better F1 is the other one."""
    document = evaluation(DIGITS, ["3"])
    (card,) = glances(document)
    assert [step.arm for step in card.steps] == ["real", "classical", "synthetic"]
    assert [step.words for step in card.steps] == ["nothing done", "before", "after"]
    ((arm, control, difference),) = card.differences
    assert (arm, control, difference.mean) == ("synthetic", "oversample", pytest.approx(0.09))
    assert card.steps[-1].recall == document.arms["synthetic"].per_class["3"].recall
    for contrast in document.verdict.contrasts.values():
        contrast.low = -0.01
    document.arms["synthetic-targets+classical"] = document.arms["synthetic"]  # shows something, but decides nothing
    (card,) = glances(document)
    assert card.steps[-1].arm == "synthetic+classical"  # fixed, not the one that test likes best
    assert [control for _, control, _ in card.differences] == ["classical"]


def test_the_best_control_is_compared_where_it_is_another() -> None:
    document = with_everything(evaluation(DIGITS, ["3"]))
    (card,) = glances(document)
    details = document.verdict.details["3"]
    assert card.best_control == "classical"
    assert card.differences == [
        ("synthetic", "classical", details.against_best["synthetic"]),
        ("synthetic", "oversample", details.contrasts["synthetic-oversample"]),
    ]
    asked = questions(document)
    names = list(asked[0].contrasts)
    assert names == [
        "synthetic − oversample",
        "synthetic + classical − classical",
        "synthetic − classical, the best control",  # the other arm's difference to it is a contrast already
    ]
    assert [q.title for q in asked] == ["3", "macro-F1"]
    assert [q.title for q in questions(evaluation(DIGITS, ["3", "8"]))] == [TOGETHER, "3", "8", "macro-F1"]


def test_how_the_best_control_was_chosen_is_told(tmp_path: Path) -> None:
    document = evaluation(DIGITS, ["3"])
    document.verdict.best_control = "real"
    assert (
        protocol.best_control(document) == "real, the best on the test images; to help, an arm must beat every control"
    )
    document.verdict.best_control_chosen_on = "val"
    said = "real, chosen on the validation images; to help, an arm must beat real and oversample and classical"
    assert protocol.best_control(document) == said
    _, text = written(document, material(DIGITS, ["3"]), tmp_path)
    assert text.count(said) == 2
    assert f"Best control: {said}." in (tmp_path / "report.md").read_text()


def test_changed_test_images_are_shown_with_what_they_are_and_were_taken_for(tmp_path: Path) -> None:
    document = evaluation(DIGITS, ["3", "8"])
    page, _ = written(document, material(DIGITS, ["3", "8"]), tmp_path)
    assert "10 test images newly right · 8 of them" in page.words
    assert "3 test images newly wrong" in page.words
    assert page.words.count("4 → 3 0/5 → 5/5") == 8
    assert sum(a.get("alt") == "test image of 8" for a in page.all("img")) == 3
    document.changed = None
    page, _ = written(document, material(DIGITS, ["3", "8"]), tmp_path)
    assert "newly right" not in page.words


def test_parts_of_the_test_images_are_a_table_the_worst_first(tmp_path: Path) -> None:
    document = evaluation(DIGITS, ["3", "8"])
    assert "Parts of the test images" not in written(document, material(DIGITS, ["3", "8"]), tmp_path)[0].words
    document.combinations = combinations(["3"])
    page, _ = written(document, material(DIGITS, ["3", "8"]), tmp_path)
    assert "camera <b>south</b> 7 0.410 0.550 +0.140 (-0.030 to +0.310)" in page.words.replace("\u2212", "-")
    assert "camera (none) 7 0.900 0.900 –" in page.words


PLAIN = {  # heads of tables that need no explanation
    *(
        "arm",
        "class",
        "name",
        "value",
        "what",
        "why",
        "place",
        "metric",
        "test",
        "train",
        "val",
        "real",
        "synthetic",
        "export",
    ),
    *(
        "before",
        "after",
        "right before",
        "right after",
        "finds",
        "is right",
        "scored",
        "difference",
        "difference of",
        "curve",
    ),
    *(
        "mean",
        "low",
        "high",
        "p",
        "found in 80%",
        "distance",
        "test image",
        "training image",
        "real images",
        "generated images",
    ),
    *("beyond chance", "of other real images", "export, gated", "generator, ungated", "synthetic share"),
    *("all classes pooled", "score of the checkpoint", "8 (against training images)"),
}


def test_every_term_in_the_head_of_a_table_has_a_sentence(tmp_path: Path) -> None:
    document = with_everything(evaluation(DIGITS, ["3", "8"]))
    _, html = written(document, material(DIGITS, ["3", "8"]), tmp_path)
    heads = {
        re.sub("<[^>]+>", "", head).strip().lower() for head in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', html)
    }
    own = {*DIGITS, *(scores.arm_name(arm) for arm in document.arms), *(f"seed {i + 1}" for i in range(document.seeds))}
    assert heads - PLAIN - own <= {term.lower() for term in TERMS}
    assert all(f"<dt>{term}</dt>" in html for term in TERMS)


def test_the_longer_training_is_told_apart() -> None:
    document = evaluation(DIGITS, ["3"])
    assert dict(protocol.compared(document))["Classifier"].endswith("; 600 optimiser steps each")
    document.arms["longer"] = document.arms["classical"].model_copy(update={"steps": 1200})
    assert dict(protocol.compared(document))["Classifier"].endswith(
        "; 600 optimiser steps each, except longer with 1,200"
    )
    assert scores.kind("longer") == "control"
    assert before_and_after(document)[0] == "classical"


def test_zero_stands_in_the_middle_and_the_band_is_what_cannot_be_seen() -> None:
    document = evaluation(DIGITS, ["3"])
    document.verdict.details = {"3": document.verdict.details["3"]}
    document.verdict.details["3"].contrasts = {"synthetic-oversample": Contrast(mean=0.1, low=0.05, high=0.2)}
    document.verdict.details["3"].smallest_detectable = 0.1
    chart = contrast_chart(questions(document))
    assert chart is not None
    (row,) = chart.rows
    zero = re.search(r'class="zero" x1="([\d.]+)%"', row.drawing)
    edges = [float(x) for x in re.findall(r'class="edge" x1="([\d.]+)%"', row.drawing)]
    mark = re.search(r'class="mark better" cx="([\d.]+)%"', row.drawing)
    assert zero is not None
    assert mark is not None
    assert (float(zero[1]), edges, float(mark[1])) == (50.0, [25.0, 75.0], 75.0)
    assert chart.table.body == [["3", "synthetic − oversample", "+0.100", "+0.050", "+0.200", "–", "0.100"]]


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_has_its_row(name: str) -> None:
    score = Score(value=0.7, interval=Range(mean=0.7, low=0.6, high=0.8), floor=Range(mean=0.5, low=0.45, high=0.55))
    document = evaluation(DIGITS, ["3"])
    check = CheckDocument(
        per_class={"3": ClassQuality(n_real=1, n_synthetic=1, scores={name: score})},
        features="own@0",
        reference="test",
        gated=True,
    )
    document.quality, document.generator_quality = check, None
    (block,) = quality_blocks(document)
    (row,) = block.rows
    metric = METRICS.get(name)
    decimals = metric.decimals
    assert (row.head, row.explanation) == (metric.heading, metric.explanation)
    assert row.cells == [[number(0.7, decimals), f"{number(0.6, decimals)} – {number(0.8, decimals)}"]]
    assert row.floor == [number(0.5, decimals), f"{number(0.45, decimals)} – {number(0.55, decimals)}"]
    assert [c.heading for c in quality_charts(document)] == ([metric.chart] if metric.chart else [])


def test_pooled_scores_stand_beside_the_classes(tmp_path: Path) -> None:
    document = with_everything(evaluation(DIGITS, ["3", "8"]))
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert POOLED in page.words
    document.quality.pooled = None
    document.generator_quality = None
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert POOLED not in page.words


def test_biases_are_marked_where_they_are_beyond_chance(tmp_path: Path) -> None:
    assert biases(evaluation(DIGITS, ["3"])) == {}
    document = with_everything(evaluation(DIGITS, ["3"]))
    rows = biases(document)["3"]
    chart = bias_chart("3", rows, {"3/120.png": "data:x"})
    assert [row.picture for row in chart.rows] == ["", "data:x"] + [""] * (BIASES - 2)
    assert len(chart.rows) == BIASES < len(rows) == len(chart.table.body)
    assert [bool(row.flag) for row in chart.rows] == [row.beyond for row in rows[:BIASES]]
    assert ['class="mark worse"' in row.drawing for row in chart.rows] == [row.beyond for row in rows[:BIASES]]
    assert "3 of 13 differences are larger than chance" in chart.notes
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert "sharpness differs; 3 of 13 other differences are larger than chance" in page.words
    document.quality.per_class["3"].bias = []  # then the generator's
    assert len(biases(document)["3"]) == len(rows)
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert "What the synthetic images change" in page.words


def test_the_learning_curve_is_drawn_and_told(tmp_path: Path) -> None:
    document = evaluation(DIGITS, ["3"])
    assert worth_plots(document) == []
    document.learning_curve = LearningCurve(
        contrast="synthetic+classical-classical", arm="synthetic+classical", control="classical",
        per_target={"3": curve(0.04)},
    )  # fmt: skip
    (plot,) = worth_plots(document)
    assert [row[0] for row in plot.table.body] == ["4", "7", "10", "14", "14 and synthetic"]
    reached = document.learning_curve.per_target["3"].points[-1].mean + 0.04
    assert plot.table.body[-1][1] == f"{reached:.3f} (+0.040)"
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert "about 5 more real images (1 to 11)" in page.words


def test_what_to_export_is_said(tmp_path: Path) -> None:
    document = with_everything(evaluation(DIGITS, ["3", "8"]))
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert "5 synthetic images beside 14 real ones" in page.words
    assert "synthaug export --recommended" in page.words
    document.recommended = {}
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert "synthaug export --recommended" not in page.words


def test_folds_are_told(tmp_path: Path) -> None:
    document = evaluation(DIGITS, ["3"])
    document.folds, document.fold_runs = 5, [f"folds/{i}" for i in range(5)]
    document.arms["synthetic"].shares = [0.1, 0.5, 0.25, 0.25, 0.25]
    page, _ = written(document, ReportMaterial(), tmp_path)
    assert "600 real images in 5 folds" in page.words
    assert "10% and 25% and 50%" in page.words
    assert "folds/4" in page.words


@pytest.mark.parametrize("targets", [10, 100])
def test_a_hundred_classes_are_still_a_page(tmp_path: Path, targets: int) -> None:
    classes = [f"class {i:03d}" for i in range(100)]
    document = with_everything(evaluation(classes, classes[:targets], per_class=20))
    page, html = written(document, material(classes, classes[:targets], size=32), tmp_path)
    assert len(html) < 3_000_000
    figures = [a.get("aria-label", "") for a in page.all("figure")]
    assert sum(name.startswith("F1 of class") and name.endswith("in every arm") for name in figures) == min(12, targets)
    assert len(page.all("article")) == min(12, targets)  # at a glance; the others stand in tables
    assert f"{min(12, targets) - 3} more target classes" in page.words
    assert ("88 more are in the tables below" in page.words) == (targets == 100)
    for label in classes:
        assert label in page.words


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_contrast(scheme: int) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    style = (Path(pictures.__file__).parent / "style.css").read_text("utf-8")
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block))
    pairs = [(text, back) for text in ("ink", "muted", "synthetic") for back in ("page", "surface", "sunken")]
    pairs += [(tone, back) for tone in ("good", "bad", "warn", "neutral") for back in ("surface", f"{tone}-soft")]
    pairs += [("muted", f"{tone}-soft") for tone in ("good", "bad", "neutral")]
    for text, back in pairs:
        bright, dark = sorted((luminance(colour[text]), luminance(colour[back])), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, (text, back)
