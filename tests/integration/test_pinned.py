"""Trainings, an export and an evaluation come out as they did before, bit for bit, on a machine of a recorded kind."""

from __future__ import annotations

import json

import pinned
import pytest


def test_nothing_came_out_differently() -> None:
    recorded = json.loads(pinned.RECORDED.read_text(encoding="utf-8"))
    if pinned.machine() not in recorded:
        pytest.skip(f"no digests of {pinned.machine()}: record them with `python tests/pinned.py --record`")
    assert pinned.measure(list(pinned.RECIPES)) == recorded[pinned.machine()]
