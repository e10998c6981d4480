"""MLflow: settings and curves of all runs side by side, in the folder `mlflow` beside the runs, or on a server.

`MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME` are used if they are set.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any

from synthaug.dotted import leaves
from synthaug.errors import Interrupted
from synthaug.runs import Run
from synthaug.training.trackers import Row, numbers

_RUN = "synthaug.run"
_NOT_IN_KEYS = re.compile(r"[^/\w.\- ]")


class Experiment:
    """A tracker: see `synthaug.training.trackers`."""

    def __init__(self, run: Run) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import; nothing leaves this machine
        from mlflow.tracking import MlflowClient  # an extra: imported only where it is asked for

        self._run = run
        folder = run.path.resolve().parent / "mlflow"
        place: str | None = None
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            folder.mkdir(exist_ok=True)
            place = folder.as_uri()
        self._client: Any = MlflowClient(None if place is None else f"sqlite:///{folder / 'mlflow.db'}")
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "synthaug"
        known = self._client.get_experiment_by_name(name)
        self._experiment = known.experiment_id if known else self._client.create_experiment(name, place)
        self._id = ""

    def __enter__(self) -> Experiment:
        path = str(self._run.path.resolve())
        quoted = path.replace("'", "''")
        if known := self._client.search_runs([self._experiment], f"tags.`{_RUN}` = '{quoted}'"):
            self._id = known[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return self
        made = self._client.create_run(self._experiment, run_name=self._run.name, tags={_RUN: path})
        self._id = made.info.run_id
        for key, value in leaves(self._run.config().model_dump(mode="json")).items():
            self._client.log_param(self._id, _NOT_IN_KEYS.sub("_", key), value)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        stopped = kind is not None and issubclass(kind, (Interrupted, KeyboardInterrupt))
        self._client.set_terminated(self._id, "KILLED" if stopped else "FINISHED" if kind is None else "FAILED")

    def __call__(self, row: Row) -> None:
        from mlflow.entities import Metric

        now, images = int(time.time() * 1000), round(row["kimg"] * 1000)
        found = [Metric(_NOT_IN_KEYS.sub("_", name), float(value), now, images) for name, value in numbers(row)]
        self._client.log_batch(self._id, metrics=found)
