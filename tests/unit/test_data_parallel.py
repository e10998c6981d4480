"""Chunks of work come back in order, whether threads or forked processes do them, and so do errors."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np
import pytest
from numpy.lib.format import open_memmap

from synthaug.data.parallel import CHUNK, FORK_FROM, in_chunks
from synthaug.errors import RunFailed, SynthaugError

MANY, FEW = FORK_FROM + 1, CHUNK + 1
forks = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.data.parallel.workers", lambda: 2)


@pytest.mark.parametrize("count", [0, 1, FEW, MANY])
def test_every_item_comes_once_and_in_order(count: int) -> None:
    chunks = list(in_chunks(lambda chunk: [k * k for k in chunk], count))
    assert [k for chunk, _ in chunks for k in chunk] == list(range(count))
    assert [value for _, values in chunks for value in values] == [k * k for k in range(count)]


@forks
def test_many_items_are_worked_on_by_other_processes() -> None:
    assert os.getpid() not in {pid for _, pid in in_chunks(lambda _: os.getpid(), MANY)}
    assert {pid for _, pid in in_chunks(lambda _: os.getpid(), FEW)} == {os.getpid()}


def test_processes_write_into_one_array(tmp_path) -> None:  # type: ignore[no-untyped-def]
    array = open_memmap(tmp_path / "array.npy", mode="w+", dtype=np.int64, shape=(MANY,))

    def fill(chunk: range) -> None:
        array[chunk.start : chunk.stop] = chunk

    for _ in in_chunks(fill, MANY):
        pass
    assert np.array_equal(array, np.arange(MANY))


@pytest.mark.parametrize("count", [FEW, MANY])
def test_an_error_keeps_its_hint(count: int) -> None:
    def fail(chunk: range) -> None:
        if chunk.stop == count:
            raise SynthaugError("the image '9.png' is gone", "put it back")

    with pytest.raises(SynthaugError, match=r"9\.png") as caught:
        list(in_chunks(fail, count))
    assert caught.value.hint == "put it back"


@forks
def test_a_killed_process_is_an_error() -> None:
    def die(chunk: range) -> None:
        if chunk.start == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RunFailed, match="died"):
        list(in_chunks(die, MANY))
