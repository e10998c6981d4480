"""Independent tasks, in processes of this machine or on a cluster, through joblib.

A task gets what all tasks share, and its own part. Results come in the order of the tasks and do not depend on where
they were computed: every task computes on one thread, because the last bits of a sum depend on the number of threads.

Dask and Ray run a task again if its process dies. Whoever can reach a scheduler can run code on its machines.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from synthaug.errors import LostProcess, RunFailed, SynthaugError

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")
Backend = Literal["loky", "dask", "ray"]
_PACKAGES = {"loky": "joblib", "dask": "distributed", "ray": "ray"}
_ADDRESSES = {"dask": "tcp://HOST:8786", "ray": "HOST:6379"}
_STARTED_BY = {"dask": "dask scheduler", "ray": "ray start --head"}
_ANSWER = 5  # seconds to wait for a scheduler
_AGAIN = 3  # times that a task is run again after its process died; Dask's default, too
_ALIKE = ("synthaug", "torch", "numpy")


@dataclass(frozen=True)
class Workers:
    """Where tasks run.

    Args:
        jobs: tasks at once. None: one per core of this machine, or as many as the cluster takes.
        backend: `loky` are processes of this machine. `dask` and `ray` are clusters.
        scheduler: address of the cluster. None: that of the environment (`DASK_SCHEDULER_ADDRESS`, `RAY_ADDRESS`), or
            else a cluster on this machine, which lasts as long as the tasks.

    Raises:
        SynthaugError: the backend's package is missing; an address that is none, or that the backend has no use for.
    """

    jobs: int | None = None
    backend: Backend = "loky"
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.scheduler is not None and self.backend == "loky":
            raise SynthaugError(
                f"--scheduler {self.scheduler!r} was given, but --backend loky runs on this machine alone",
                "add --backend dask or --backend ray, or leave --scheduler out",
            )
        if find_spec(_PACKAGES[self.backend]) is None:
            raise SynthaugError(
                f"--backend {self.backend} needs the package {_PACKAGES[self.backend]}",
                f"pip install 'synthaug[{self.backend}]'",
            )
        self._address()

    def _address(self) -> tuple[str, int] | None:
        """Host and port of the scheduler; None if none was given, or Ray is asked to find its own."""
        if self.scheduler is None or (self.backend, self.scheduler) == ("ray", "auto"):
            return None
        try:
            parts = urlsplit(self.scheduler if "://" in self.scheduler else f"//{self.scheduler}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or port is None:
            raise SynthaugError(
                f"--scheduler {self.scheduler!r} is not an address",
                f"write it like --scheduler {_ADDRESSES[self.backend]}",
            )
        return host, port

    def check_reachable(self) -> None:
        """Check in the first seconds of a command that somebody answers at the scheduler's address.

        Raises:
            SynthaugError: nobody does.
        """
        if (address := self._address()) is None:
            return
        try:
            socket.create_connection(address, _ANSWER).close()
        except OSError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> SynthaugError:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [""])[0] or type(error).__name__
        where = "on this machine" if self.scheduler is None else f"at {self.scheduler!r}"
        return SynthaugError(
            f"no scheduler of {self.backend} answers {where}: {reason}",
            f"start one with `{_STARTED_BY[self.backend]}`, or correct --scheduler",
        )


def run_tasks(
    work: Callable[[S, T], R], shared: S, tasks: Sequence[T], workers: Workers, *, what: str
) -> Iterator[R]:  # fmt: skip
    """Call `work(shared, task)` for every task, and yield what it returns in their order.

    `work` is a function of a module, and everything that it gets and returns is pickled. With one job of `loky`, this
    process does it all. A task computes on the device that it is told.

    Args:
        work: must not depend on other tasks.
        shared: goes once to each worker of a cluster, and to processes of this machine with each task; must not be
            changed.
        tasks: what each call gets.
        workers: where.
        what: the tasks are, in the plural, for errors.

    Raises:
        LostProcess: a process died (a cluster's: several times).
        RunFailed: a machine has other packages.
        SynthaugError: the scheduler does not answer; what `work` raises.
        KeyboardInterrupt: after the processes of this machine have ended.
    """
    import joblib

    if not tasks:
        return
    jobs = min(workers.jobs or joblib.cpu_count(), len(tasks))
    if jobs <= 1 and workers.backend == "loky":
        with _one_thread():
            yield from (work(shared, task) for task in tasks)
        return
    finished, opened = 0, {"loky": _loky, "dask": _dask, "ray": _ray}[workers.backend]
    with opened(workers, shared, jobs) as pool:
        # The configuration holds for this line only: what the caller does between two results is not its business.
        with joblib.parallel_config(**pool.config):
            parallel = joblib.Parallel(
                n_jobs=pool.jobs, return_as="generator", batch_size=1, pre_dispatch=workers.jobs or "2 * n_jobs"
            )
        try:
            results = parallel(
                joblib.delayed(_in_worker)(work, pool.shared, task, _versions(), workers.backend, os.getpid())
                for task in tasks
            )
            try:
                for result in results:
                    yield result
                    finished += 1
            finally:
                results.close()
        except pool.lost as error:
            raise LostProcess(
                f"a process died after {finished} of {len(tasks)} {what}",
                "it ran out of memory or was killed from outside; close other programs and run the command again: it "
                "continues from there",
            ) from error
        except Exception as error:
            if (found := re.search(r"No module named '([\w.]+)'", str(error))) is None:
                raise
            raise RunFailed(
                f"a worker lacks the package {found[1]!r}", "install the same versions on all machines"
            ) from error


def _in_worker(
    work: Callable[[S, T], R], shared: S | _Stored[S], task: T, versions: dict[str, str], backend: Backend, parent: int
) -> R:
    import joblib
    import torch
    from threadpoolctl import threadpool_limits

    for package, wanted in versions.items():
        _check_alike(package, wanted, _versions()[package], f"on {socket.gethostname()}")
    if backend == "loky" and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
        _end_with(parent)
    torch.set_num_threads(1)
    threadpool_limits(1)
    with joblib.parallel_config(backend="sequential"):  # no tasks of tasks
        return work(shared.get() if isinstance(shared, _Stored) else shared, task)


@cache
def _end_with(parent: int) -> None:
    """End this process within a second after its parent was killed, which loky would take minutes to notice."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()


@cache
def _versions() -> dict[str, str]:
    """Different versions can give different bits, or fail in odd ways."""
    from importlib.metadata import version  # here: `--help` imports this module, and need not wait for it

    return {package: version(package) for package in _ALIKE}


def _check_alike(package: str, wanted: str, found: str | Exception, worker: str) -> None:
    if found != wanted:
        has = f"has {package} {found}" if isinstance(found, str) else f"lacks the package {package!r}"
        raise RunFailed(
            f"the worker {worker} {has}, and this command has {package} {wanted}",
            "install the same versions on all machines",
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Processes that begin here ignore Ctrl-C, which would reach all of them: this process ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class _Stored(Generic[S]):
    """An object in Ray's store."""

    reference: Any

    def get(self) -> S:
        import ray

        found: S = ray.get(self.reference)
        return found


@dataclass(frozen=True)
class _Pool:
    """How joblib reaches an open backend: its configuration, what stands for the shared object, how many tasks run at
    once, and the exceptions that say that a process is lost."""

    config: dict[str, Any]
    shared: Any
    jobs: int
    lost: tuple[type[BaseException], ...]


@contextmanager
def _loky(workers: Workers, shared: Any, jobs: int) -> Iterator[_Pool]:
    from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

    lost = (BrokenProcessPool, TerminatedWorkerError)
    yield _Pool({"backend": "loky", "inner_max_num_threads": 1}, shared, jobs, lost)


@contextmanager
def _dask(workers: Workers, shared: Any, jobs: int) -> Iterator[_Pool]:
    from concurrent.futures import CancelledError

    from distributed import Client, KilledWorker
    from distributed import TimeoutError as TookTooLong  # in Python 3.10 not the built-in one
    from distributed.comm import CommClosedError

    address = workers.scheduler or os.environ.get("DASK_SCHEDULER_ADDRESS")
    try:
        with _without_ctrl_c():
            client = (
                Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR)
                if address is None
                else Client(address, timeout=_ANSWER)
            )
    except Exception as error:  # what another service answers can be taken for anything
        raise workers._unreachable(error) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_ANSWER)
        except TookTooLong as error:
            address = client.scheduler.address
            raise SynthaugError(
                f"the scheduler {address!r} has no workers", f"start some: dask worker {address} --nthreads 1"
            ) from error
        from importlib.metadata import version

        for package, wanted in _versions().items():  # before a task: a worker that cannot read one dies
            for worker, found in client.run(version, package, on_error="return").items():
                _check_alike(package, wanted, found, worker)
        config = {"backend": "dask", "client": client, "scatter": [shared]}
        yield _Pool(config, shared, -1, (KilledWorker, CancelledError, CommClosedError))


@contextmanager
def _ray(workers: Workers, shared: Any, jobs: int) -> Iterator[_Pool]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use to its makers unless it is told not to
    import ray
    from ray.exceptions import ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError
    from ray.util.joblib.ray_backend import RayBackend

    class InOrder(RayBackend):  # type: ignore[misc]
        supports_return_generator = True  # unlike the processes that it takes the place of

    ours = not ray.is_initialized()
    if ours:
        address = workers.scheduler or os.environ.get("RAY_ADDRESS") or "local"
        local = {"num_cpus": jobs, "include_dashboard": False} if address == "local" else {}
        try:
            with _without_ctrl_c():
                ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise workers._unreachable(error) from error
    try:
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        backend = InOrder(ray_remote_args={"max_restarts": _AGAIN, "max_task_retries": _AGAIN})
        lost = (RayActorError, WorkerCrashedError, ObjectLostError, OutOfMemoryError)
        yield _Pool({"backend": backend}, _Stored(ray.put(shared)), min(workers.jobs or cores, cores), lost)
    finally:
        if ours:
            ray.shutdown()
