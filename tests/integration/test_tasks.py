"""Tasks with Dask, and with Ray where it is installed: the same bits as in this process, also if a worker is killed."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from export_material import CLASSES, Mortal, Painters, contents, make_run, save_images

from synthaug.data.cache import LabelledImages
from synthaug.errors import RunFailed, SynthaugError
from synthaug.evaluation.grid import Grid, Trial
from synthaug.evaluation.trial import run_trials
from synthaug.metrics.quality import quality
from synthaug.pipelines.export import export
from synthaug.progress import Silent
from synthaug.runs import Run
from synthaug.tasks import Workers, run_tasks


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("tasks")
    save_images(root / "data", dict(zip(CLASSES, (20, 8, 20), strict=True)))
    return make_run(root / "data", root / "runs", **{"gate.steps": 5})


@pytest.fixture(autouse=True)
def painters(monkeypatch: pytest.MonkeyPatch) -> Painters:
    made = Painters()
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", made)
    return made


@pytest.fixture(scope="module")
def options(run: Run) -> dict[str, Any]:
    return {
        "per_class": 75,
        "device": "cpu",
        "allow_short": True,
        "select": "top-k",
        "keep": 0.9,
        "cache": run.path.parent.parent / "cache",
    }


@pytest.fixture(scope="module")
def alone(run: Run, options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        export(run, out=out, **options)
    return out


@pytest.fixture(scope="module")
def dask() -> Iterator[Workers]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as cluster:
        yield Workers(None, "dask", cluster.scheduler_address)


@pytest.fixture(scope="module")
def ray() -> Iterator[Workers]:
    found = pytest.importorskip("ray")
    tests = str(Path(__file__).parents[1])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
        patched.setenv("RAY_worker_niceness", "0")  # on a busy machine, Ray's workers would wait for all others
        found.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield Workers(2, "ray")
        found.shutdown()


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_an_export_is_the_same_folder_although_a_worker_is_killed(
    backend: str, request: pytest.FixtureRequest, run: Run, options: dict[str, Any], alone: Path, tmp_path: Path,
    painters: Painters,
) -> None:  # fmt: skip
    workers: Workers = request.getfixturevalue(backend)
    painters.network = Mortal(3, 16, mark=tmp_path / "killed")
    export(run, out=tmp_path / "out", **options, **vars(workers))
    assert contents(tmp_path / "out") == contents(alone)
    assert {p.name for p in tmp_path.iterdir()} == {"out", "killed"}, "a worker had to be killed"


def test_classifiers_are_the_same(dask: Workers) -> None:
    train, pool = images(40, 0), images(10, 1)
    grid = Grid("cnn", 2, "cpu", train, np.arange(40), pool, train.pixels[:5], train.pixels[5:9], 10)
    trials = [Trial("synthetic", 0.25, 0), Trial("classical", 0.0, 1)]
    here, there = (run_trials(grid, trials, Silent(), chosen) for chosen in (Workers(1), dask))
    for trial in trials:
        assert np.array_equal(here[trial].test, there[trial].test)


def images(count: int, seed: int) -> LabelledImages:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 1, 16, 16), dtype=np.uint8)
    return LabelledImages(pixels, np.arange(count) % 2, ["a", "b"], [f"{seed}/{i}" for i in range(count)])


class Means:
    """Features of 4 × 4 px."""

    name, sha256, dim, identity = "means", "0" * 64, 16, "means@000000000000"

    def __call__(self, pixels: Any, *, batch_size: int | None = None) -> Any:
        return pixels[:, 0].reshape(len(pixels), 4, 4, 4, 4).mean((2, 4)).reshape(len(pixels), -1).astype(np.float32)


def test_a_check_is_the_same_document(dask: Workers) -> None:
    here, there = (
        quality(images(24, 0), images(24, 1), images(24, 2), Means(), reference="test", gated=False, workers=chosen)
        for chosen in (Workers(1), dask)
    )
    assert here == there


def test_a_package_that_only_this_machine_has(ray: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("only_here")
    exec("def work(shared, task): return task", vars(module))
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(RunFailed, match="a worker lacks the package 'only_here'"):
        list(run_tasks(module.work, None, [1, 2], ray, what="numbers"))


@pytest.mark.parametrize(
    ("package", "words"), [("torch", "has torch .*, and this command has torch 0.1"), ("nothing", "lacks the package")]
)
def test_workers_with_other_packages(dask: Workers, package: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.tasks._versions", lambda: {package: "0.1"})
    with pytest.raises(RunFailed, match=f"the worker tcp://.* {words}"):
        list(run_tasks(max, 1, [1, 2], dask, what="numbers"))


def test_a_cluster_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("synthaug.tasks._ANSWER", 0.5)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, protocol="tcp://", dashboard_address=None) as cluster,
        pytest.raises(SynthaugError, match="has no workers") as caught,
    ):
        quality(
            images(24, 0), None, images(24, 2), Means(),
            reference="test", gated=False, workers=Workers(None, "dask", cluster.scheduler_address),
        )  # fmt: skip
    assert caught.value.hint == f"start some: dask worker {cluster.scheduler_address} --nthreads 1"
