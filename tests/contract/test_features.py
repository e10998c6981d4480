"""Every feature net of the table, and every open way to name one, keeps the FeatureNet contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError
from synthaug.features import (
    FEATURES,
    SELF_TRAINED_FILE,
    FeatureNet,
    TorchFeatureNet,
    check_features,
    features_for,
    load_features,
    self_trained,
)
from synthaug.features.base import fold_batch_norms
from synthaug.features.efficientnet_lite0 import rename, weights_file

SHAPES = [(1, 16, 16), (3, 16, 16), (3, 32, 32), (1, 64, 64), (3, 64, 48), (3, 128, 128)]


def stripes(count: int, channels: int = 1, side: int = 16, seed: int = 0) -> LabelledImages:
    """Images of two classes: horizontal or vertical stripes of random phase, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    wave = 127 + 90 * np.sin(np.arange(side)[None, :] * 0.9 + rng.uniform(0, 6, (count, 1)))
    images = np.where(labels[:, None, None] == 0, wave[:, None, :], wave[:, :, None])
    noisy = images[:, None] + rng.normal(0, 20, (count, channels, side, side))
    pixels = noisy.clip(0, 255).astype(np.uint8)
    return LabelledImages(pixels, labels.astype(np.int64), ["lying", "standing"], [f"{i}.png" for i in range(count)])


@pytest.fixture(scope="module")
def own_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "own.safetensors"
    self_trained.save(self_trained.train_features(stripes(64), seed=0, steps=20, device="cpu"), path)
    return path


def load_any(name: str, own_file: Path) -> FeatureNet:
    """The net, or a visible skip where its weights would have to be downloaded and there is no network."""
    try:
        return load_features(name, device="cpu", path=own_file if name == "own" else None)
    except SynthaugError as error:
        if name == "inception" and "cannot be downloaded" in error.message:
            pytest.skip(error.message)
        raise


@pytest.mark.parametrize("name", FEATURES.names())
def test_contract(name: str, own_file: Path) -> None:
    net = load_any(name, own_file)
    assert net.identity == f"{net.name}@{net.sha256[:12]}"
    assert len(net.sha256) == 64
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        pixels = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
        before = torch.random.get_rng_state()
        features = net(pixels)
        assert features.shape == (3, net.dim)
        assert features.dtype == np.float32
        assert np.isfinite(features).all()
        assert torch.equal(before, torch.random.get_rng_state())
        assert np.abs(features[0] - features[1]).max() > 0
        # The same image gives the same features wherever it stands in a batch, to rounding.
        np.testing.assert_allclose(net(pixels[::-1].copy(), batch_size=2)[::-1], features, atol=1e-3)
    assert net(np.empty((0, 1, 32, 32), np.uint8)).shape == (0, net.dim)
    grey = rng.integers(0, 256, (2, 1, 32, 32), dtype=np.uint8)
    np.testing.assert_allclose(net(grey), net(np.repeat(grey, 3, axis=1)), atol=1e-3)


def test_names_are_checked_without_loading() -> None:
    for good in (*FEATURES.names(), "timm:resnet18", "torchvision:resnet18"):
        assert check_features(good) == good
    with pytest.raises(SynthaugError) as caught:
        check_features("eficientnet_lite0")
    assert 'did you mean "efficientnet_lite0"' in caught.value.hint
    with pytest.raises(SynthaugError, match=r"no feature net file"):
        check_features("gone.pt")


@pytest.mark.parametrize("name", ["timm:resnt18", "torchvision:resnt18"])
def test_unknown_net_of_a_library(name: str) -> None:
    with pytest.raises(SynthaugError) as caught:
        load_features(name, device="cpu")
    assert "resnt18" in caught.value.message
    assert "resnet18" in caught.value.hint


def test_bad_pixels_are_refused(own_file: Path) -> None:
    net = load_features("own", device="cpu", path=own_file)
    for bad in (np.zeros((2, 1, 8, 8), np.float32), np.zeros((2, 2, 8, 8), np.uint8), np.zeros((8, 8), np.uint8)):
        with pytest.raises(SynthaugError, match="own"):
            net(bad)


def test_efficientnet_weights_land_where_timm_has_them() -> None:
    """An ImageNet net knows that a photograph-like gradient is no noise; more to the point, all 1280 features live."""
    import timm

    state = torch.load(weights_file(), map_location="cpu", weights_only=True)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    missing = net.load_state_dict(rename(state), strict=True)
    assert not missing.missing_keys
    net.eval()
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        plain = net.forward_head(net.forward_features(x), pre_logits=True)
        net.reset_classifier(0)
        folded = fold_batch_norms(net)(x)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    torch.testing.assert_close(folded, plain, atol=1e-4, rtol=1e-4)


def test_small_images_do_not_kill_the_features() -> None:
    """At 32 px input, 92% of the pooled features are zero. Enlarged to 96 px, three times as many are not."""
    digits = np.kron(load_digits().images[:48], np.ones((4, 4))) * 16
    pixels = digits.clip(0, 255).astype(np.uint8)[:, None]
    net = load_features("efficientnet_lite0", device="cpu")
    assert isinstance(net, TorchFeatureNet)
    enlarged = (net(pixels).std(0) > 1e-2).mean()
    as_they_are = (replace(net, min_side=1)(pixels).std(0) > 1e-2).mean()
    assert enlarged > 3 * as_they_are


def test_own_learns_and_survives_a_file(tmp_path: Path) -> None:
    train, held_out = stripes(80, seed=1), stripes(40, seed=2)
    before = torch.random.get_rng_state()
    net = self_trained.train_features(train, seed=3, steps=40, device="cpu")
    assert torch.equal(before, torch.random.get_rng_state())
    again = self_trained.train_features(train, seed=3, steps=40, device="cpu")
    assert net.sha256 == again.sha256
    assert net.sha256 != self_trained.train_features(train, seed=4, steps=40, device="cpu").sha256
    centres = np.stack([net(train.pixels)[train.labels == c].mean(0) for c in (0, 1)])
    found = np.linalg.norm(net(held_out.pixels)[:, None] - centres[None], axis=2).argmin(1)
    assert (found == held_out.labels).mean() > 0.9
    self_trained.save(net, tmp_path / "own.safetensors")
    loaded = self_trained.load(tmp_path / "own.safetensors", device="cpu")
    assert loaded.identity == net.identity
    np.testing.assert_array_equal(loaded(held_out.pixels), net(held_out.pixels))


def test_own_says_what_it_misses(tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="belongs to a run"):
        load_features("own", device="cpu")
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(SynthaugError, match=r"broken\.safetensors"):
        self_trained.load(tmp_path / "broken.safetensors")
    one = stripes(10)
    one.labels[:] = 0
    with pytest.raises(SynthaugError, match="1 class"):
        self_trained.train_features(one, seed=0, steps=1, device="cpu")


class Grey(nn.Module):
    """A net that takes one channel of 24 px and leaves its map unpooled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 7, 3)
        self.side = 24
        self.mean = 0.0
        self.std = 1.0

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] == 24
        return self.conv(x)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:FutureWarning")
def test_torchscript_file(tmp_path: Path) -> None:
    path = tmp_path / "grey.pt"
    net = Grey()
    torch.jit.script(net).save(str(path))
    features = load_features(str(path), device="cpu")
    assert (features.name, features.dim) == ("grey.pt", 7)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 24, 24), dtype=np.uint8)
    with torch.inference_mode():
        expected = net(torch.from_numpy(pixels).float() / 255).mean((2, 3))
    np.testing.assert_allclose(features(pixels), expected.numpy(), atol=1e-5)
    assert features(np.zeros((2, 3, 40, 40), np.uint8)).shape == (2, 7)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(SynthaugError, match="TorchScript"):
        load_features(str(tmp_path / "text.pt"), device="cpu")


def test_torchvision_net_without_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path that a downloaded net takes, with untrained weights in their place."""
    import torchvision

    from synthaug.features import pretrained

    real = torchvision.models.get_model
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights: real(name, weights=None))
    net = pretrained.load("torchvision", "resnet18", device="cpu")
    assert net.dim == 512
    assert net(np.zeros((2, 1, 32, 32), np.uint8)).shape == (2, 512)


def test_timm_net_without_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    from synthaug.features import pretrained

    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, num_classes: real(name, num_classes=num_classes))
    net = pretrained.load("timm", "resnet10t", device="cpu")
    assert net.dim == 512
    assert net(np.zeros((2, 3, 32, 32), np.uint8)).shape == (2, 512)


def test_failed_download_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    from synthaug.features import pretrained

    def refuse(*_: object, **__: object) -> None:
        raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setattr(torchvision.models, "get_model", refuse)
    with pytest.raises(SynthaugError) as caught:
        pretrained.load("torchvision", "resnet18", device="cpu")
    assert "torchvision:resnet18" in caught.value.message
    assert "efficientnet_lite0" in caught.value.hint


def test_own_is_trained_once_for_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        self_trained.train_features, "__kwdefaults__", {**self_trained.train_features.__kwdefaults__, "steps": 3}
    )
    images = stripes(16)
    first = features_for("own", images, folder=tmp_path, device="cpu")
    assert (tmp_path / SELF_TRAINED_FILE).is_file()
    assert features_for("own", None, folder=tmp_path, device="cpu").identity == first.identity
    with pytest.raises(SynthaugError, match="there are none here"):
        features_for("own", None, device="cpu")
    assert features_for("efficientnet_lite0", images, device="cpu").name == "efficientnet_lite0"


def test_inception_sees_the_very_grey_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch-fidelity's extractor with untrained weights: ours must hand it the same uint8 images."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
    monkeypatch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_, **__: None)
    from synthaug.features import inception

    net = inception.load(device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8)
    with torch.inference_mode():
        direct = net.module.extractor(torch.from_numpy(pixels))[0]
    np.testing.assert_allclose(net(pixels), direct.numpy(), rtol=1e-3, atol=1e-5)
    assert net.dim == direct.shape[1]
