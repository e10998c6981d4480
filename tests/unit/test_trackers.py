"""Tools that follow a training: what each gets, names that are unknown, and runs of earlier versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthaug.config import Config, resolve, validate_stored
from synthaug.errors import SynthaugError
from synthaug.pipelines.config_checks import check_config, check_names
from synthaug.runs import Run, RunFacts, create, write_config
from synthaug.training.trackers import TRACKERS, tracking

ROWS: list[dict[str, Any]] = [
    {"kind": "step", "kimg": 1.0, "loss_d": 0.5, "images_per_second": 10.0},
    {
        "kind": "monitor", "kimg": 2.0, "score": 0.25, "best": True, "pooled": {"kid": 0.1},
        "per_class": {"猫 & (co)": {"kid": 0.125, "coverage": None, "reference": "val"}},
    },
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    facts = RunFacts(data=tmp_path, fingerprint="", classes=["a"], targets=[], channels=1)
    return create(tmp_path / "runs", "test", lambda new: write_config(new, resolve(), facts))


def interrupted(names: list[str], run: Run, error: BaseException) -> None:
    """A training that ends with an error after a row."""
    with tracking(names, run) as give:
        give(ROWS[0])
        raise error


def test_tensorboard_gets_every_number_under_its_name(run: Run) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with tracking(["tensorboard"], run) as give:
        for row in ROWS:
            give(row)
    found = accumulator.EventAccumulator(str(run.path / "tensorboard")).Reload()
    values = {name: [(e.step, e.value) for e in found.Scalars(name)] for name in found.Tags()["scalars"]}
    assert values == {
        "step/loss_d": [(1000, 0.5)], "step/images_per_second": [(1000, 10.0)],
        "monitor/score": [(2000, 0.25)], "kid/猫 & (co)": [(2000, 0.125)],
    }  # fmt: skip


def test_mlflow_gets_every_number_and_a_resumed_training_goes_on_in_the_same_place(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(KeyboardInterrupt):
        interrupted(["mlflow"], run, KeyboardInterrupt())
    with tracking(["mlflow"], run) as give:
        give(ROWS[1])
    folder = run.path.parent / "mlflow"
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("synthaug")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.run_name == run.name
    assert kept.info.status == "FINISHED"
    assert kept.data.params["training.batch_size"] == str(Config().training.batch_size)
    assert kept.data.metrics["step/loss_d"] == 0.5
    assert kept.data.metrics["kid/猫 _ _co_"] == 0.125
    assert client.get_metric_history(kept.info.run_id, "monitor/score")[0].step == 2000


def test_an_unknown_tracker_and_a_missing_package_are_said_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SynthaugError, match="there is no tracker 'tensorbord'") as unknown:
        check_names(resolve(sets=["training.trackers=[tensorbord]"]).config)
    assert "tensorboard" in unknown.value.hint
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SynthaugError, match="mlflow is not installed") as missing:
        check_config(resolve(sets=["training.trackers=[mlflow]"]).config)
    assert missing.value.hint == "pip install 'synthaug[mlflow]'"


@pytest.mark.parametrize(("before", "now"), [(True, ["tensorboard"]), (False, [])])
def test_runs_of_earlier_versions_can_be_read(before: bool, now: list[str]) -> None:
    tree = Config().model_dump(mode="json")
    del tree["training"]["trackers"]
    tree["training"]["tensorboard"] = before
    assert validate_stored(tree).training.trackers == now


def test_a_tracker_of_another_package_is_a_context_that_is_called(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Mine:
        def __init__(self, run: Run) -> None:
            seen.append(run)

        def __enter__(self) -> Mine:
            return self

        def __exit__(self, *exc: object) -> None:
            seen.append(exc[0])

        def __call__(self, row: Any) -> None:
            seen.append(row)

    monkeypatch.setattr(TRACKERS, "get", lambda name: Mine)
    with pytest.raises(ValueError, match="x"):
        interrupted(["mine"], run, ValueError("x"))
    assert seen == [run, ROWS[0], ValueError]
