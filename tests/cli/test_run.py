"""`synthaug run`: three steps in one command, which goes on where it was interrupted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from export_material import save_images
from typer.testing import CliRunner

from synthaug.documents import EvaluationSize, WorkflowDocument, WorkflowPlan
from synthaug.errors import Interrupted
from synthaug.pipelines import run as workflow
from synthaug.progress import Silent
from synthaug.requests import RunRequest
from synthaug_cli.options import takes_request

Synthaug = Callable[..., Any]
NEAREST = """
import numpy as np

def flat(images):
    return np.asarray(images).reshape(len(images), -1).astype(float)

def fit(images, labels, weights, seed):
    global means
    means = np.stack([flat(images)[labels == k].mean(0) for k in range(labels.max() + 1)])

def predict(images):
    far = ((flat(images)[:, None] - means) ** 2).mean(2)
    return np.eye(len(means))[far.argmin(1)]
"""
SMALL = [
    *("--budget", "0.1kimg", "--resolution", "16", "--seeds", "2", "--device", "cpu", "--recipe", "default"),
    *("--set", "model.width=4", "--set", "model.discriminator_width=4", "--set", "gate.steps=5"),
    *("--set", "gate.duplicates=false", "--classifier", "nearest.py"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("run")
    save_images(place / "my images", {"disc": 40, "ring": 20, "stripes": 40})
    (place / "nearest.py").write_text(NEAREST)
    return place


def test_from_images_to_a_verdict_and_again(place: Path, synthaug: Synthaug) -> None:
    done = synthaug("run", "my images", "--target-class", "ring", *SMALL, "--yes", "--json", cwd=place)
    assert done.status == 0, done.stderr
    made = WorkflowDocument.model_validate_json(done.stdout)
    out = place / "synthaug-my images"
    assert made.plan.out == str(out)
    assert "1. fit       about" in done.stderr
    assert "in all    time not known" in done.stderr
    assert "no unfinished run" not in done.stderr  # it was not asked for
    assert made.plan.training_images["ring"] < 20
    assert Path(made.report).is_file()
    assert (made.export is None) == (made.verdict != "helps")
    assert made.next is not None
    assert made.run in shlex.split(made.next.command)  # it is not among the usual runs

    again = synthaug("run", "my images", "--target-class", "ring", *SMALL, "--yes", "--json", cwd=place, forked=True)
    assert again.status == 0, again.stderr
    assert json.loads(again.stdout) == json.loads(done.stdout)
    assert "is trained" in again.stderr
    out.rename(place / "moved")
    moved = synthaug(
        "run",
        "my images",
        "--target-class",
        "ring",
        *SMALL,
        "--yes",
        "--json",
        "--out",
        "moved",
        cwd=place,
        forked=True,
    )
    assert moved.status == 0, moved.stderr
    assert json.loads(moved.stdout)["plan"]["out"] == str(place / "moved")
    assert not out.exists()
    (place / "moved").rename(out)
    other = synthaug("run", "my images", "--target-class", "disc", *SMALL, "--yes", cwd=place, forked=True)
    assert other.status == 2
    assert "was begun with --target-class ['ring'], not ['disc']" in other.lines("error: ")[0]


@pytest.mark.parametrize(
    ("command", "says", "hint"),
    [
        ("run 'my images'", "asks before it begins, and there is no terminal", "add --yes"),
        ("run 'my imags' --yes", "there is no folder 'my imags'", "my images"),
        ("run 'my images' --yes --out 'my images/x'", "lies inside the data folder", "--out"),
        ("run 'my images' --yes --out .", "is not of an earlier `synthaug run`", "--out DIR"),
        ("run 'my images' --yes --out new --budget 5parsec", "'5parsec' is not a budget", "recipes show"),
        ("run 'my images' --yes --out new --classifier nearst", "nearst", "logistic"),
        ("run 'my images' --yes --out new --target-class rng", "rng", "ring"),
    ],
)
def test_bad_input_is_one_error_and_writes_nothing(
    command: str, says: str, hint: str, place: Path, synthaug: Synthaug, listing: Callable[[Path], Any]
) -> None:
    before = listing(place)
    done = synthaug(*shlex.split(command), cwd=place, forked=True)
    assert done.status == 2
    assert says in done.lines("error: ")[0]
    assert hint in done.lines("hint: ")[0]
    assert listing(place) == before


def test_the_hint_after_an_interruption_is_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_images(tmp_path / "it's data", {"disc": 12, "ring": 12})
    request = RunRequest(
        data=tmp_path / "it's data", target_class=["ring"], budget="0.1kimg", set={"model.width": 4}, seeds=2,
        out=tmp_path / "the out", device="cpu",
    )  # fmt: skip
    plan = workflow.plan_workflow(request, Silent())

    def interrupted(*_: Any) -> None:
        raise Interrupted("interrupted at 0.0 kimg", "the hint of fit", 143)

    monkeypatch.setattr(workflow, "run_fit", interrupted)
    with pytest.raises(Interrupted) as caught:
        workflow.run_workflow(request, plan, Silent())
    assert caught.value.exit_status == 143
    program, command, *words = shlex.split(caught.value.hint.removeprefix("continue with: "))
    assert (program, command, words.pop()) == ("synthaug", "run", "--yes")
    parsed: list[RunRequest] = []

    def collect(request: RunRequest) -> None:
        parsed.append(request)

    app = typer.Typer()
    app.command()(takes_request(collect))
    assert CliRunner().invoke(app, words).exit_code == 0
    assert workflow.plan_workflow(parsed[0], Silent()) == plan  # so it is the same run that goes on


def plan_of(request: RunRequest) -> WorkflowPlan:
    """A plan whose evaluation was reduced."""
    return WorkflowPlan(
        out=str(request.folder()), data=str(request.data), images=2, training_images={}, targets=["ring"],
        budget="60s", steps=[], request=request.kept(),
        evaluation=EvaluationSize(seeds=3, steps=70, gate_steps=50),
    )  # fmt: skip


def test_training_and_evaluation_take_what_the_plan_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthaug.runs import Run

    asked: list[Any] = []

    def begin(request: Any, *_: Any) -> None:
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "run_fit", begin)
    monkeypatch.setattr(workflow, "run_evaluate", begin)
    request = RunRequest(data=tmp_path, out=tmp_path / "out", budget="2min", set={"model.width": 4})
    with pytest.raises(KeyboardInterrupt):
        workflow._trained(request, plan_of(request), Silent())
    with pytest.raises(KeyboardInterrupt):
        workflow._judged(request, plan_of(request), Run(tmp_path / "run"), Silent())
    assert asked[0].budget == "60s"
    assert list(asked[0].set) == ["model.width=4", "gate.steps=50"]
    assert (asked[1].seeds, asked[1].steps) == (3, 70)


def test_what_helps_is_exported_with_the_recommended_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from report_material import evaluation

    from synthaug.runs import Run

    exported: list[Any] = []
    judged = evaluation(["disc", "ring"], ["ring"], verdict="helps")
    monkeypatch.setattr(workflow, "_trained", lambda *_: Run(tmp_path / "out" / "runs" / "00000-x"))
    monkeypatch.setattr(workflow, "_judged", lambda *_: judged)
    monkeypatch.setattr(workflow, "run_export", lambda request, progress: exported.append(request))
    request = RunRequest(data=tmp_path, out=tmp_path / "out")
    made = workflow.run_workflow(request, plan_of(request), Silent())
    assert made.export == str(tmp_path / "out" / "export")
    assert [(r.recommended, str(r.out), r.run) for r in exported] == [
        (True, made.export, str(tmp_path / "out" / "runs" / "00000-x"))
    ]


def test_a_feature_file_that_set_names_is_permitted_in_the_evaluation_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def evaluate(request: Any, *_: Any) -> None:
        asked.append(request.features)
        raise KeyboardInterrupt

    from synthaug.runs import Run

    monkeypatch.setattr(workflow, "run_evaluate", evaluate)
    for given in (["monitor.features=/nets/own.pt", "training.flip=true"], ["training.flip=true"]):
        request = RunRequest(data=tmp_path, out=tmp_path / "out", set=given)
        with pytest.raises(KeyboardInterrupt):
            workflow._judged(request, plan_of(request), Run(tmp_path / "run"), Silent())
    assert asked == ["/nets/own.pt", None]
