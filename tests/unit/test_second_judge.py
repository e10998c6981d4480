"""The second feature net: it judges the same images, agrees where both see the same, and disagreement is said."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from synthaug.data.cache import LabelledImages
from synthaug.documents import CheckDocument
from synthaug.errors import SynthaugError
from synthaug.metrics import second_judge
from synthaug.metrics.quality import quality
from synthaug.metrics.second_judge import load_second_net, second_net
from synthaug.requests import CheckRequest
from synthaug_cli import check


class Net:
    """Features are some pixels of an image; the others it does not see."""

    sha256, dim = "0" * 64, 32

    def __init__(self, name: str, columns: slice) -> None:
        self.name, self.columns, self.seen = name, columns, 0

    @property
    def identity(self) -> str:
        return f"{self.name}@{self.sha256[:12]}"

    def __call__(self, pixels: NDArray[np.uint8], *, batch_size: int | None = None) -> NDArray[np.float32]:
        self.seen += len(pixels)
        found: NDArray[np.float32] = pixels[..., self.columns].reshape(len(pixels), -1).astype(np.float32) / 64
        return found


LEFT, RIGHT, AGAIN = slice(0, 4), slice(4, 8), slice(0, 4)


def images(count: int, seed: int, classes: int = 2, brighter: slice | None = None) -> LabelledImages:
    """Noise; with `brighter`, only one half of each image differs from real ones."""
    pixels = np.random.default_rng(seed).integers(60, 120, (classes * count, 1, 8, 8), dtype=np.uint8)
    if brighter is not None:
        pixels[..., brighter] += 60
    names = [str(k) for k in range(classes)]
    paths = [f"{seed}/{i}.png" for i in range(classes * count)]
    return LabelledImages(pixels, np.repeat(np.arange(classes), count), names, paths)


def judged(synthetic: LabelledImages, second: Net, **changes: object) -> CheckDocument:
    first = Net("one", LEFT)
    return quality(
        images(40, 0), images(40, 1), synthetic, first, reference="test", gated=False, second=second, **changes  # type: ignore[arg-type]
    )  # fmt: skip


def test_both_nets_agree_on_new_real_images() -> None:
    found = judged(images(40, 2), Net("two", RIGHT)).second_judge
    assert found is not None
    assert found.disagreements == []
    assert found.pooled is not None
    assert found.pooled.first is not None
    assert found.pooled.first.as_good_as_real
    assert found.pooled.agree
    assert found.text() == "two, a second judge, agrees: all images together are as good as real ones"


def test_both_nets_agree_on_images_that_both_see_to_be_wrong() -> None:
    found = judged(images(40, 2, brighter=slice(0, 8)), Net("two", RIGHT)).second_judge
    assert found is not None
    assert found.disagreements == []
    assert found.text().endswith("worse than real ones")


def test_a_fault_that_one_net_cannot_see_is_a_disagreement(capsys: pytest.CaptureFixture[str]) -> None:
    """The right half of the images is wrong, and the first net does not see it."""
    document = judged(images(40, 2, brighter=RIGHT), Net("two", RIGHT))
    found = document.second_judge
    assert found is not None
    said = [line.partition(":")[0] for line in found.disagreements]
    assert said == [
        "class '0'",
        "class '1'",
        "all classes together",
    ]
    for line in found.disagreements:
        assert "one finds the images as good as real ones" in line
        assert "two does not" in line
    assert CheckDocument.model_validate_json(document.model_dump_json()) == document
    check.render(document)
    assert "two, a second judge, disagrees: class '0'" in capsys.readouterr().out


def test_the_same_net_twice_gives_the_same_numbers() -> None:
    """Both nets see the same images, so that only the nets differ."""
    found = judged(images(40, 2, brighter=slice(0, 1)), Net("two", AGAIN)).second_judge
    assert found is not None
    assert found.pooled is not None
    for opinions in [*found.per_class.values(), found.pooled]:
        assert opinions.n > 0
        assert opinions.first == opinions.second


def test_the_second_net_sees_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_judge, "IN_ALL", 50)
    net = Net("two", RIGHT)
    found = judged(images(300, 2), net).second_judge
    assert net.seen == 3 * 2 * 25
    assert found is not None
    assert found.per_class["0"].n == 25


def test_too_few_images_are_no_opinion() -> None:
    few = judged(images(40, 2).subset(np.array([0, 41])), Net("two", RIGHT)).second_judge
    assert few is not None
    assert few.disagreements == []
    assert "too few images" in few.text()


def test_other_numbers_do_not_depend_on_the_second_net() -> None:
    with_it, without = judged(images(40, 2), Net("two", RIGHT)), judged(images(40, 2), None)  # type: ignore[arg-type]
    assert without.second_judge is None
    assert with_it.model_copy(update={"second_judge": None}) == without


def test_the_second_net_is_of_another_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {second_net(name) for name in ("mobilenet_v2", "own", "inception", "timm:resnet18")} == {
        "efficientnet_lite0"
    }
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert second_net("efficientnet_lite0") == "mobilenet_v2"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert second_net("efficientnet_lite0") == "own"
    one_class = replace(images(8, 0, classes=1))
    assert load_second_net("auto", "efficientnet_lite0", None) is None
    assert load_second_net("auto", "efficientnet_lite0", one_class) is None
    assert load_second_net("none", "efficientnet_lite0", images(8, 0)) is None
    with pytest.raises(SynthaugError, match="1 class"):
        load_second_net("own", "efficientnet_lite0", one_class, device="cpu")


def test_the_option_is_checked() -> None:
    assert CheckRequest(second_judge="none").second_judge == "none"
    with pytest.raises(SynthaugError, match="no features 'mobilnet_v2'") as caught:
        CheckRequest(second_judge="mobilnet_v2")
    assert "mobilenet_v2" in caught.value.hint
