"""A family that starts from images, through all commands: fit, export, regenerate, samples."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_material import CLASSES, metadata, save_images
from PIL import Image
from torch import nn

from synthaug.config import GateConfig, resolve
from synthaug.data.cache import LabelledImages
from synthaug.data.run_data import RunData
from synthaug.data.split import Split
from synthaug.errors import SynthaugError
from synthaug.evaluation import images as evaluated
from synthaug.evaluation.arms import TARGETS_ONLY
from synthaug.evaluation.grid import Grid, Trial
from synthaug.exporters.manifest import read_manifest
from synthaug.models.inputs import Inputs
from synthaug.pipelines import evaluated_folds
from synthaug.pipelines.check import check
from synthaug.pipelines.evaluated_folds import asked_arms, mix_of
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit
from synthaug.pipelines.regenerate import regenerate
from synthaug.pipelines.samples import samples
from synthaug.pipelines.traverse import traverse
from synthaug.progress import Silent
from synthaug.requests import EvaluateRequest
from synthaug.runs import Run
from synthaug.sampling.agreement_gate import Agreement
from synthaug.sampling.gate import Gate, build_gate
from synthaug.sampling.generate import load
from synthaug.sampling.judgement import UNCHANGED

RARE = CLASSES[1]
SMALL = {
    "model.family": "translator", "model.width": 8, "model.discriminator_width": 8, "model.embed_dim": 8,
    "data.resolution": 16, "data.min_images_for_val": 20, "gate.steps": 24, "monitor.every_kimg": 1,
    "monitor.samples_per_class": 8, "training.budget": "2kimg", "training.precision": "32-true",
    "model.source_classes": [CLASSES[0], CLASSES[2]],
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("translator")
    save_images(root / "data", {CLASSES[0]: 30, RARE: 10, CLASSES[2]: 30})
    return Run(Path(fit(root / "data", target_class=RARE, set=SMALL, runs=root / "runs", device="cpu").run))


@pytest.fixture(scope="module")
def exported(run: Run) -> Path:
    out = run.path.parent.parent / "out"
    export(run, out=out, per_class=100, gate=False, device="cpu")
    return out


def test_the_run_notes_its_source_classes(run: Run) -> None:
    assert run.facts().sources[RARE] == [CLASSES[0], CLASSES[2]]
    assert run.facts().sources[CLASSES[0]] == [CLASSES[2]]


def test_the_target_class_cannot_be_its_only_source(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="is the target class itself") as caught:
        fit(run.facts().data, target_class=RARE, set=SMALL, source_classes=[RARE], runs=tmp_path, device="cpu")
    assert "model.mode=vary" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SynthaugError, match="no source class 'dics'"):
        fit(run.facts().data, target_class=RARE, set=SMALL, source_classes="dics", runs=tmp_path, device="cpu")
    with pytest.raises(SynthaugError, match=r"model\.source_classes.* is an option of translator"):
        fit(run.facts().data, target_class=RARE, source_classes=[CLASSES[0]], runs=tmp_path, device="cpu")


def test_each_row_names_its_source_which_is_a_training_image(run: Run, exported: Path) -> None:
    rows = [row for row in metadata(exported) if row["synthetic"] and row["label"] == RARE]
    training = {row.path: row for row in Split.read(run.split_file).of("train")}
    for row in rows:
        source = training[row["source_path"]]
        assert row["source_pixel_sha256"] == source.pixel_sha256
        assert (row["source_label"], row["source_group"]) == (source.label, source.group)
        assert row["mode"] == ("vary" if source.label == RARE else "translate")
    modes = Counter(row["mode"] for row in rows)
    assert abs(modes["vary"] - modes["translate"]) <= 1
    document = read_manifest(exported / "manifest.json")
    assert document.mode == "both"
    assert document.export.per_class[RARE].sources == len({row["source_path"] for row in rows}) > 20
    behind = evaluated_folds._told(exported, [RARE])[0][RARE]
    assert (behind.images, behind.sources) == (len(rows), document.export.per_class[RARE].sources)
    assert evaluated_folds._told(run.facts().data, [RARE]) == ({}, {})
    real = [row for row in metadata(exported) if not row["synthetic"]]
    assert {row["source_path"] for row in real} == {""}


def test_every_image_is_made_again_bit_for_bit(run: Run, exported: Path) -> None:
    document = regenerate(exported, verify=True, device="cpu")
    assert document.equal == document.rows == sum(row["synthetic"] for row in metadata(exported))


def test_a_source_that_is_missing_or_has_changed_is_named(exported: Path, run: Run) -> None:
    number, row = next((n, row) for n, row in enumerate(metadata(exported)) if row["mode"] == "translate")
    file = run.facts().data / row["source_path"]
    kept = file.read_bytes()
    try:
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
        with pytest.raises(SynthaugError, match="has changed") as changed:
            regenerate(exported, row=[number], device="cpu")
        assert row["source_path"] in changed.value.message
        file.unlink()
        with pytest.raises(SynthaugError, match="is gone") as missing:
            regenerate(exported, row=[number], device="cpu")
        assert row["source_path"] in missing.value.message
    finally:
        file.write_bytes(kept)


def test_a_row_that_names_another_source_is_refused(exported: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    file = copy / "train" / "metadata.jsonl"
    rows = metadata(copy)
    number = next(n for n, row in enumerate(rows) if row["mode"] == "vary")
    rows[number]["source_path"] = next(row["source_path"] for row in rows if row["mode"] == "translate")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SynthaugError, match=f"row {number}.*was not made from"):
        regenerate(copy, row=[number], device="cpu")


def test_images_vary_with_z_class_and_source(run: Run) -> None:
    trained = load(run, device="cpu").trained
    inputs = trained.inputs(0).chunk(1, 0)
    made = trained.generate(inputs)
    for other in (
        inputs._replace(z=-inputs.noise), inputs._replace(labels=inputs.labels * 0),
        inputs._replace(sources=inputs.images.flip(0)),
    ):  # fmt: skip
        assert (trained.generate(other) - made).abs().mean() > 1e-3


def test_an_image_depends_on_its_own_source_alone(run: Run) -> None:
    trained = load(run, device="cpu").trained
    inputs = trained.inputs(0).chunk(1, 0)
    images = inputs.images.clone()
    images[1:] = 0
    torch.testing.assert_close(trained.generate(inputs._replace(sources=images))[0], trained.generate(inputs)[0])


def test_a_mode_can_be_given_to_each_command(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "varied"
    export(run, out=out, per_class=60, mode="vary", gate=False, device="cpu")
    assert {row["mode"] for row in metadata(out) if row["synthetic"]} == {"vary"}
    assert regenerate(out, device="cpu").different == []
    both = load(run, device="cpu").sample(RARE, 4)
    made = samples(run, class_=RARE, count=4, mode="translate", out=tmp_path / "samples", device="cpu")
    translated = np.asarray(Image.open(tmp_path / "samples" / made.per_class[RARE][0]))
    assert np.array_equal(load(run, mode="translate", device="cpu").sample(RARE, 1)[0].transpose(1, 2, 0), translated)
    assert len(both) == 4


def test_no_source_is_drawn_too_often(run: Run, tmp_path: Path) -> None:
    most = load(run, mode="vary", device="cpu").most(RARE)
    count = len([row for row in Split.read(run.split_file).of("train") if row.label == RARE])
    assert most == 50 * count
    assert load(run, device="cpu").most(RARE) == 2 * most


def test_common_classes_pass_through_the_network_too_when_it_is_evaluated(run: Run) -> None:
    """The fingerprint control: a trace of the network must not say "rare"."""
    data = RunData.open(run)
    asked = EvaluateRequest()
    assert mix_of(asked, data) == "all"
    assert asked_arms(asked, data) == ("default", TARGETS_ONLY)
    assert mix_of(EvaluateRequest(mix="targets"), data) == "targets"
    assert asked_arms(EvaluateRequest(mix="targets"), data) is None
    assert asked_arms(EvaluateRequest(arms=("real", "synthetic")), data) == ("real", "synthetic")
    noise = replace(data, config=resolve(flags={"data.resolution": 16}).config)
    assert (mix_of(asked, noise), asked_arms(asked, noise)) == ("targets", None)


def test_the_arm_of_target_classes_alone_takes_no_other_synthetic_image() -> None:
    real, pool = real_images(), real_images()
    grid = Grid(
        classifier="cnn", steps=1, device="cpu", train=real, groups=np.arange(len(real)), pool=pool,
        val=real.pixels, test=real.pixels, per_seed=10, targets=(1,),
    )  # fmt: skip
    whole = grid.training_set(Trial("synthetic+classical", 0.5, 0))
    rare = grid.training_set(Trial(TARGETS_ONLY, 0.5, 0))
    assert set(whole.labels[whole.groups < 0]) == {0, 1, 2}
    assert set(rare.labels[rare.groups < 0]) == {1}


def test_an_interrupted_training_goes_on_exactly(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthaug.training import steps

    calls = 0
    step = steps.STEPS.get("translation")

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 50:
            raise KeyboardInterrupt
        return step(*arguments)

    data = run.facts().data
    with monkeypatch.context() as patch:
        patch.setattr(steps.STEPS, "get", lambda name: interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(data, target_class=RARE, set=SMALL, runs=tmp_path, device="cpu")
    resumed = Run(Path(fit(data, target_class=RARE, set=SMALL, runs=tmp_path, resume="auto", device="cpu").run))
    assert len(list(tmp_path.glob("0*"))) == 1
    last = "checkpoints/kimg000001/generator.safetensors"  # of the last step
    assert (resumed.path / last).read_bytes() == (run.path / last).read_bytes()


class Identity(nn.Module):
    """Stands in for a translator that changes nothing."""

    def forward(self, inputs: Inputs) -> torch.Tensor:
        return inputs.images


def real_images() -> LabelledImages:
    from export_material import pixels

    counts = (40, 12, 40)
    images = np.concatenate([pixels(n, k, seed=k) for k, n in enumerate(counts)])
    labels = np.repeat(np.arange(3), counts).astype(np.int64)
    return LabelledImages(images, labels, CLASSES, [f"{k}.png" for k in range(len(labels))])


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    config = GateConfig(steps=24, agreement=False)
    return build_gate(real_images(), [RARE], config, seed=0, device="cpu", cache=tmp_path_factory.mktemp("cache"))


def test_a_translation_that_changed_nothing_is_turned_away(gate: Gate) -> None:
    train = real_images()
    origins = np.arange(30)  # discs, called rings
    slightly = (np.roll(train.pixels[origins], 1, axis=3) * 0.97).astype(np.uint8)  # not the same pixels
    rejected = gate.judge(slightly, 1, origins=origins).rejected
    assert rejected[UNCHANGED] >= 25
    gate.forget(1)
    assert UNCHANGED not in gate.judge(slightly, 1).rejected  # without sources, they are new images of a ring
    gate.forget(1)


def test_the_class_is_judged_by_the_classifier_that_has_not_seen_the_source() -> None:
    class Votes:
        def probabilities(self, features: np.ndarray) -> np.ndarray:
            votes = np.zeros((3, len(features), 2), np.float32)
            votes[:, :, 1] = np.array([0.1, 0.5, 0.9])[:, None]
            return votes

    agreement = Agreement(Votes(), np.zeros(2), np.array([2, 0, -1, 1]))  # type: ignore[arg-type]
    features = np.zeros((4, 1), np.float32)
    origins = np.array([0, 1, 2, 3])
    assert agreement.probability(features, 1, origins) == pytest.approx([0.9, 0.1, 0.5, 0.5])
    assert agreement.probability(features, 1) == pytest.approx([0.5] * 4)


def test_pictures_show_the_real_image_beside_what_was_made_of_it(run: Run, tmp_path: Path) -> None:
    samples(run, class_=RARE, count=4, out=tmp_path / "s", device="cpu")
    sampler = load(run, device="cpu")
    picture = np.asarray(Image.open(tmp_path / "s" / "grid.png"))
    left = picture.shape[1] - 2 * 66  # two columns, behind the name of the class
    tile = picture[2:66, left : left + 64][::4, ::4].transpose(2, 0, 1)  # 16 px, enlarged four times
    assert np.array_equal(tile, sampler.sources(RARE, 1)[0])
    below = picture[68:132, left : left + 64][::4, ::4].transpose(2, 0, 1)
    assert np.array_equal(below, sampler.sample(RARE, 1)[0])


def test_a_walk_between_classes_begins_with_a_real_image_of_the_first(run: Run, tmp_path: Path) -> None:
    traverse(run, along="classes", class_=CLASSES[0], to=RARE, rows=2, steps=3, out=tmp_path / "w.png", device="cpu")
    picture = np.asarray(Image.open(tmp_path / "w.png"))
    assert picture.shape[:2] == (2 + 2 * 66, 2 + 4 * 66)
    first = picture[2:66, 2:66][::4, ::4].transpose(2, 0, 1)
    images = RunData.open(run).images("train", None, Silent())
    assert any(np.array_equal(first, image) for image in images.of_class(CLASSES[0]))
    varied = load(run, mode="vary", device="cpu").sample(CLASSES[0], 1)[0]
    second = picture[2:66, 68:132][::4, ::4].transpose(2, 0, 1)
    assert np.abs(second.astype(int) - varied).max() <= 1
    assert traverse(run, along="noise", rows=2, steps=3, out=tmp_path / "n.png", device="cpu").label == RARE


def test_by_default_a_walk_goes_from_a_source_class_to_the_target(run: Run, tmp_path: Path) -> None:
    other, walk = CLASSES[2], partial(traverse, run, along="classes", rows=1, steps=2, overwrite=True, device="cpu")
    for given, ends in (
        ({}, (CLASSES[0], RARE)), ({"to": CLASSES[0]}, (other, CLASSES[0])), ({"class_": other}, (other, RARE)),
        ({"class_": RARE, "to": other}, (RARE, other)),
    ):  # fmt: skip
        drawn = walk(out=tmp_path / "w.png", **given)
        assert (drawn.label, drawn.to) == ends


def test_an_evaluation_knows_what_its_images_were_made_from(run: Run) -> None:
    data, sampler = RunData.open(run), load(run, seed=7, device="cpu")
    real = evaluated.real_images(data, None, cache=None, progress=Silent())
    made = evaluated.fresh_samples(
        sampler, real, [CLASSES[2], RARE], seeds=1, gate=False, choice=None, device="cpu", cache=None,
        progress=Silent(),
    )  # fmt: skip
    assert made.origins is not None
    sources = data.images("train", None, Silent()).pixels[made.origins.rows]
    for name, index in ((CLASSES[2], 2), (RARE, 1)):
        own = made.gated.labels == index
        assert np.array_equal(sources[own], sampler.sources(name, own.sum()))
        counted = made.origins.counts(made.gated)[name]
        assert (counted.images, counted.sources) == (own.sum(), len({image.tobytes() for image in sources[own]}))


def test_every_command_opens_the_sources_through_the_cache_that_is_given(
    run: Run, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHAUG_CACHE", str(tmp_path / "default"))
    row = next(number for number, row in enumerate(metadata(exported)) if row["synthetic"])
    commands: dict[str, Callable[[Path], object]] = {
        "samples": lambda cache: samples(run, class_=RARE, count=1, out=tmp_path / "s", device="cpu", cache=cache),
        "traverse": lambda cache: traverse(
            run, along="classes", rows=1, steps=2, out=tmp_path / "w.png", device="cpu", cache=cache
        ),
        "export": lambda cache: export(run, out=tmp_path / "e", per_class=40, gate=False, device="cpu", cache=cache),
        "regenerate": lambda cache: regenerate(exported, row=[row], device="cpu", cache=cache),
        "check": lambda cache: check(run, count=8, device="cpu", cache=cache),
    }
    for name, command in commands.items():
        command(tmp_path / name)
        assert list((tmp_path / name).rglob("*.npy")), name
        assert not (tmp_path / "default").exists(), name
