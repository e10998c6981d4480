"""report.md: read back by a Markdown parser, it says what the document says, whatever the classes are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from report_material import combinations, evaluation, with_everything

from synthaug.documents import EvaluateDocument
from synthaug.evaluation.report.headline import headline
from synthaug.evaluation.report.markdown import SHOWN, code, markdown, text
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.evaluation.report.write import write_report

DIGITS = [str(i) for i in range(10)]
PARSER = MarkdownIt("commonmark").enable("table")
HOSTILE = [
    *("<script>alert(1)</script>", "a|b", "a\\|b", "`tick`", "``", " padded ", "*bold*", "[link](http://x.example)"),
    *("@octocat", "#1", "![img](x)", "# head", "&amp;", "$x^2$", "~~gone~~", ":smile:", "日本語", "a\\"),
]
ODD = ["line\nbreak", "\u202ertl", "\udcff.png", "tab\tbed"]


def parsed(document: EvaluateDocument) -> list[Token]:
    return PARSER.parse(markdown(document))


def inline(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or []


def tables(tokens: list[Token]) -> list[list[list[str]]]:
    """Each table as rows of cells, in plain words."""
    found: list[list[list[str]]] = []
    for i, token in enumerate(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("td_open", "th_open"):
            found[-1][-1].append("".join(c.content for c in tokens[i + 1].children or []))
    return found


def headings(tokens: list[Token]) -> list[str]:
    return [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]


def test_parts_of_the_test_images() -> None:
    document = evaluation(DIGITS, ["3", "8"])
    assert "Parts of the test images" not in markdown(document)
    document.combinations = combinations(["3"])
    section = markdown(document).split("### Parts of the test images")[1].split("###")[0]
    assert "| `camera <b>south</b>` | 7 | 0.410 | 0.550 |" in section
    assert section.rstrip().endswith("| 0.900 | 0.900 | – |")


def test_it_says_what_the_document_says() -> None:
    document = with_everything(evaluation(DIGITS, ["3", "8"]))
    tokens = parsed(document)
    first, *sections = headings(tokens)
    assert first == f"✅ {headline(document, code)}"
    assert sections == [
        "Before and after",
        "Arms",
        "Differences in F1",
        "Images",
        "Recommended export",
        "Warnings",
        "What this cannot show",
    ]
    before_after, arms, differences, images, export = tables(tokens)
    assert before_after[0] == ["class", "verdict", "F1 before: classical", "F1 after: synthetic"]
    f1 = [f"{np.mean(document.arms[arm].f1_per_seed['8']):.3f}" for arm in ("classical", "synthetic")]
    assert before_after[2] == ["8", "helps", *f1]
    assert "10 test images newly right, 3 newly wrong." in markdown(document)
    assert [row[0] for row in arms[1:]] == list(document.arms)
    best = document.arms["synthetic+classical"].macro_f1
    assert arms[-1][4] == f"{best.mean:.3f} [{best.low:.3f}, {best.high:.3f}]"
    contrast = document.verdict.details["8"].contrasts["synthetic-oversample"]
    row = next(r for r in differences if r[:2] == ["8", "synthetic − oversample"])
    assert row[2] == f"+{contrast.mean:.3f} [+{contrast.low:.3f}, +{contrast.high:.3f}]"
    assert images[2][:3] == ["8", "thinning", "insufficient held-out data"]
    assert images[0][5] == "Coverage (real)"
    assert images[1][5] == "0.784 (0.950)"
    assert export[1][:4] == ["3", "14", "5", "26%"]
    words = markdown(document)
    for said in (document.verdict.sentence, *document.warnings, *document.verdict.caveats):
        assert said in words
    assert "coverage 0.61 is below 0.70" in words


def test_every_row_has_all_cells_and_every_name_comes_back() -> None:
    document = with_everything(evaluation(HOSTILE, HOSTILE, per_class=10))
    tokens = parsed(document)
    _, arms, differences, images, export = tables(tokens)
    for table in (arms, differences, images, export):
        assert len(table) > 1
        assert {len(row) for row in table} == {len(table[0])}
    shown = [name.replace("\n", " ") for name in HOSTILE]
    assert [row[0] for row in images[1:]] == shown
    assert [row[0] for row in export[1:]] == shown
    assert {row[0] for row in differences[1:]} >= set(shown)
    codes = {token.content for token in inline(tokens) if token.type == "code_inline"}
    assert set(shown) <= codes


def test_nothing_in_a_sentence_is_markup() -> None:
    document = evaluation(DIGITS, ["3"])
    document.verdict.sentence = " ".join(HOSTILE)
    document.warnings = HOSTILE + ODD
    document.quality.per_class["3"].reasons = HOSTILE
    document.quality.per_class["3"].collapse = "thinning"
    tokens = parsed(document)
    kinds = {token.type for token in inline(tokens)}
    assert not kinds & {"link_open", "image", "html_block", "s_open", "em_open"}
    raw = {token.content for token in inline(tokens) if token.type == "html_inline"}
    assert raw <= {"<!-- -->", "<sub>", "</sub>"}
    assert headings(tokens).count("head") == 0
    warnings = [t.children or [] for t in tokens if t.type == "inline" and t.level > 2]
    plain = ["".join(c.content for c in children if c.type != "html_inline") for children in warnings]
    for warning in HOSTILE:
        assert " ".join(warning.split()) in plain
    words = markdown(document)
    assert "@octocat" not in words  # GitHub would call them
    assert "#1" not in words  # and link to something else


def test_odd_characters_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    document = with_everything(evaluation(ODD, ODD, per_class=10))
    write_report(document, ReportMaterial(), tmp_path)
    words = (tmp_path / "report.md").read_text("utf-8")
    assert "\u202e" not in words
    assert "`line�break`" in words
    _, _, _, images, _ = tables(PARSER.parse(words))
    assert len(images) == 1 + len(ODD)


@pytest.mark.parametrize(
    ("name", "written"), [("a", "`a`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("", "`(empty)`"), ("  ", "`  `")]
)
def test_code_spans(name: str, written: str) -> None:
    assert code(name) == written
    (paragraph,) = (t for t in PARSER.parse(f"x{code(name)}") if t.type == "inline")
    assert [c.content for c in paragraph.children or [] if c.type == "code_inline"] == [name or "(empty)"]


def test_a_line_that_would_begin_a_list_or_a_heading() -> None:
    for line in ("- a", "+ a", "# a", "1. a", "2) a", "> a"):
        assert [t.type for t in PARSER.parse(text(line))] == ["paragraph_open", "inline", "paragraph_close"]


def test_what_is_missing_is_left_out() -> None:
    document = evaluation(DIGITS, ["3"], ungated=False)
    document.arms = {}
    document.quality.per_class = {}
    document.verdict.contrasts, document.verdict.details, document.verdict.caveats = {}, {}, []
    document.warnings, document.split = [], {}
    tokens = parsed(document)
    assert headings(tokens)[1:] == []
    assert tables(tokens) == []


def test_many_classes_stay_short() -> None:
    classes = [f"class {i:03d}" for i in range(100)]
    document = with_everything(evaluation(classes, classes, per_class=10))
    assert all(len(table) <= 1 + 3 * SHOWN for table in tables(parsed(document)))
    assert len(markdown(document)) < 20_000
    assert "80 more: `report.html`" in markdown(document)
