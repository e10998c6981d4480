"""`fit --devices`: processes that end together, resume with another number, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from export_material import save_images

SYNTHAUG = Path(sys.executable).with_name("synthaug")
Synthaug = Callable[..., Any]
SMALL = [
    "--target-class=rare", "--set=data.resolution=16", "--set=model.width=8", "--set=model.discriminator_width=8",
    "--set=model.embed_dim=8", "--set=training.batch_size=24", "--set=monitor.every_kimg=1",
    "--set=monitor.samples_per_class=8", "--precision=32-true", "--budget=3kimg",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes") / "data"
    save_images(folder, {"common": 60, "rare": 16})
    return folder


@contextmanager
def training(data: Path, place: Path) -> Iterator[subprocess.Popen[str]]:
    """A training of two processes that has written its first checkpoint."""
    command = [SYNTHAUG, "fit", data, *SMALL, "--devices=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(place / "cache")}
    with subprocess.Popen(
        command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            checkpoints = place / "runs" / "latest" / "checkpoints"
            while not list(checkpoints.glob("kimg*/state.json")):  # the test's own time limit ends this where it hangs
                assert running.poll() is None, running.communicate()
                time.sleep(0.2)
            yield running
        finally:
            if running.poll() is None:
                for process in [*children(running.pid), running.pid]:
                    os.kill(process, signal.SIGKILL)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_signal_to_one_process_ends_all_and_another_number_goes_on(
    data: Path, tmp_path: Path, synthaug: Synthaug
) -> None:
    with training(data, tmp_path) as running:
        (child,) = children(running.pid)
        os.kill(child, signal.SIGTERM)
        stdout, stderr = running.communicate()
        assert running.returncode == 143, stderr
        assert stdout == ""
        assert len([line for line in stderr.splitlines() if line.startswith("error: ")]) == 1
        while Path(f"/proc/{child}").exists():  # it ends a moment later
            time.sleep(0.1)
    run = tmp_path / "runs" / "latest"
    state = json.loads((run / "status.json").read_text())
    assert state["state"] == "interrupted"
    resumed = synthaug("fit", data, "--resume", run, cwd=tmp_path)
    assert resumed.status == 0, resumed.stderr
    state = json.loads((run / "status.json").read_text())
    assert (state["state"], round(state["kimg"])) == ("finished", 3)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_dies_ends_all_with_one_message(data: Path, tmp_path: Path) -> None:
    with training(data, tmp_path) as running:
        os.kill(children(running.pid)[0], signal.SIGKILL)
        stdout, stderr = running.communicate()
    assert running.returncode == 1, stderr
    assert stdout == ""
    (error,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert "a process of this training ended" in error
    assert any("--resume" in line for line in stderr.splitlines() if line.startswith("hint: "))


def test_torchrun_and_slurm_start_the_same_training(data: Path, tmp_path: Path) -> None:
    """SLURM is played by its environment variables."""
    alike = {
        "SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
    }  # fmt: skip
    started = {
        "torchrun": ([SYNTHAUG.with_name("torchrun"), "--standalone", "--nproc-per-node=2", SYNTHAUG], [{}]),
        "slurm": ([SYNTHAUG], [{**alike, "SLURM_PROCID": k, "SLURM_LOCALID": k} for k in "01"]),
    }
    weights = {}
    for name, (command, variables) in started.items():
        shared = {
            **os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
        }  # fmt: skip
        place = tmp_path / name
        place.mkdir()
        running = [
            subprocess.Popen(
                [*command, "fit", data, *SMALL, "--budget=0.048kimg"],
                cwd=place, env=shared | one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for one in variables
        ]  # fmt: skip
        for process in running:
            _, stderr = process.communicate()
            assert process.returncode == 0, stderr
        (run,) = (place / "runs").glob("0*")
        assert json.loads((run / "status.json").read_text())["state"] == "finished"
        (last,) = (run / "checkpoints").glob("kimg*")
        weights[name] = {file.name: file.read_bytes() for file in sorted(last.glob("*.safetensors"))}
    assert weights["torchrun"]
    assert weights["torchrun"] == weights["slurm"]


def test_slurm_must_say_how_many_processes_a_node_has(
    data: Path, tmp_path: Path, synthaug: Synthaug, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    done = synthaug("fit", data, *SMALL, cwd=tmp_path, forked=True)
    assert done.status == 2
    assert done.lines("error: ") == ["error: SLURM started 4 processes with --ntasks"]
    assert "--nodes=2 --ntasks-per-node=2" in done.stderr
    assert not (tmp_path / "runs").exists()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (["--devices=5"], "a batch of 24 cannot be divided among 5 processes"),
        (["--devices=2", "--set=training.micro_batch_size=8"], "does not divide a batch of 24 among 2 processes"),
        (["--devices=0"], "--devices"),
        (["--nodes=-1"], "--nodes"),
    ],
)
def test_what_is_refused(given: list[str], error: str, data: Path, tmp_path: Path, synthaug: Synthaug) -> None:
    done = synthaug("fit", data, *SMALL, *given, cwd=tmp_path, forked=True)
    assert done.status == 2
    (line,) = done.lines("error: ")
    assert error in line
    assert not (tmp_path / "runs").exists()
