"""The results of fit, evaluate and run, behind which there is a trained generator: they give samples of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthaug.documents import EvaluateDocument, FitDocument, NextStep, WorkflowDocument
from synthaug.errors import SynthaugError
from synthaug.evaluation.before_after import before_and_after
from synthaug.evaluation.report.headline import headline
from synthaug.results.base import Result, code, paragraph, picture, table
from synthaug.results.images import Images
from synthaug.runs import Run
from synthaug.sampling.generate import load


class Trained(Result):
    """A result with a run."""

    if TYPE_CHECKING:
        run: Any  # pydantic would make a field of it

    def samples(
        self, label: str, count: int = 16, start: int = 0, *, truncation: float = 1.0,
        where: Sequence[str] | Mapping[str, object] = (), text: str | None = None, device: str = "auto",
    ) -> Images:  # fmt: skip
        """Images of a class: number `start` and those that follow, always the same ones. They pass no gate.

        Of a run with conditions, `where={"age": 60}` and `text` say what the images are told.

        Raises:
            SynthaugError: there is no such class, or `truncation` is out of range, or no run stands behind the result;
                or `where` or `text` do not fit the run.
        """
        sampler = load(self._run(), truncation=truncation, where=where, text=text, device=device)
        return Images(sampler.sample(label, count, start))

    def _run(self) -> Run:
        if self.run is None:
            raise SynthaugError(
                "these images were not made by a run of synthaug", "evaluate a run: synthaug.evaluate(run)"
            )
        return Run(Path(self.run))

    def _picture(self) -> str:
        """The training's samples at the best checkpoint, one class a row."""
        if self.run is None or not self._run().path.is_dir():
            return ""
        run = self._run()
        return picture(run.samples / f"{run.status().get('best_checkpoint')}.png")


class FitResult(Trained, FitDocument):
    """What `synthaug.fit` returns: a `FitDocument`, with `samples`."""

    def lines(self) -> Iterator[str]:
        yield f"trained {self.kimg:,.1f} kimg for {', '.join(self.targets) or 'no target class'}: {self.run}"
        if self.upscaling is not None:
            yield self.upscaling.text()
        if self.diverged:
            yield f"ended early: the training diverged {self.diverged}"

    def blocks(self) -> Iterator[str]:
        yield from super().blocks()
        names = sorted({name for counts in self.split.values() for name in counts})
        rows = []
        for name in names:
            scores = self.monitor.get(name)
            numbers = [scores and scores.kid, scores and scores.coverage]
            rows.append([name, *(counts.get(name, 0) for counts in self.split.values()), *numbers])
        yield table(["class", *self.split, "KID", "coverage"], rows)
        yield self._picture()


class EvaluateResult(Trained, EvaluateDocument):
    """What `synthaug.evaluate` returns: an `EvaluateDocument`, with `samples`."""

    def lines(self) -> Iterator[str]:
        yield headline(self)
        yield self.verdict.sentence
        before, after = before_and_after(self)
        for name in self.targets:
            shown = [f"{self.arms[arm].per_class[name].f1:.3f} ({arm})" for arm in (before, after) if arm]
            yield f"F1 of {name}: {' → '.join(shown)}"
        yield from _what_next(self.next)
        yield f"report: {self.report}"

    def blocks(self) -> Iterator[str]:
        yield paragraph(headline(self), bold=True)
        yield paragraph(self.verdict.sentence)
        arms = [arm for arm in before_and_after(self) if arm]
        scores = [[self.arms[arm].per_class[name] for arm in arms] for name in self.targets]
        rows = [
            [name, *(s.f1 for s in found), *(s.recall for s in found)]
            for name, found in zip(self.targets, scores, strict=True)
        ]
        yield table(["class", *(f"{score}, {arm}" for score in ("F1", "recall") for arm in arms)], rows)
        yield self._picture()
        yield from _next_in_html(self.next)
        yield paragraph(f"report: {self.report}")


class RunResult(Trained, WorkflowDocument):
    """What `synthaug.run` returns: a `WorkflowDocument`, with `samples`."""

    def lines(self) -> Iterator[str]:
        yield f"{self.verdict}: {self.sentence}"
        yield f"run: {self.run}"
        yield f"report: {self.report}"
        yield f"export: {self.export or 'none, because synthetic images were not shown to help'}"
        yield from _what_next(self.next)

    def blocks(self) -> Iterator[str]:
        yield paragraph(self.verdict, bold=True)
        yield paragraph(self.sentence)
        rare = [[name, self.plan.training_images.get(name, 0)] for name in self.plan.targets]
        yield table(["rare class", "training images"], rare)
        yield self._picture()
        yield from _next_in_html(self.next)
        yield paragraph(f"report: {self.report}")


def _what_next(step: NextStep | None) -> Iterator[str]:
    if step is not None:
        yield f"next: {step.sentence}"
        yield f"  {step.command}"


def _next_in_html(step: NextStep | None) -> Iterator[str]:
    if step is not None:
        yield paragraph(step.sentence)
        yield code(step.command)
