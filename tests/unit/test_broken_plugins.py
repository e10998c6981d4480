"""A plug-in that is missing or broken: its table still lists, and only its own use is an error."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from synthaug import registry
from synthaug.errors import SynthaugError
from synthaug.registry import Registry

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
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
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
