"""MS-SSIM, bias, usefulness, the tiles of large products, own features' floors, and kept features."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from synthaug.features.feature_cache import describe
from synthaug.metrics import distances
from synthaug.metrics.bias import Sides, bias
from synthaug.metrics.fidelity import prdc
from synthaug.metrics.gram import Gram
from synthaug.metrics.ms_ssim import WEIGHTS, ms_ssim, ms_ssim_ratio, scales
from synthaug.metrics.usefulness import usefulness
from synthaug.progress import Silent


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("side", "channels"), [(16, 1), (32, 3), (33, 3), (64, 1), (128, 3)])
def test_ms_ssim_is_that_of_torchmetrics(side: int, channels: int) -> None:
    first = rng().integers(0, 256, (4, channels, side, side)).astype(np.uint8)
    second = np.clip(first.astype(int) + rng(1).integers(-80, 80, first.shape), 0, 255).astype(np.uint8)
    weights = np.array(WEIGHTS[: scales(side)])
    theirs = multiscale_structural_similarity_index_measure(
        torch.from_numpy(first).double() / 255, torch.from_numpy(second).double() / 255,
        data_range=1.0, betas=tuple(weights / weights.sum()), normalize="relu", reduction="none",
    )  # fmt: skip
    np.testing.assert_allclose(ms_ssim(first, second), theirs.numpy(), atol=2e-6)


def test_one_image_repeated_is_more_alike_than_real_images() -> None:
    real = rng().integers(0, 256, (40, 1, 16, 16)).astype(np.uint8)
    found = ms_ssim_ratio(real, np.repeat(real[:1], 20, 0), rng=rng())
    assert found is not None
    assert found[0].mean > found[1].high


def test_prdc_in_single_precision_and_from_inner_products_is_that_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = (rng(s).normal(size=(300, 40)).astype(np.float32) for s in (1, 2))
    rows = np.arange(300)
    whole = prdc(real, fake)
    assert Gram.of(real, fake).prdc(rows, rows, 5) == whole
    monkeypatch.setattr(distances, "SMALL", 0)
    assert prdc(real, fake) == whole
    modes = np.repeat(real[:10], 30, 0) + 1e-4 * fake
    single = distances.nearest(modes, modes, 5, skip_self=True)
    monkeypatch.undo()
    double = distances.nearest(modes, modes, 5, skip_self=True)
    np.testing.assert_array_equal(single[1], double[1])
    np.testing.assert_allclose(single[0], double[0], rtol=1e-9)


MEMORY = """
import resource, numpy as np
from synthaug.metrics.fidelity import kid_unbiased, prdc
a, b = (np.random.default_rng(s).standard_normal((12000, 64), dtype=np.float32) for s in (0, 1))
_ = a[:64] @ b[:64].T
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
prdc(a, b); kid_unbiased(a, b)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_memory_does_not_grow_with_the_square_of_the_images() -> None:
    """One matrix of all distances would be 550 MB in single precision."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, env=os.environ)
    assert float(done.stdout) < 220


def test_a_darker_set_is_flagged_and_an_equal_one_is_not() -> None:
    def sides(shift: float, seed: int) -> dict[str, Sides]:
        r = rng(seed)
        return {
            name: Sides(r.normal(0.5, 0.1, 60), r.normal(0.5, 0.1, 60), r.normal(0.5 - s, 0.1, 60))
            for name, s in (("brightness", shift), ("contrast", 0.0))
        }

    rows = bias(sides(0.1, 0), rng=rng())
    assert rows[0].name == "brightness"
    assert rows[0].beyond
    assert rows[0].difference.mean == pytest.approx(-1, abs=0.4)
    false = sum(any(row.beyond for row in bias(sides(0.0, s), rng=rng())) for s in range(200))
    assert false <= 16  # 5% and two standard deviations


def test_usefulness_of_real_images_is_the_floor_and_swapped_classes_are_useless() -> None:
    def draw(seed: int) -> dict[str, NDArray[np.float64]]:
        return {name: rng(seed + i).normal(3 * i, 1, (60, 8)) for i, name in enumerate("abc")}

    train, held_out, new = draw(0), draw(10), draw(20)
    found, pooled = usefulness(train, held_out, new, rng=rng())
    assert pooled is not None
    assert pooled.gan_train.mean == pytest.approx(pooled.gan_train_floor.mean, abs=0.05)
    swapped, _ = usefulness(train, held_out, {"a": new["b"], "b": new["a"], "c": new["c"]}, rng=rng())
    assert swapped["a"].gan_train.high < found["a"].gan_train_floor.low
    assert swapped["a"].gan_test.high < found["a"].gan_test_floor.low
    single, alone = usefulness(train, held_out, {"a": new["a"]}, others=train, rng=rng())
    assert alone is None
    assert single["a"].gan_train.mean > 0.8


def test_features_are_computed_once(tmp_path: Path) -> None:
    class Net:
        name, sha256, dim, identity, calls = "n", "0" * 64, 4, "n@0", 0

        def __call__(self, pixels: NDArray[np.uint8], *, batch_size: int | None = None) -> NDArray[np.float32]:
            self.calls += 1
            return pixels.reshape(len(pixels), -1)[:, :4].astype(np.float32)

    net, pixels = Net(), rng().integers(0, 256, (5, 1, 4, 4)).astype(np.uint8)
    once = describe(net, pixels, name="x", progress=Silent(), keep=tmp_path)
    np.testing.assert_array_equal(describe(net, pixels, name="x", progress=Silent(), keep=tmp_path), once)
    assert net.calls == 1
    describe(net, pixels[::-1], name="x", progress=Silent(), keep=tmp_path)
    assert net.calls == 2
