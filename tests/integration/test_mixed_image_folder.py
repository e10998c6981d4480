"""`synthaug.torch`: real and synthetic images for a training loop, with shares and weights, from an export or a run."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from export_material import CLASSES, Painters, make_run, save_images
from report_material import evaluation
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

import synthaug
from synthaug.documents import Recommendation
from synthaug.errors import SynthaugError
from synthaug.files import write_json
from synthaug.pipelines.describe import report_of
from synthaug.runs import Run
from synthaug.torch import MixedImageFolder

DISC, RING, STRIPES = CLASSES
COUNTS = {DISC: 30, RING: 10, STRIPES: 30}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("mixed")
    save_images(root / "data", COUNTS)
    return make_run(root / "data", root / "runs", **{"data.min_images_for_val": 50})


@pytest.fixture(autouse=True)
def painter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())


@pytest.fixture(scope="module")
def out(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        synthaug.export(run, out=out, per_class=40, gate=False, device="cpu")
    return out


def share_of(data: MixedImageFolder, label: str, draws: int = 4000) -> tuple[float, float]:
    """The share of a class in the draws, and of synthetic images in its draws."""
    rows = np.array(list(data.sampler(draws, seed=0)))
    own = rows[data.targets[rows] == data.class_to_idx[label]]
    return len(own) / draws, float(data.synthetic[own].mean()) if len(own) else 0.0


def test_it_stands_where_an_image_folder_stands(out: Path) -> None:
    ours, theirs = MixedImageFolder(out, transform=ToTensor()), ImageFolder(str(out / "train"), ToTensor())
    assert (ours.classes, ours.class_to_idx, len(ours)) == (theirs.classes, theirs.class_to_idx, len(theirs))
    assert sorted(ours.samples) == sorted((path, target) for path, target in theirs.samples)
    place = {path: row for row, (path, _) in enumerate(theirs.samples)}
    for row in (0, 55, 119):
        image, target = ours[row]
        same, label = theirs[place[ours.samples[row][0]]]
        assert torch.equal(image, same)
        assert target == label == ours.targets[row]
    assert Counter(ours.synthetic[ours.targets == 1].tolist())[False] == 8  # two of ten are test images
    assert repr(ours) == f"MixedImageFolder: 56 real and 64 synthetic images of {sorted(CLASSES)}"


@pytest.mark.parametrize(
    ("share", "weight", "expected"),
    [
        (None, "balanced", {DISC: (1 / 3, 0.4), RING: (1 / 3, 0.8)}),  # as many as there are
        (0.25, "balanced", {DISC: (1 / 3, 0.25), RING: (1 / 3, 0.25)}),
        ({RING: 0.1}, "balanced", {DISC: (1 / 3, 0.0), RING: (1 / 3, 0.1)}),
        ({RING: 0.5}, "natural", {DISC: (24 / 56, 0.0), RING: (8 / 56, 0.5)}),
        ({RING: 1.0}, {RING: 2}, {DISC: (1 / 4, 0.0), RING: (1 / 2, 1.0)}),
        ({}, {DISC: 0}, {DISC: (0.0, 0.0), RING: (1 / 2, 0.0)}),
    ],
)
def test_draws_have_the_shares_and_weights_that_were_asked_for(out: Path, share, weight, expected) -> None:  # type: ignore[no-untyped-def]
    data = MixedImageFolder(out, share=share, weight=weight)
    for label, (often, synthetic) in expected.items():
        assert share_of(data, label) == pytest.approx((often, synthetic), abs=0.04)
    if isinstance(share, dict):
        assert {data.classes[k] for k in set(data.targets[data.synthetic].tolist())} == set(share)


def test_an_evaluation_stands_for_its_recommendation(out: Path) -> None:
    document = evaluation(list(CLASSES), [RING])
    document.recommended = {
        RING: Recommendation(real=8, synthetic=4, share=1 / 3, arm="synthetic", chosen_on="val", reason="")
    }
    data = MixedImageFolder(out, share=document)
    assert share_of(data, RING) == pytest.approx((1 / 3, 1 / 3), abs=0.04)
    assert share_of(data, DISC)[1] == 0


def test_a_run_makes_its_images_here(run: Run, tmp_path: Path) -> None:
    data = MixedImageFolder(run, share={RING: 0.25}, per_class=20, gate=False, cache=tmp_path, device="cpu")
    assert (len(data), int(data.synthetic.sum())) == (56 + 20, 20)
    assert set(data.targets[data.synthetic].tolist()) == {data.class_to_idx[RING]}
    assert {image.size for image, _ in (data[0], data[75])} == {(16, 16)}
    expected = synthaug.load(run, device="cpu").sample(RING, 1)[0].transpose(1, 2, 0)
    assert np.array_equal(np.asarray(data[56][0]), expected)
    assert share_of(data, RING) == pytest.approx((1 / 3, 0.25), abs=0.04)


def test_a_run_without_a_share_follows_its_evaluation(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="no evaluation that recommends a share") as error:
        MixedImageFolder(run, cache=tmp_path)
    assert "share=0.25" in error.value.hint
    document = evaluation(list(CLASSES), [RING])
    document.recommended = {
        RING: Recommendation(real=8, synthetic=0, share=0.0, arm="synthetic", chosen_on="test", reason="")
    }
    report_of(run).parent.mkdir()
    write_json(report_of(run), document.model_dump(mode="json"))
    assert not MixedImageFolder(run, cache=tmp_path).synthetic.any()


def test_workers_load_it(out: Path) -> None:
    data = pickle.loads(pickle.dumps(MixedImageFolder(out, share=0.5, transform=ToTensor())))
    loader = DataLoader(data, batch_size=30, sampler=data.sampler(60, seed=1))
    assert [tuple(images.shape) for images, _ in loader] == [(30, 3, 16, 16)] * 2
    assert list(data.sampler(9, seed=3)) == list(data.sampler(9, seed=3))


def test_what_cannot_be_mixed_is_an_error(out: Path, run: Run, tmp_path: Path) -> None:
    for share, said in ((1.5, "is 1.5"), (float("nan"), "is nan"), ({"rign": 0.5}, "no class 'rign'")):
        with pytest.raises(SynthaugError, match=said):
            MixedImageFolder(out, share=share)  # type: ignore[arg-type]
    with pytest.raises(SynthaugError, match="weight 'natrual' is not known"):
        MixedImageFolder(out, weight="natrual")  # type: ignore[arg-type]
    with pytest.raises(SynthaugError, match="weight of 'disc' is -1"):
        MixedImageFolder(out, weight={DISC: -1})
    with pytest.raises(SynthaugError, match="is no export, and there is no run"):
        MixedImageFolder(tmp_path / "nothing", runs=run.path.parent)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        synthaug.export(run, out=tmp_path / "few", per_class={RING: 12}, gate=False, device="cpu")
        synthaug.export(run, out=tmp_path / "tar", per_class=12, gate=False, device="cpu", format="webdataset")
    with pytest.raises(SynthaugError, match="'disc', which has no synthetic images"):
        MixedImageFolder(tmp_path / "few", share={DISC: 0.5})
    with pytest.raises(SynthaugError, match="has the format 'webdataset'"):
        MixedImageFolder(tmp_path / "tar")
