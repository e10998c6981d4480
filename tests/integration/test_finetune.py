"""`fit --from RUN` and `traverse`, on real digits: what is taken over, what is new, what is refused, what is drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import synthaug
from synthaug.errors import SynthaugError
from synthaug.models import build_family
from synthaug.models.family import ImageShape, to_uint8
from synthaug.models.inputs import Inputs, noise
from synthaug.pipelines.traverse import traverse
from synthaug.runs import Run, all_runs
from synthaug.sampling.trained import TrainedGenerator
from synthaug.training import checkpoint
from synthaug.training.ema import Average
from synthaug.training.transfer import noted_starting_point, open_starting_point, transfer

SMALL = (
    "data.resolution=16",
    "model.width=8",
    "model.discriminator_width=8",
    "model.z_dim=16",
    "model.categorical_codes=[3]",
    "model.continuous_codes=1",
    "training.auxiliary={infogan: 1.0, acgan: 0.5}",
    "training.batch_size=16",
    "training.augment=[color]",
    "monitor.samples_per_class=8",
    "training.budget=1kimg",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of the digits 0, 1, 2 and of 1, 2, 3, 4."""
    from sklearn.datasets import load_digits

    data, root = load_digits(), tmp_path_factory.mktemp("digits")
    for folder, labels in (("first", (0, 1, 2)), ("second", (1, 2, 3, 4))):
        for label in labels:
            (root / folder / str(label)).mkdir(parents=True)
            for i in np.flatnonzero(data.target == label)[:12]:
                pixels = (data.images[i] * 255 / 16).astype(np.uint8)
                Image.fromarray(pixels).save(root / folder / str(label) / f"{i:04d}.png")
    return root


def fit(place: Path, folder: str, *sets: str, **options) -> Run:  # type: ignore[no-untyped-def]
    made = synthaug.fit(
        place / folder,
        target_class="2",
        runs=place / "runs",
        set=(*SMALL, *sets),
        device="cpu",
        cache=place / "cache",
        **options,
    )
    return Run(Path(made.run))


@pytest.fixture(scope="module")
def first(place: Path) -> Run:
    return fit(place, "first")


@pytest.fixture(scope="module")
def tuned(place: Path, first: Run) -> Run:
    return fit(place, "second", "training.freeze_discriminator=2", from_=first.name)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.checkpoints / checkpoint.names(run)[-1] / "training.safetensors")


def test_equal_classes_keep_their_embedding_and_others_begin_afresh(first: Run) -> None:
    config = first.config()
    shape = ImageShape(16, 1, 4)
    torch.manual_seed(7)
    family = build_family("dcgan", shape, config.model)
    average = Average(family.generator, 1.0)
    fresh = {k: v.clone() for k, v in family.generator.state_dict().items()}
    start = open_starting_point(first, config, shape)
    transfer(start, family.networks, average.network, ["1", "2", "3", "4"])
    theirs = {k.removeprefix("generator."): v for k, v in weights(first).items() if k.startswith("generator.")}
    ours = family.generator.state_dict()
    assert torch.equal(ours["embed.weight"][:2], theirs["embed.weight"][1:])
    assert torch.equal(ours["embed.weight"][2:], fresh["embed.weight"][2:])
    assert all(torch.equal(ours[k], theirs[k]) for k in ours if not k.startswith("embed"))
    assert torch.equal(average.network.state_dict()["embed.weight"][2:], fresh["embed.weight"][2:])
    z = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    logits = family.discriminator(family.generator(Inputs(torch.arange(4), z)), torch.arange(4))
    assert logits[0].isfinite().all()


def test_frozen_layers_stay_and_the_others_learn(first: Run, tuned: Run) -> None:
    before, after = weights(first), weights(tuned)
    body = sorted(k for k in before if k.startswith("discriminator.body") and k.endswith("original"))
    assert [torch.equal(before[k], after[k]) for k in body] == [True, True, *[False] * (len(body) - 2)]
    assert not torch.equal(before["generator.start.weight"], after["generator.start.weight"])
    noted = tuned.facts().started_from
    assert noted is not None
    assert noted.run == first.path.resolve()
    assert first.name in (tuned.path / "log.txt").read_text()
    assert tuned.facts().classes == ["1", "2", "3", "4"]


def test_one_that_is_killed_before_its_first_checkpoint_begins_with_the_same_weights(
    place: Path, first: Run, tuned: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("synthaug.pipelines.fit.train", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(place, "second", "training.freeze_discriminator=2", from_=first.name, name="killed")
    (broken,) = [run for run in all_runs(place / "runs") if run.name.endswith("killed")]
    assert checkpoint.names(broken) == []
    synthaug.fit(place / "second", resume=broken.path, runs=place / "runs", cache=place / "cache")
    ours, theirs = weights(broken), weights(tuned)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_what_a_run_began_with_must_still_be_there(first: Run, tuned: Run, tmp_path: Path) -> None:
    assert noted_starting_point(first) is None
    copy = Run(tmp_path / "copy")
    shutil.copytree(tuned.path, copy.path)
    found = noted_starting_point(copy)
    assert found is not None
    assert (found.run.path, found.classes) == (first.path.resolve(), ["0", "1", "2"])
    noted = found.note().sha256
    copy.config_file.write_text(copy.config_file.read_text().replace(noted, "f" * 64))
    with pytest.raises(SynthaugError, match="weights that it started from are gone"):
        noted_starting_point(copy)


def test_what_cannot_be_taken_over_is_named_with_all_its_differences(place: Path, first: Run) -> None:
    differences = "data.channels is 1 in that run and 3 here, model.width is 8 in that run and 9 here"
    with pytest.raises(SynthaugError, match=differences) as caught:
        fit(place, "second", "data.channels=3", "model.width=9", from_=first.name)
    assert "--set data.channels=1 --set model.width=8" in caught.value.hint
    with pytest.raises(SynthaugError, match="3 layers"):
        fit(place, "second", "training.freeze_discriminator=3", from_=first.name)
    with pytest.raises(SynthaugError, match="untrained layers"):
        fit(place, "second", "training.freeze_discriminator=1")


def test_traverse_draws_a_row_a_noise_and_a_column_a_value(first: Run, tmp_path: Path) -> None:
    made = traverse(first, rows=2, steps=5, out=tmp_path / "all.png", device="cpu")
    assert made.codes == {"0": [0, 1, 2], "1": [-0.98, -0.49, 0.0, 0.49, 0.98]}
    assert made.label == "2"
    width, height = Image.open(tmp_path / "all.png").size
    assert (width, height) == (5 * 66 + 2, 4 * 66 + 2)
    made = traverse(first, code=1, class_="0", rows=1, steps=3, out=tmp_path / "one.png", device="cpu")
    assert list(made.codes) == ["1"]
    tiles = np.asarray(Image.open(tmp_path / "one.png")).astype(int)
    assert np.abs(tiles[2:66, 2:66] - tiles[2:66, 134:198]).max() > 0  # the code changes the image
    with pytest.raises(SynthaugError, match="exists already"):
        traverse(first, out=tmp_path / "one.png", device="cpu")
    with pytest.raises(SynthaugError, match="no code 2") as caught:
        traverse(first, code=2, out=tmp_path / "x.png", device="cpu")
    assert "0 to 1" in caught.value.hint
    with pytest.raises(SynthaugError, match="'9'"):
        traverse(first, class_="9", out=tmp_path / "x.png", device="cpu")
    assert not (tmp_path / "x.png").exists()


def tiles(picture: Path) -> np.ndarray:
    """The images of a picture, int [rows, columns, 64, 64]."""
    found = np.asarray(Image.open(picture)).astype(int)
    return found[2:, 2:].reshape(found.shape[0] // 66, 66, found.shape[1] // 66, 66).swapaxes(1, 2)[:, :, :64, :64]


def test_a_walk_along_noise_goes_from_sample_to_sample(
    first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[torch.Tensor] = []
    original = TrainedGenerator.generate
    monkeypatch.setattr(
        TrainedGenerator, "generate", lambda self, inputs: lines.append(inputs.noise) or original(self, inputs)
    )
    made = traverse(first, along="noise", class_="0", rows=3, steps=5, out=tmp_path / "n.png", device="cpu")
    assert made.places == [0, 0.25, 0.5, 0.75, 1]
    walk, sampled = tiles(tmp_path / "n.png"), synthaug.load(first, device="cpu").sample("0", 3)
    for row in range(3):
        assert np.abs(walk[row, 0, ::4, ::4] - sampled[row, 0].astype(int)).max() <= 1
        assert np.abs(np.diff(walk[row], axis=0)).mean() < np.abs(walk[row, 0] - walk[row, -1]).mean()
        size = synthaug.load(first, device="cpu").trained.codes.size
        assert size == 4
        assert (lines[row][:, :size] == lines[row][0, :size]).all()  # only noise changes, not the codes
        assert (lines[row][0, size:] != lines[row][-1, size:]).all()


def test_a_walk_along_classes_ends_as_the_other_class(first: Run, tmp_path: Path) -> None:
    made = traverse(first, along="classes", class_="2", to="0", rows=2, steps=5, out=tmp_path / "c.png", device="cpu")
    assert (made.label, made.to) == ("2", "0")
    walk = tiles(tmp_path / "c.png")
    sampler = synthaug.load(first, device="cpu")
    z = noise(sampler.seed, sampler.class_index("2"), range(2), sampler.trained.z_dim)
    for column, label in ((0, "2"), (4, "0")):
        y = torch.full((2,), sampler.class_index(label))
        expected = to_uint8(sampler.trained.generate(Inputs(y, z))).astype(int)
        assert np.abs(walk[:, column, ::4, ::4] - expected[:, 0]).max() <= 1
    assert traverse(first, along="classes", class_="2", out=tmp_path / "d.png", device="cpu").to != "2"
    with pytest.raises(SynthaugError, match="start and end at"):
        traverse(first, along="classes", class_="2", to="2", out=tmp_path / "x.png", device="cpu")
    with pytest.raises(SynthaugError, match="'9'"):
        traverse(first, along="classes", to="9", out=tmp_path / "x.png", device="cpu")
    assert not (tmp_path / "x.png").exists()
