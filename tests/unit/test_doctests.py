"""The examples in docstrings are true: those of all modules, in a folder with photos, an export and no network."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from typing import Any

import pytest
from export_material import Painters, make_run, save_images

import synthaug

ROOT = Path(synthaug.__file__).parent


def modules() -> list[str]:
    """The modules with an example, by name."""
    files = [path for path in sorted(ROOT.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]
    names = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in files]
    return [name.removesuffix(".__init__") for name in names]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos`, and `balanced`, an export of 20 images a class."""
    root = tmp_path_factory.mktemp("doctests")
    save_images(root / "photos", {"common": 20, "rare": 8})
    settings: dict[str, Any] = {"data.test_fraction": 0.0, "data.min_images_for_val": 50}
    run = make_run(root / "photos", root / "runs", **settings)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        synthaug.export(run, out=root / "balanced", per_class=20, gate=False, device="cpu", cache=root / "cache")
    return root


@pytest.mark.parametrize("name", modules())
def test_examples(name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("SYNTHAUG_CACHE", str(workplace / "cache"))
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [test for test in finder.find(module, name) if test.examples]
    assert examples, "the examples are not in docstrings"
    for test in examples:
        test.globs |= {"np": importlib.import_module("numpy"), "torch": importlib.import_module("torch")}
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test)
        assert result.failed == 0
