"""`demo`: it says how short it is, and does just that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synthaug.errors import Interrupted
from synthaug.files import write_json
from synthaug.pipelines import demo as pipeline
from synthaug.progress import Silent


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The options that the demo's steps get; none is carried out."""
    asked: dict[str, dict[str, Any]] = {}
    for name in ("fit", "export", "evaluate"):
        monkeypatch.setattr(
            pipeline,
            name,
            lambda given, name=name, **options: (
                asked.update({name: options | {"given": given}}) or SimpleNamespace(run="new")
            ),
        )
    return asked


def test_the_demo_says_how_short_it_is_and_does_that(tmp_path: Path, asked: dict[str, dict[str, Any]]) -> None:
    said = Said()
    pipeline.demo(tmp_path / "demo", progress=said)
    assert asked["fit"]["recipe"] == "demo"
    assert asked["fit"]["resume"] is None
    assert asked["evaluate"]["classifier"] == "logistic"
    assert "the classifier is logistic regression" in said.lines[-1]
    assert f"with {asked['evaluate']['seeds']} seeds" in said.lines[-1]


@pytest.mark.parametrize(
    ("states", "judged", "trained"),
    [
        (["running"], None, "fit goes on"),
        (["finished"], None, "kept"),  # interrupted after the training
        (["finished"], 0, "fit goes on"),  # a finished demo is replaced: no run is unfinished, so a new one starts
        (["finished", "interrupted"], 0, "fit goes on"),
        (["finished", "finished"], 0, "kept"),
    ],
)
def test_an_interrupted_demo_goes_on(
    tmp_path: Path, asked: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, states: list[str],
    judged: int | None, trained: str,
) -> None:  # fmt: skip
    out = tmp_path / "demo"

    def run(name: str, state: str, data: Path) -> Any:
        facts = SimpleNamespace(data=data)
        return SimpleNamespace(name=name, path=Path(name), status=lambda: {"state": state}, facts=lambda: facts)

    runs = [run(str(number), state, (out / "data").resolve()) for number, state in enumerate(states)]
    stranger = run("stranger", "finished", tmp_path)
    monkeypatch.setattr(pipeline, "all_runs", lambda _: [*runs, stranger])
    if judged is not None:
        write_json(out / "report" / "report.json", {"run": f"runs/{judged}"})
    pipeline.demo(out, progress=Said())
    if trained == "kept":
        assert "fit" not in asked
        assert asked["evaluate"]["given"] == str(len(states) - 1)
    else:
        assert asked["fit"]["resume"] == "auto"
        assert asked["evaluate"]["given"] == "new"


@pytest.mark.parametrize("step", ["fit", "export", "evaluate"])
def test_the_hint_of_an_interrupted_demo_continues_the_demo(
    tmp_path: Path, asked: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted("interrupted", f"continue with: synthaug {step} …", 143)

    monkeypatch.setattr(pipeline, step, interrupted)
    with pytest.raises(Interrupted) as stopped:
        pipeline.demo(tmp_path / "my demo", progress=Said())
    assert stopped.value.hint == f"continue with: synthaug demo --out '{tmp_path / 'my demo'}'"
    assert stopped.value.exit_status == 143


def test_the_digits_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.Image, "fromarray", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pipeline.write_digits(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):  # an earlier demo's digits are replaced
        pipeline.write_digits(tmp_path / "data")
    assert len(list((tmp_path / "data" / "train" / "3").iterdir())) == pipeline.RARE_IMAGES
