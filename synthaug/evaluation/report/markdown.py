"""The evaluation as GitHub-flavoured Markdown, short enough for a pull request or a job summary.

Names (classes, arms, paths) are code spans, in which nothing is markup, a mention or a link.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

from synthaug.documents import EvaluateDocument, Score
from synthaug.errors import plural
from synthaug.evaluation.before_after import before_and_after
from synthaug.evaluation.changed_images import in_words as changed_in_words
from synthaug.evaluation.report import protocol, scores
from synthaug.evaluation.report.contrasts import Question, interval_text, questions
from synthaug.evaluation.report.headline import headline, sharpness_sentence
from synthaug.evaluation.report.scores import Estimate
from synthaug.evaluation.report.svg import number
from synthaug.metrics import metrics

SHOWN = 20  # target classes in a table; report.html has all
_SIGNS = {"helps": "✅", "no measurable effect": "➖", "hurts": "❌"}


def markdown(document: EvaluateDocument) -> str:
    """The whole report; every table has at most `SHOWN` classes."""
    verdict = document.verdict
    parts = [
        f"## {_SIGNS[verdict.overall]} {headline(document, code)}",
        f"⚠️ {blur}" if (blur := sharpness_sentence(document, code)) else "",
        f"**{verdict.overall}**" + (f": {text(verdict.sentence)}" if verdict.sentence else ""),
        _next(document),
        _facts(document),
        _section("Before and after", _before_and_after(document)),
        _section("Arms", _arms(document)),
        _section("Differences in F1", _differences(document)),
        _section("Parts of the test images", _combinations(document)),
        _section("Copies among the test images", _leaks(document)),
        _section("Images", _images(document)),
        _section("Recommended export", _export(document)),
        _section("Warnings", _list(document.warnings)),
        _section("What this cannot show", _list(verdict.caveats)),
        "<sub>Brackets: 95% intervals. All figures and pictures: `report.html`; all numbers: `report.json`.</sub>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _next(document: EvaluateDocument) -> str:
    step = document.next
    return f"**What to do next.** {text(step.sentence)} {code(step.command)}" if step is not None else ""


def _before_and_after(document: EvaluateDocument) -> str:
    """F1 of the target classes with the best control and with synthetic images."""
    before, after = before_and_after(document)
    if before is None or after is None:
        return ""
    arms = document.arms[before], document.arms[after]
    rows = [
        [
            cell(label),
            document.verdict.per_target.get(label, "–"),
            *(number(scores.f1(arm, label).mean) for arm in arms),
        ]
        for label in document.targets[:SHOWN]
    ]
    head = ["class", "verdict", f"F1 before: {cell(before)}", f"F1 after: {cell(after)}"]
    changed = f"\n\n{changed_in_words(document.changed)}." if document.changed else ""
    return f"{_table(head, rows, words=(0, 1))}{_more(len(document.targets))}{changed}" if rows else ""


def code(name: str) -> str:
    """`name` as a code span; line breaks and invisible characters become `�`.

    >>> code("a"), code("a`b|c")
    ('`a`', '``a`b|c``')
    """
    shown = "".join("�" if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c for c in name)
    if not shown.strip():
        return f"`{shown or '(empty)'}`"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def text(sentence: str) -> str:
    """A sentence in which all characters that Markdown or GitHub would interpret are escaped.

    >>> text("*a* <b> @you #1")
    '\\\\*a\\\\* \\\\<b\\\\> @<!-- -->you #<!-- -->1'
    """
    line = " ".join("".join("�" if unicodedata.category(c) in {"Cf", "Cs"} else c for c in sentence).split())
    escaped = re.sub(r"([\\`*_{}\[\]<>|~&!])", r"\\\1", line)
    return re.sub(r"([@#])(?=\w)", r"\1<!-- -->", re.sub(r"^([-+#]|\d+[.)])", r"\\\1", escaped))


def cell(name: str) -> str:
    """`code` for a table, where a pipe ends the cell even in a code span unless it is escaped."""
    return code(name).replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """The columns `words` are text, the others numbers."""
    lines = [head, [":--" if i in words else "--:" for i in range(len(head))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(title: str, body: str) -> str:
    return f"### {title}\n\n{body}" if body else ""


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {text(line)}" for line in lines)


def _facts(document: EvaluateDocument) -> str:
    judged = protocol.judged_on(document)
    seeds = f"{plural(document.seeds, 'seed')} per arm"
    of = f"{code(protocol.title(document))}, classifier {code(document.classifier)}, {seeds}"
    smallest = document.verdict.smallest_detectable
    shown = f" A gain of {number(smallest)} over the best control is found in 80% of cases." if smallest else ""
    best = text(protocol.best_control(document))
    made = (
        f" Different real images behind the synthetic ones: {text(made)}."
        if (made := protocol.made_from(document))
        else ""
    )
    return f"Evaluation of {of}{f'; judged on {judged}' if judged else ''}.{shown} Best control: {best}.{made}"


def _estimate(e: Estimate, best: bool) -> str:
    return f"**{number(e.mean)}**{e.interval()}" if best else e.text()


def _arms(document: EvaluateDocument) -> str:
    targets, _ = scores.ordered_classes(document)
    shown = targets[:3]
    per_class = scores.f1_table(document, shown)
    rows = []
    for i, row in enumerate(scores.overall_rows(document)):
        share = document.arms[row.arm].share
        rows.append(
            [cell(row.arm), f"{100 * share:.0f}%" if row.kind == "synthetic" else "–"]
            + [_estimate(estimates[i], best[i]) for _, estimates, best in per_class]
            + [_estimate(row.estimates[j], row.best[j]) for j in (0, 1)]
        )
    head = ["arm", "synthetic", *(f"F1 {cell(t)}" for t in shown), "macro-F1", "balanced accuracy"]
    left = len(targets) - len(shown)
    more = f"\n\nF1 of {plural(left, 'more target class', 'more target classes')}: `report.html`." if left else ""
    return _table(head, rows) + more if rows else ""


def _differences(document: EvaluateDocument) -> str:
    asked = questions(document)
    rows = [
        [cell(q.title) if q.title in document.targets else q.title, *_difference(q, name)]
        for q in asked[:SHOWN]
        for name in q.contrasts
    ]
    head = ["scored", "difference of", "mean and interval", "found in 80%"]
    return _table(head, rows, words=(0, 1)) + _more(len(asked)) if rows else ""


def _difference(q: Question, name: str) -> list[str]:
    contrast = q.contrasts[name]
    clear = contrast.low > 0 or contrast.high < 0
    value = interval_text(contrast)
    return [text(name), f"**{value}**" if clear else value, number(q.smallest)]


def _combinations(document: EvaluateDocument) -> str:
    """F1 of the target classes by the columns of `--by`, the worst part first."""
    rows = [
        [
            cell(part.name()), str(sum(part.targets.values())), number(part.before), number(part.after),
            interval_text(part.gain) if part.gain else "–",
        ]
        for part in document.combinations[:SHOWN]
    ]  # fmt: skip
    head = ["part", "images of target classes", "F1 before", "F1 after", "difference"]
    return _table(head, rows) + _more(len(document.combinations)) if rows else ""


def _leaks(document: EvaluateDocument) -> str:
    """The verdict without the test images that look like copies, and the nearest of these."""
    if document.leaks is None:
        return ""
    suspects, verdict = document.leaks.suspects, document.leaks.verdict
    said = f"**{verdict.overall}**: {text(verdict.sentence)}" if verdict else "no verdict."
    rows = [[cell(s.test), cell(s.like), s.source, number(s.nearness)] for s in suspects[:SHOWN]]
    table = _table(["test image", "looks like", "from", "nearness"], rows, words=(0, 1, 2))
    return f"{len(suspects)} test images look like copies. Without them: {said}\n\n{table}{_more(len(suspects))}"


def _images(document: EvaluateDocument) -> str:
    """Verdicts and main metrics of the export's images, each with the score of real images."""
    judged = document.quality.per_class
    labels = [t for t in document.targets if t in judged] + [c for c in judged if c not in document.targets]
    shown = {
        name: metric
        for name, metric in metrics().items()
        if metric.chart and any(q.score(name).measured for q in judged.values())
    }
    rows = []
    for label in labels[:SHOWN]:
        quality = judged[label]
        rows.append(
            [cell(label), quality.collapse, quality.memorisation, f"{quality.n_synthetic:,}"]
            + [_beside(quality.score(name), metric.decimals) for name, metric in shown.items()]
        )
    if not rows:
        return ""
    head = ["class", "variety", "copying", "images", *(f"{metric.heading} (real)" for metric in shown.values())]
    reasons = [
        f"- {code(label)}: {text('; '.join(q.reasons))}"
        for label, q in ((label, judged[label]) for label in labels[:SHOWN])
        if q.reasons and (q.collapse != "healthy" or q.memorisation != "clear")
    ]
    if document.quality.second_judge is not None:
        reasons.append(f"- {text(document.quality.second_judge.text())}")
    said = "\n\n" + "\n".join(reasons) if reasons else ""
    return _table(head, rows, words=(0, 1, 2)) + _more(len(labels)) + said


def _beside(score: Score, decimals: int) -> str:
    value, floor = number(score.value, decimals), score.floor
    return f"{value} ({number(floor.mean, decimals)})" if floor and math.isfinite(floor.mean) else value


def _export(document: EvaluateDocument) -> str:
    rows = [
        [cell(label), f"{a.real:,}", f"**{a.synthetic:,}**", f"{100 * a.share:.0f}%", text(a.reason)]
        for label, a in list(document.recommended.items())[:SHOWN]
    ]
    if not rows:
        return ""
    lines = _table(["class", "real", "synthetic", "share", "why"], rows, words=(0, 4))
    return f"{lines}{_more(len(document.recommended))}\n\n`synthaug export --recommended` writes this."


def _more(count: int) -> str:
    return f"\n\n{count - SHOWN} more: `report.html`." if count > SHOWN else ""
