"""An evaluation that is interrupted goes on where it was, and only with what its own settings made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthaug.data.cache import LabelledImages
from synthaug.evaluation import trial_cache as trial_cache_module
from synthaug.evaluation.grid import Grid, Outcome, Trial
from synthaug.evaluation.trial import run_trials
from synthaug.evaluation.trial_cache import GRIDS, TrialCache, key
from synthaug.progress import Silent, Task
from synthaug.tasks import Workers

FILE = """
from pathlib import Path
import numpy as np
def fit(images, labels, weights, seed):
    with Path({log!r}).open("a") as log:
        log.write(f"{{seed}}\\n")
    return type("Model", (), {{"predict": lambda self, i: np.random.default_rng(seed).dirichlet([1, 1], len(i))}})()
"""


def images(count: int) -> LabelledImages:
    rng = np.random.default_rng(count)
    labels = np.arange(count) % 2
    return LabelledImages(
        rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8), labels, ["a", "b"], [str(i) for i in range(count)]
    )


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    file = tmp_path / "counting.py"
    file.write_text(FILE.format(log=str(tmp_path / "log")), encoding="utf-8")
    train, test = images(20), images(6)
    return Grid(
        str(file), 3, "cpu", train, np.arange(20), images(8), test.pixels[:2], test.pixels, 4, targets=(1,)
    )  # fmt: skip


def trained(tmp_path: Path) -> int:
    return len((tmp_path / "log").read_text().split())


TRIALS = [Trial("oversample", 0.0, s) for s in range(3)] + [
    Trial("synthetic", 0.25, 0),
    Trial("oversample", 0.0, 0, 0.5),
]


class Interrupting(Silent):
    """Ctrl-C after the second classifier."""

    def task(self, *_: Any, **__: Any) -> Any:
        class Bar(Task):
            count = 0

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *_: object) -> None: ...

            def advance(self, amount: float = 1) -> None:
                self.count += 1
                if self.count == 2:
                    raise KeyboardInterrupt

            def note(self, text: str) -> None: ...

        return Bar()


def test_an_interrupted_grid_goes_on_and_ends_alike(tmp_path: Path, grid: Grid) -> None:
    whole = run_trials(grid, TRIALS, Silent(), Workers(1))
    assert trained(tmp_path) == 5
    with pytest.raises(KeyboardInterrupt):
        run_trials(grid, TRIALS, Interrupting(), Workers(1), TrialCache(tmp_path, grid))
    assert trained(tmp_path) == 7
    again = run_trials(grid, TRIALS, Silent(), Workers(1), TrialCache(tmp_path, grid))
    assert trained(tmp_path) == 5 + 5
    assert set(again) == set(whole)
    for trial in TRIALS:
        assert np.array_equal(whole[trial].val, again[trial].val)
        assert np.array_equal(whole[trial].test, again[trial].test)
        assert whole[trial].test.dtype == again[trial].test.dtype


def test_other_settings_share_nothing(grid: Grid) -> None:
    other = images(20)
    other.pixels[0, 0, 0, 0] ^= 1
    changed = [
        replace(grid, steps=4), replace(grid, per_seed=5), replace(grid, targets=(0,)), replace(grid, train=other),
        replace(grid, pool=images(10)), replace(grid, groups=np.zeros(20, np.int64)), replace(grid, classifier="cnn"),
        replace(grid, test=grid.test[:3]), replace(grid, val=grid.val[:1]), replace(grid, flip=True),
        replace(grid, down_up=images(8)), replace(grid, down_up=images(9)),
    ]  # fmt: skip
    keys = {key(g) for g in [grid, *changed]}
    assert len(keys) == len(changed) + 1
    assert key(replace(grid)) == key(grid)
    Path(grid.classifier).write_text("def fit(i, l, w, s): ...\n", encoding="utf-8")
    assert key(grid) not in keys


def test_a_damaged_file_is_trained_again_and_the_penalty_is_stored(tmp_path: Path, grid: Grid) -> None:
    cache = TrialCache(tmp_path, grid)
    rows = np.random.default_rng(0).random((6, 2)).astype(np.float32)
    cache.store(TRIALS[0], Outcome(rows[:2], rows, 0.01))
    cache.store(TRIALS[3], Outcome(rows[:2], rows))
    found = cache.find(TRIALS[0])
    assert found is not None
    assert found.penalty == 0.01
    assert np.array_equal(found.test, rows)
    assert (cache.find(TRIALS[3]) or found).penalty is None
    assert cache.find(TRIALS[4]) is None  # another share of the real images
    for file in cache.folder.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert cache.find(TRIALS[0]) is None


def test_old_grids_are_removed(tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(GRIDS + 3):
        monkeypatch.setattr(trial_cache_module, "key", lambda _, n=n: f"grid{n}")
        cache = TrialCache(tmp_path, grid)
        cache.store(TRIALS[0], Outcome(np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32)))
        cache.tidy()
    left = {place.name for place in cache.folder.parent.iterdir()}
    assert len(left) == GRIDS
    assert f"grid{GRIDS + 2}" in left
