"""A random kill of `fit`; `make faults` has more of them, and of the other commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.kills import kill_and_repeat


@pytest.mark.slow
@pytest.mark.timeout(1200)  # three trainings in processes of their own
def test_a_killed_training_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    assert list(kill_and_repeat(tmp_path / "place", "fit", kills=1, seed=0)) == [[]]
