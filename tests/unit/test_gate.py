"""The gates: planted copies, repeats and swapped classes are caught, and real images pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from export_material import CLASSES, Painters, make_run, pixels, save_images
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from synthaug.config import GateConfig
from synthaug.data.cache import LabelledImages
from synthaug.errors import RunFailed, SynthaugError
from synthaug.metrics.pixel_copies import recompressed
from synthaug.sampling.agreement_gate import (
    FOLDS,
    QUANTILE,
    SURE,
    TARGET_QUANTILE,
    Agreement,
    assign_folds,
    fit_agreement,
    threshold,
)
from synthaug.sampling.copies import MEMORY_DIM, mirrored
from synthaug.sampling.gate import Gate, build_gate
from synthaug.sampling.gated_samples import gated_samples
from synthaug.sampling.generate import SeededGenerator
from synthaug.sampling.judgement import AGREEMENT, COPY, DUPLICATE, NOT_NEEDED, Judgement

COUNTS = (40, 12, 40)
STEPS = 30
RARE = CLASSES[1]


@pytest.fixture(scope="module")
def train() -> LabelledImages:
    images = np.concatenate([pixels(n, k, seed=k) for k, n in enumerate(COUNTS)])
    labels = np.repeat(np.arange(3), COUNTS).astype(np.int64)
    return LabelledImages(images, labels, CLASSES, [f"{k}.png" for k in range(len(labels))])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def built(train: LabelledImages, cache: Path) -> Gate:
    return build_gate(train, [RARE], GateConfig(steps=STEPS), seed=0, device="cpu", cache=cache)


@pytest.fixture
def gate(built: Gate) -> Gate:
    for index in range(3):
        built.forget(index)
    return built


@pytest.fixture(scope="module")
def painters(tmp_path_factory: pytest.TempPathFactory) -> SeededGenerator:
    root = tmp_path_factory.mktemp("gate")
    save_images(root / "data", dict(zip(CLASSES, (8, 6, 8), strict=True)))
    return SeededGenerator(Painters()(make_run(root / "data", root / "runs")), seed=0)


def _noisy(images: np.ndarray, amount: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, amount, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


def _blurred(images: np.ndarray) -> np.ndarray:
    return np.stack(
        [
            np.asarray(Image.fromarray(i.transpose(1, 2, 0)).filter(ImageFilter.GaussianBlur(0.4))).transpose(2, 0, 1)
            for i in images
        ]
    )


def _moved(images: np.ndarray, down: int, right: int) -> np.ndarray:
    side = images.shape[-1]
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), "edge")
    return padded[..., 2 - down : 2 - down + side, 2 - right : 2 - right + side].copy()


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("moved", 1.0),
        ("moved by two, mirrored", 1.0),
        ("recompressed", 0.9),
        ("moved and recompressed", 0.9),
        ("equal", 1.0),
        ("mirrored", 1.0),
        ("noise", 0.9),
        ("brighter", 0.9),
        ("blurred", 0.9),
    ],
)
@pytest.mark.parametrize("index", [0, 1])
def test_copies_of_training_images_are_rejected(
    gate: Gate, train: LabelledImages, index: int, fault: str, caught: float
) -> None:
    real = train.of_class(index)
    plant = {
        "equal": real,
        "mirrored": mirrored(real),
        "noise": _noisy(real, 3),
        "brighter": np.clip(real * 1.03, 0, 255).round().astype(np.uint8),
        "blurred": _blurred(real),
        "moved": _moved(real, 1, -1),
        "moved by two, mirrored": _moved(mirrored(real), -2, 1),
        "recompressed": recompressed(real),
        "moved and recompressed": recompressed(_moved(real, 0, 1)),
    }[fault]
    judged = gate.judge(plant, index)
    assert not judged.accepted[: len(plant)].all()
    # a real image on which the classifiers disagree is turned away for that before it can be called a copy
    looked_at = [reason for reason in judged.reasons if reason != AGREEMENT]
    assert looked_at.count(COPY) >= caught * len(looked_at) > 0


def test_a_copy_names_the_image_that_it_copies(gate: Gate, train: LabelledImages) -> None:
    rows = np.flatnonzero(train.labels == 0)
    judged = gate.judge(_noisy(train.pixels[rows], 2), 0)
    looked_at = judged.nearest_real_index >= 0
    assert (judged.nearest_real_index[looked_at] == rows[looked_at]).mean() > 0.9


def test_a_copy_of_another_class_is_caught_bit_for_bit(gate: Gate, train: LabelledImages) -> None:
    assert gate.neighbourhood is not None
    assert gate.neighbourhood.exact(train.of_class(2)).all()
    assert gate.neighbourhood.exact(mirrored(train.of_class(2))).all()
    assert not gate.neighbourhood.exact(pixels(5, 2, seed=77)).any()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_new_images_of_a_class_pass(gate: Gate, index: int) -> None:
    judged = gate.judge(pixels(100, index, seed=50 + index), index)
    assert judged.accepted.mean() > 0.7  # by design up to 20% of a common class may be turned away
    assert judged.rejected[COPY] <= 2
    assert judged.rejected[DUPLICATE] <= 3
    assert np.isfinite(judged.nearest_real_distance[judged.accepted]).all()


def test_images_of_another_class_disagree(gate: Gate) -> None:
    judged = gate.judge(pixels(60, 0, seed=60), 2)
    assert judged.rejected[AGREEMENT] >= 57
    assert judged.agreement.max() < 1


def test_repeats_are_rejected_within_and_between_chunks(gate: Gate) -> None:
    image = pixels(200, 0, seed=70)
    first = gate.judge(image[:64], 0)
    one = image[np.flatnonzero(first.accepted)[:1]]
    gate.forget(0)
    repeated = np.concatenate([one, _noisy(np.repeat(one, 9, axis=0), 1)])
    assert gate.judge(repeated, 0).reasons == [None] + [DUPLICATE] * 9
    assert gate.judge(repeated, 0).reasons == [DUPLICATE] * 10
    gate.forget(0)
    assert gate.judge(one, 0).reasons == [None]


def test_the_first_accepted_do_not_depend_on_how_many_are_needed(gate: Gate) -> None:
    candidates = pixels(64, 0, seed=71)
    every = gate.judge(candidates, 0)
    gate.forget(0)
    some = gate.judge(candidates, 0, needed=7)
    assert np.array_equal(np.flatnonzero(some.accepted), np.flatnonzero(every.accepted)[:7])
    last = int(np.flatnonzero(some.accepted)[-1])
    assert some.reasons[: last + 1] == every.reasons[: last + 1]
    assert set(some.reasons[last + 1 :]) == {NOT_NEEDED}
    assert NOT_NEEDED not in some.rejected


def test_a_restored_memory_judges_as_the_one_that_was_kept(gate: Gate) -> None:
    first, then = pixels(64, 1, seed=72), np.concatenate([pixels(20, 1, seed=72), pixels(20, 1, seed=73)])
    gate.judge(first, 1)
    kept = gate.memory(1).copy()
    assert kept.shape[1] == MEMORY_DIM
    continued = gate.judge(then, 1)
    gate.forget(1)
    gate.restore(1, kept)
    assert gate.judge(then, 1).reasons == continued.reasons


def test_switches_switch(train: LabelledImages, cache: Path) -> None:
    copies = train.of_class(0)
    none = GateConfig(steps=STEPS, agreement=False, copies=False, duplicates=False)
    opened = build_gate(train, [RARE], none, seed=0, device="cpu", cache=cache)
    assert opened.judge(copies, 2).accepted.all()
    assert opened.features is None
    assert opened.thresholds(0) == {}
    only = GateConfig(steps=STEPS, agreement=False, copies=True, duplicates=False)
    assert build_gate(train, [], only, seed=0, device="cpu", cache=cache).judge(copies, 0).rejected == {COPY: 40}


def test_limits_are_reported(gate: Gate) -> None:
    limits = gate.thresholds(1)
    assert limits["copy_features"] >= limits["duplicate_features"] > 0
    assert limits["copy_levels"] >= 1
    assert limits["duplicate_pixels"] > 0
    assert 0 <= limits["agreement"] <= SURE


def test_one_class_cannot_be_gated(train: LabelledImages) -> None:
    with pytest.raises(SynthaugError, match="two classes"):
        build_gate(train.subset(train.labels == 0), [], GateConfig(), seed=0, device="cpu", cache=None)


@given(
    st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=60), st.sampled_from([QUANTILE, TARGET_QUANTILE])
)
def test_no_threshold_rejects_more_real_images_than_its_quantile(values: list[float], quantile: float) -> None:
    probabilities = np.asarray(values)
    least = threshold(probabilities, quantile)
    assert (probabilities < least).mean() <= quantile
    assert least <= SURE


def test_no_image_held_out_means_no_threshold() -> None:
    assert threshold(np.empty(0), QUANTILE) == 0


@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(0, 2**20), st.data())
def test_folds_keep_groups_together_and_classes_even(labels: list[int], seed: int, data: st.DataObject) -> None:
    label_array = np.asarray(labels, np.int64)
    group_of = [f"{label} {data.draw(st.integers(0, 20))}" for label in labels]
    folds = assign_folds(label_array, group_of, np.random.default_rng(seed))
    for group in set(group_of):
        assert len({int(folds[i]) for i, g in enumerate(group_of) if g == group}) == 1
    for label in set(labels):
        own = folds[label_array == label]
        groups = {g for g, of in zip(group_of, labels, strict=True) if of == label}
        if len(groups) == 1:
            assert (own == -1).all()  # it would be missing from some training
        else:
            assert set(own) <= set(range(FOLDS))
            assert len(set(own)) == min(FOLDS, len(groups))


def test_ungrouped_folds_are_even() -> None:
    folds = assign_folds(np.repeat(np.arange(2), (31, 8)).astype(np.int64), None, np.random.default_rng(0))
    for part in (folds[:31], folds[31:]):
        sizes = np.bincount(part, minlength=FOLDS)
        assert sizes.max() - sizes.min() <= 1


def test_classifiers_come_from_the_cache_the_second_time(
    train: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(seed: int = 0) -> Agreement:
        return fit_agreement(train, [RARE], steps=5, seed=seed, device="cpu", cache=tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("trained again")

    first, fresh = fit(), pixels(10, 0, seed=90)
    with monkeypatch.context() as patched:
        patched.setattr("synthaug.sampling.agreement_gate._fit_member", refuse)
        again = fit()
        assert np.array_equal(again.thresholds, first.thresholds)
        assert np.array_equal(again.members(fresh), first.members(fresh))
        assert again.members.identity == first.members.identity
        with pytest.raises(AssertionError, match="trained again"):
            fit(seed=1)
    for file in tmp_path.rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:1000])
    assert np.array_equal(fit().thresholds, first.thresholds)


def test_gated_samples_give_exactly_what_is_asked_for(gate: Gate, painters: SeededGenerator) -> None:
    found = gated_samples(painters, gate, RARE, 90)
    assert found.pixels.shape == (90, 3, 16, 16)
    assert len(set(found.indices.tolist())) == 90
    assert found.judgements.accepted.all()
    everything = painters.sample(RARE, int(found.indices[-1]) + 1)
    assert np.array_equal(everything[found.indices], found.pixels)
    assert sum(found.rejected.values()) == int(found.indices[-1]) + 1 - 90
    fewer = gated_samples(painters, gate, RARE, 40)
    assert np.array_equal(fewer.pixels, found.pixels[:40])


def test_without_a_gate_the_first_samples_are_taken(painters: SeededGenerator) -> None:
    found = gated_samples(painters, None, RARE, 70)
    assert found.indices.tolist() == list(range(70))
    assert found.rejected == {}
    assert np.isnan(found.judgements.agreement).all()


def test_a_collapsed_class_ends_with_its_counts(gate: Gate, painters: SeededGenerator) -> None:
    collapsed = SeededGenerator(Painters("one")(painters.trained.run), seed=0)
    with pytest.raises(RunFailed, match=r"'disc' cannot be filled: 1 of 30 .*duplicate") as caught:
        gated_samples(collapsed, gate, "disc", 30, limit=256)
    assert "repeat each other" in caught.value.hint
    assert "--allow-short" in caught.value.hint
    short = gated_samples(collapsed, gate, "disc", 30, limit=256, allow_short=True)
    assert len(short.pixels) == 1
    assert short.rejected == {DUPLICATE: 255}


def test_judgements_of_nothing() -> None:
    assert Judgement.join([]).accepted.shape == (0,)
