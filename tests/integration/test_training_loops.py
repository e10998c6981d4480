"""Each example of the page about training loops runs on an export of painted images, if its packages are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from export_material import Painters, fit_by_painter, make_run, save_images

import synthaug

PAGE = Path(__file__).parents[2] / "docs/training-loops.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`balanced`, an export with the classes `common` and `rare`."""
    root = tmp_path_factory.mktemp("loops")
    save_images(root / "photos", {"common": 30, "rare": 8})
    run = make_run(root / "photos", root / "runs")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        synthaug.export(run, out=root / "balanced", per_class=30, gate=False, device="cpu", cache=root / "cache")
    return root


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_example(number: int, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in re.findall(r"^(?:from|import) (datasets|transformers|imblearn)", BLOCKS[number], flags=re.MULTILINE):
        pytest.importorskip(package)
        if package == "datasets":  # it has read HF_HOME already
            monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", workplace / "hf/datasets")
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(workplace / "hf"))
    monkeypatch.setattr("synthaug.imbalanced.run_fit", fit_by_painter)  # no minutes of training
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())
    monkeypatch.setattr("synthaug.imbalanced.gate_of_run", lambda *given, **more: None)
    exec(compile(BLOCKS[number], str(PAGE), "exec"), {"__name__": "example"})


def test_there_is_an_example_for_each_library() -> None:
    page = "\n".join(BLOCKS)
    assert all(f"from {name}" in page for name in ("torch", "torchvision", "datasets", "transformers", "imblearn"))
