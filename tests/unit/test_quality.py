"""The CheckDocument: what is measured against what, for every kind of reference and for very small classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_info, threadpool_limits

from synthaug.data.cache import LabelledImages
from synthaug.documents import CheckDocument, Score
from synthaug.errors import SynthaugError
from synthaug.metrics.matched_comparison import Stratum, compare_fidelity
from synthaug.metrics.memorisation import C_T_FLOOR
from synthaug.metrics.quality import quality
from synthaug.metrics.real import Reference, describe_real
from synthaug.metrics.spread import proportion_range
from synthaug.pipelines import check as pipeline
from synthaug.pipelines import monitor_net

DIGITS = load_digits()
ORDER = np.random.default_rng(0).permutation(len(DIGITS.target))  # the digits come sorted by writer
CLASSES = ["one", "three", "eight"]
NUMBERS = {"one": 1, "three": 3, "eight": 8}
Pixels = NDArray[np.uint8]


class GreyLevels:
    """The pixels of the first channel, at 8 × 8, as features."""

    name, sha256, dim, identity = "pixels", "0" * 64, 64, "pixels@000000000000"

    def __call__(self, pixels: Pixels, *, batch_size: int | None = None) -> NDArray[np.float32]:
        step = pixels.shape[-1] // 8
        return pixels[:, 0, ::step, ::step].reshape(len(pixels), -1).astype(np.float32) / 15


def digits(counts: dict[str, tuple[int, int]], name: str, classes: list[str] | None = None) -> LabelledImages:
    """Digits number `first` to `last` of each class."""
    classes = classes or CLASSES
    pixels, labels = [], []
    for label, (first, last) in counts.items():
        rows = ORDER[DIGITS.target[ORDER] == NUMBERS[label]][first:last]
        pixels.append((DIGITS.images[rows] * 15).astype(np.uint8)[:, None])
        labels += [classes.index(label)] * len(rows)
    return LabelledImages(
        np.concatenate(pixels), np.array(labels, np.int64), classes, [f"{name}/{i}.png" for i in range(len(labels))]
    )


TRAIN = digits({"one": (0, 50), "three": (0, 12), "eight": (0, 50)}, "train")
TEST = digits({"one": (50, 90), "three": (12, 40), "eight": (50, 90)}, "test")
NEW = digits({"one": (90, 170), "three": (40, 170), "eight": (90, 170)}, "new")


def judged(reference: Reference = "test", synthetic: LabelledImages = NEW, **change: object) -> CheckDocument:
    real = {"test": TEST, "val": TEST, "folder": TEST, "train": TRAIN}[reference]
    train = change.pop("train", TRAIN)
    return quality(real, train, synthetic, GreyLevels(), reference=reference, gated=False, **change)  # type: ignore[arg-type]


def test_document_of_new_real_images() -> None:
    found = judged()
    assert (found.features, found.reference, found.gated) == ("pixels@000000000000", "test", False)
    assert list(found.per_class) == CLASSES
    rare = found.per_class["three"]
    assert (rare.n_real, rare.n_synthetic, rare.n_compared) == (28, 130, 14)
    assert (rare.collapse, rare.memorisation) == ("healthy", "clear")
    for q in found.per_class.values():
        kid, coverage, dcr = q.score("kid"), q.score("coverage"), q.score("dcr").interval
        for found_range in (kid.interval, kid.floor):
            assert found_range
            assert found_range.low <= found_range.mean <= found_range.high
        assert coverage.value == pytest.approx(coverage.floor.mean if coverage.floor else 0, abs=0.15)
        assert q.score("pairwise_ratio").value == pytest.approx(1, abs=0.2)
        assert q.score("vendi_ratio").value == pytest.approx(1, abs=0.25)
        assert q.score("detect_auc").value == pytest.approx(0.5, abs=0.25)
        assert dcr
        assert dcr.low < 1.2
    assert found == CheckDocument.model_validate_json(found.model_dump_json())


def test_every_number_of_the_pool_and_of_a_class_has_its_range_and_floor() -> None:
    found = judged()
    assert found.pooled is not None
    assert found.pooled.n_compared == sum(q.n_compared for q in found.per_class.values())
    for scores in (found.pooled, found.per_class["one"]):
        for name in (
            *("kid", "fid", "precision", "recall", "density", "coverage", "vendi_ratio", "pairwise_ratio"),
            *("duplicate_rate", "agreement", "detect_auc", "gan_train", "gan_test"),
        ):
            score = scores.score(name)
            assert score.interval, name
            assert score.floor, name
            assert score.interval.low <= score.interval.mean == score.value <= score.interval.high, name
            assert score.floor.low <= score.floor.mean <= score.floor.high, name
        for name in ("gan_train", "gan_test"):
            score = scores.score(name)
            assert score.value == pytest.approx(score.floor.mean if score.floor else 0, abs=0.2)
    one = found.per_class["one"]
    assert {row.name for row in one.bias} >= {"brightness", "contrast", "object size"}
    missed, authenticity = one.score("missed_clusters"), one.score("authenticity")
    assert missed.text
    assert missed.floor
    assert missed.floor.high <= int(missed.text.split(" of ")[1])
    assert authenticity.interval
    assert authenticity.interval.low <= (authenticity.value or 0) <= authenticity.interval.high
    assert authenticity.floor
    assert one.score("c_t").floor == C_T_FLOOR


def test_own_features_take_their_floor_from_held_out_halves() -> None:
    class Own(GreyLevels):
        name = "own"

    fitted = quality(TEST, TRAIN, NEW, Own(), reference="test", gated=False).per_class["one"]
    assert (fitted.n_compared, fitted.n_diversity) == (20, 20)  # halves of 40, though 50 training images are there
    assert judged().per_class["one"].n_compared == 40


def test_same_seed_same_document() -> None:
    assert judged(seed=3) == judged(seed=3)
    assert judged(seed=3) != judged(seed=4)


def test_judging_keeps_to_one_thread_and_feature_nets_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, set[int]] = {"net": set(), "judge": set()}

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info()}

    class Watched(GreyLevels):
        def __call__(self, pixels: Pixels, *, batch_size: int | None = None) -> NDArray[np.float32]:
            seen["net"] |= threads()
            return super().__call__(pixels)

    def watched(strata: Any, *, rng: np.random.Generator) -> Any:
        seen["judge"] |= threads()
        return compare_fidelity(strata, rng=rng)

    monkeypatch.setattr("synthaug.metrics.context.compare_fidelity", watched)
    with threadpool_limits(2):
        quality(TEST, TRAIN, NEW, Watched(), reference="test", gated=False)
        assert threads() == {2}
    assert seen == {"net": {2}, "judge": {1}}


def test_real_side_can_be_described_once() -> None:
    real = describe_real(TEST, TRAIN, GreyLevels(), kind="test")
    assert judged(real=real) == judged()


def test_other_classes_are_limited_and_not_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.metrics.real.MAX_PER_CLASS", 11)
    real = describe_real(TEST, TRAIN, GreyLevels(), kind="test", classes=["three"])
    assert {name: len(found) for name, found in real.train.items()} == {"one": 11, "three": 12, "eight": 11}
    assert {name: len(found) for name, found in real.reference.items()} == {"one": 11, "three": 28, "eight": 11}
    assert list(real.mirrored) == ["three"]
    threes = NEW.subset(NEW.labels == 1)
    assert judged(synthetic=threes, real=real).per_class["three"].memorisation == "clear"


def test_classes_are_matched_by_name_and_only_given_ones_are_judged() -> None:
    turned = digits({"eight": (90, 170)}, "new", ["eight", "one"])
    found = judged(synthetic=turned)
    assert list(found.per_class) == ["eight"]
    assert (found.per_class["eight"].score("agreement").value or 0) > 0.8


def test_unknown_class_and_no_images_are_errors() -> None:
    stranger = LabelledImages(NEW.pixels[:20], np.zeros(20, np.int64), ["thre"], [str(i) for i in range(20)])
    with pytest.raises(SynthaugError) as caught:
        judged(synthetic=stranger)
    assert "'thre'" in caught.value.message
    assert 'did you mean "three"' in caught.value.hint
    with pytest.raises(SynthaugError, match="no synthetic image"):
        judged(synthetic=NEW.subset([]))


def test_training_images_as_reference_promise_nothing_about_copies() -> None:
    found = judged("train")
    for q in found.per_class.values():
        assert q.memorisation == "insufficient held-out data"
        assert q.score("dcr") == q.score("c_t") == Score()
        assert q.score("authenticity").floor is None
        assert any("copies get too good a score" in reason for reason in q.reasons)
    assert found.worst_pairs  # the nearest pairs can be looked at all the same


def test_unknown_training_images() -> None:
    found = judged("folder", train=None)
    one = found.per_class["one"]
    assert one.memorisation == "insufficient held-out data"
    assert (one.score("authenticity"), found.worst_pairs) == (Score(), [])
    assert one.score("kid").interval
    assert one.score("kid").floor
    assert one.n_compared == 20  # the floor takes the other half


@pytest.mark.parametrize("held_out", [0, 1, 3, 5, 9, 10])
def test_tiny_classes_are_judged_as_far_as_they_can_be(held_out: int) -> None:
    test = digits({"one": (50, 90), "three": (12, 12 + held_out), "eight": (50, 90)}, "test")
    found = quality(test, TRAIN, NEW, GreyLevels(), reference="test", gated=False).per_class["three"]
    assert found.collapse == "healthy"
    if held_out < 4:
        assert any("its training images" in reason for reason in found.reasons)
        assert found.n_real == 12
    else:
        assert (found.n_real, found.n_compared) == (held_out, held_out)
    assert (found.score("coverage").value is None) == (found.n_compared < 10)
    assert (found.memorisation == "insufficient held-out data") == (held_out < 10)
    text = " ".join(found.reasons)
    assert "too few" in text or "wide" in text


def test_one_real_and_one_synthetic_image_are_insufficient_data() -> None:
    train = digits({"one": (0, 50), "three": (0, 1), "eight": (0, 50)}, "train")
    test = digits({"one": (50, 90), "eight": (50, 90)}, "test")
    single = digits({"three": (40, 41), "one": (90, 120)}, "new")
    found = quality(test, train, single, GreyLevels(), reference="test", gated=False).per_class["three"]
    assert found.collapse == "insufficient data"
    assert found.score("kid") == Score()
    numbers = found.model_dump(exclude={"reasons", "collapse", "memorisation"})
    assert all(np.isfinite(v) for v in numbers.values() if isinstance(v, float))


def test_copies_are_the_worst_pairs_also_mirrored() -> None:
    copies = NEW.pixels.copy()
    copies[0] = TRAIN.pixels[3]
    copies[1] = TRAIN.pixels[7][..., ::-1]
    planted = LabelledImages(copies, NEW.labels, CLASSES, NEW.paths)
    worst = judged(synthetic=planted).worst_pairs
    assert {(p.synthetic, p.train, p.mirrored) for p in worst[:2]} == {
        ("new/0.png", "train/3.png", False),
        ("new/1.png", "train/7.png", True),
    }
    assert worst[0].distance == pytest.approx(0, abs=1e-3)
    per_class = [p.train for p in worst if p.label == "one"]
    assert len(per_class) == len(set(per_class)) == 4


def test_fidelity_is_held_against_unseen_images_at_equal_numbers() -> None:
    rng = np.random.default_rng(0)
    real, train, fake = (rng.normal(size=(n, 5)) for n in (80, 30, 500))
    found = compare_fidelity([Stratum(real, train, fake)], rng=rng)
    assert found
    assert found.n == 40  # halves of the held-out images are more than the 30 training images
    more = compare_fidelity([Stratum(real, rng.normal(size=(60, 5)), fake)], rng=rng)
    assert more
    assert more.n == 60
    assert compare_fidelity([Stratum(real[:3], train, fake)], rng=rng) is None


def test_floor_of_equals_holds_the_score() -> None:
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        real, train, fake = (rng.normal(size=(n, 8)) for n in (40, 60, 200))
        found = compare_fidelity([Stratum(real, train, fake)], rng=rng)
        assert found
        assert found.floor
        inside += found.floor.kid.low <= found.synthetic.kid.mean <= found.floor.kid.high
    assert inside >= 34


def test_proportion_range_is_clopper_pearson() -> None:
    found = proportion_range(0.0, 10)
    assert (found.low, found.high) == (0, pytest.approx(1 - 0.025 ** (1 / 10)))
    assert proportion_range(1.0, 10).low == pytest.approx(0.025 ** (1 / 10))


def write(images: LabelledImages, root: Path) -> None:
    for i, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
        path = root / images.classes[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.kron(pixels[0], np.ones((2, 2), np.uint8))).save(path)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(TRAIN, tmp_path / "data" / "train")
    write(TEST, tmp_path / "data" / "test")
    write(NEW, tmp_path / "new")
    real = pipeline.features_for

    def grey_levels(name: str, train: LabelledImages | None, **rest: Any) -> object:
        return real(name, train, **rest) if name == "own" else GreyLevels()

    for module in (pipeline, monitor_net):
        monkeypatch.setattr(module, "features_for", grey_levels)
    return tmp_path


def test_check_a_folder(folders: Path) -> None:
    found = pipeline.check(folders / "new", reference=folders / "data", cache=folders / "cache")
    assert (found.reference, found.gated) == ("test", False)
    assert found.per_class["three"].n_real == 28
    assert found.per_class["one"].memorisation == "clear"
    unknown = pipeline.check(folders / "new", reference=folders / "data" / "test", cache=folders / "cache")
    assert unknown.reference == "folder"
    assert unknown.per_class["one"].memorisation == "insufficient held-out data"


def test_check_refuses_what_cannot_be_judged(folders: Path) -> None:
    new = folders / "new"
    cases = {
        "no real images to compare with": {"target": new},
        "with itself": {"target": new, "reference": new},
        "'own' is trained": {"target": new, "reference": folders / "data" / "test", "features": "own"},
        "no features 'lpips'": {"target": new, "reference": folders / "data", "features": "lpips"},
        "no run": {"target": folders / "gone", "runs": folders / "runs"},
    }
    for message, arguments in cases.items():
        with pytest.raises(SynthaugError, match=message):
            pipeline.check(cache=folders / "cache", **arguments)  # type: ignore[arg-type]
    write(digits({"one": (90, 100)}, "x"), folders / "named")
    (folders / "named" / "one").rename(folders / "named" / "onne")
    with pytest.raises(SynthaugError, match="onne"):
        pipeline.check(folders / "named", reference=folders / "data", cache=folders / "cache")


def test_check_leaves_training_images_out_of_the_reference(folders: Path) -> None:
    write(digits({"one": (0, 20)}, "x"), folders / "mixed" / "train")
    write(digits({"one": (0, 70)}, "x"), folders / "mixed" / "test")
    write(digits({"one": (90, 170)}, "x"), folders / "ones")
    found = pipeline.check(folders / "ones", reference=folders / "mixed", cache=folders / "cache")
    assert found.per_class["one"].n_real == 50
