"""Tasks: where they cannot run, and what a user is told."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from threading import Thread

import pytest

from synthaug import tasks
from synthaug.errors import RunFailed, SynthaugError
from synthaug.pipelines.check import check
from synthaug.pipelines.evaluate import evaluate
from synthaug.pipelines.export import export
from synthaug.requests import CheckRequest, EvaluateRequest, ExportRequest
from synthaug.tasks import Workers, run_tasks

REQUESTS = [ExportRequest, EvaluateRequest, CheckRequest]


def add(shared: int, task: int) -> int:
    return shared + task


@pytest.mark.parametrize("request_of", REQUESTS)
def test_options_that_make_no_sense(request_of: type, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, message, hint in (
        ({"jobs": 0}, "--jobs 0 is out of range", "from 1 to 4096"),
        ({"backend": "slurm"}, "--backend 'slurm' is not known", "choices: loky, dask, ray"),
        ({"scheduler": "a:1"}, "--scheduler 'a:1' was given, but --backend loky", "add --backend dask"),
        (
            {"backend": "dask", "scheduler": "a"},
            "--scheduler 'a' is not an address",
            "like --scheduler tcp://HOST:8786",
        ),
        ({"backend": "ray", "scheduler": "a:b"}, "--scheduler 'a:b' is not an address", "like --scheduler HOST:6379"),
    ):
        monkeypatch.setattr(tasks, "find_spec", lambda name: name)
        with pytest.raises(SynthaugError) as caught:
            request_of(**options)
        assert message in caught.value.message
        assert hint in caught.value.hint


@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_package_that_is_missing(backend: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "find_spec", lambda name: None)
    for request_of in REQUESTS:
        with pytest.raises(SynthaugError, match=f"--backend {backend} needs the package {package}") as caught:
            request_of(backend=backend)
        assert caught.value.hint == f"pip install 'synthaug[{backend}]'"


def test_a_scheduler_that_does_not_answer_is_said_before_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "find_spec", lambda name: name)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"  # nobody listens
        for command in (export, evaluate, check):
            started = time.monotonic()
            with pytest.raises(SynthaugError) as caught:
                command("no such run", runs=tmp_path, backend="dask", scheduler=f"tcp://{address}")
            assert caught.value.message == f"no scheduler of dask answers at 'tcp://{address}': Connection refused"
            assert caught.value.hint == "start one with `dask scheduler`, or correct --scheduler"
            assert time.monotonic() - started < 10
        with pytest.raises(SynthaugError, match=f"no scheduler of ray answers at '{address}'"):
            Workers(None, "ray", address).check_reachable()
    assert list(tmp_path.iterdir()) == []


def test_another_service_at_the_address() -> None:
    pytest.importorskip("distributed")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with server.accept()[0] as caller:
                caller.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        Thread(target=greet, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(SynthaugError, match=f"no scheduler of dask answers at '{address}': "):
            list(run_tasks(add, 1, [1, 2], Workers(None, "dask", address), what="sums"))


def test_one_job_is_this_process() -> None:
    assert list(run_tasks(lambda shared, task: shared + task, 1, [1, 2, 3], Workers(1), what="sums")) == [2, 3, 4]
    assert list(run_tasks(add, 1, [], Workers(8), what="sums")) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a fork")
def test_a_worker_ends_with_a_command_that_was_killed() -> None:
    reader, writer = os.pipe()
    if (command := os.fork()) == 0:
        if os.fork() == 0:
            tasks._end_with(os.getppid())
            os.write(writer, b"watches")
        time.sleep(60)
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 7) == b"watches"
    os.kill(command, signal.SIGKILL)
    started = time.monotonic()
    assert os.read(reader, 1) == b""  # no process has the other end any more
    assert time.monotonic() - started < 50
    os.waitpid(command, 0)
    os.close(reader)


def test_a_worker_with_other_versions_is_refused() -> None:
    versions = {**tasks._versions(), "torch": "0.1"}
    with pytest.raises(RunFailed, match=r"the worker on .* has torch .*, and this command has torch 0\.1"):
        tasks._in_worker(add, 1, 2, versions, "dask", os.getpid())


def test_an_error_without_text_still_says_something() -> None:
    assert "TimeoutError" in Workers(1, "dask")._unreachable(TimeoutError()).message


def test_no_tasks_need_no_cluster() -> None:
    assert list(run_tasks(max, 1, [], Workers(None, "dask", "tcp://127.0.0.1:1"), what="numbers")) == []
