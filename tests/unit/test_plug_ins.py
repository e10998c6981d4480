"""Plug-ins: they are recorded; of one that is missing or broken the table still lists, and only its use is an error."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from synthaug import registry
from synthaug.config import FAMILY_OPTIONS, resolve, validate, validate_stored
from synthaug.errors import SynthaugError
from synthaug.pipelines.environment import environment
from synthaug.registry import Registry, plug_ins

BROKEN = {
    "gone": ("no_such_package.part:build", "ModuleNotFoundError"),
    "raising": ("raising_plugin.part:build", "RuntimeError: at import"),
    "misspelt": ("misspelt_plugin:build", "SyntaxError"),
    "nameless": ("nameless_plugin:build", ""),
}


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
    (tmp_path / "raising_plugin").mkdir()
    (tmp_path / "raising_plugin" / "__init__.py").write_text("raise RuntimeError('at import')")
    (tmp_path / "misspelt_plugin.py").write_text("def build(:")
    (tmp_path / "nameless_plugin.py").write_text("# it has no `build`")
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint(name, value, "synthaug.number_types") for name, (value, _) in BROKEN.items()]
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    return Registry("number types", {"fraction": "fractions:Fraction"})


def test_the_table_still_lists_and_says_what_is_broken(table: Registry[object]) -> None:
    assert table.names() == ["fraction", *BROKEN]
    assert "rational" in table.summary("fraction").lower()
    for name, (_, reason) in BROKEN.items():
        assert reason in table.summary(name)
        assert table.summary(name).startswith("(cannot be loaded: ") == bool(reason)


@pytest.mark.parametrize("name", BROKEN)
def test_its_use_is_one_error_that_names_it(name: str, table: Registry[object]) -> None:
    with pytest.raises(SynthaugError, match=f"plug-in '{name}'") as caught:
        table.get(name)
    assert "uninstall" in caught.value.hint
    assert table.get("fraction").__name__ == "Fraction"  # type: ignore[attr-defined]


def test_loading_all_leaves_out_what_is_broken_and_says_why(table: Registry[object]) -> None:
    entries, faults = table.load()
    assert list(entries) == ["fraction"]
    assert len(faults) == len(BROKEN)
    for fault, (name, (_, reason)) in zip(faults, BROKEN.items(), strict=True):
        assert f"plug-in {name!r} of number types" in fault
        assert reason in fault


def test_runs_open_beside_a_plug_in_whose_options_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAMILY_OPTIONS, "_built_in", dict(FAMILY_OPTIONS._entries))
    monkeypatch.setitem(FAMILY_OPTIONS._entries, "gone", "no_such_package:Options")
    stored = resolve("biggan").config
    assert validate_stored(stored.model_dump(mode="json")) == stored
    with pytest.raises(SynthaugError, match="is an option of biggan; this is dcgan"):
        validate({"model": {"attention": 8}})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with a plug-in, as pip leaves it."""
    info = tmp_path / "sharp_pictures-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sharp-pictures\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[synthaug.metrics]\nsharp = sharp_pictures:sharp\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("SYNTHAUG_NO_PLUGINS")
    registry._entry_points.cache_clear()
    yield
    registry._entry_points.cache_clear()


def test_an_installed_plug_in_is_found_and_recorded(installed: None) -> None:
    assert Registry("metrics", {}).names() == ["sharp"]
    assert Registry("features", {}).names() == []
    assert plug_ins()["sharp-pictures"] == "1.2"
    assert environment(torch.device("cpu"), "32-true")["plug_ins"] == plug_ins()


def test_the_variable_leaves_plug_ins_out(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHAUG_NO_PLUGINS", "1")
    assert plug_ins() == {}
    assert Registry("metrics", {}).names() == []
