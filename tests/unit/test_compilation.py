"""Whether compiling pays."""

from __future__ import annotations

import pytest

from synthaug.training import compilation
from synthaug.training.compilation import Gain, pays


def test_it_pays_from_the_break_even_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "MEASURED", {"cpu": Gain(seconds=60, speedup=1.5)})
    assert Gain(60, 1.5).break_even == pytest.approx(180)
    # 181 s of eager training: 60 s to compile, then 120.7 s
    assert pays("cpu", 181)
    assert not pays("cpu", 179)
    assert not pays("cuda", 1e9)  # nobody measured it


def test_a_slowdown_never_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "MEASURED", {"cpu": Gain(seconds=0, speedup=0.9)})
    assert not pays("cpu", 1e12)
