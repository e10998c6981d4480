"""What a generator is worth, by judges that no discriminator contains: used by generators.py.

Every subject is a mapping from class names to ungated images; each class is scored against held-out real images of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracle import pixels, train_oracle, unseen
from scipy.spatial.distance import pdist

from synthaug.data.cache import LabelledImages
from synthaug.features import load_features
from synthaug.features.self_trained import train_features
from synthaug.metrics.fidelity import kid_unbiased, prdc
from synthaug.metrics.quality import class_quality
from synthaug.metrics.real import RealFeatures, describe_real

Pixels = NDArray[np.uint8]
COUNT = 300  # images a class that are asked of a subject
FIGURES = ("kid", "kid_mobilenet", "kid_own", "coverage", "spread", "own_label")


@dataclass(frozen=True)
class Source:
    """A training folder with held-out images, and real images of the same kind for the oracle."""

    folder: Path
    oracle: Path
    rare: tuple[str, ...]
    channels: int
    augment: str  # what the oracle's images are varied by


class Judge:
    """KID in three feature nets, coverage, spread and label agreement; the nets see no image of train/ or test/.

    `kid` is on EfficientNet-Lite0, `kid_mobilenet` on MobileNetV2, `kid_own` on a net trained on the oracle's images:
    the one to read for a discriminator that contains EfficientNet-Lite0.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.train, self.test = self.pixels(source.folder / "train"), self.pixels(source.folder / "test")
        oracle = unseen(source.oracle, self.train, self.test)
        self.pretrained, self.second = load_features("efficientnet_lite0"), load_features("mobilenet_v2")
        self.own = train_features(oracle, seed=0)
        self.oracle = train_oracle(oracle, augment=source.augment)
        self.described: RealFeatures | None = None
        self.real = {c: self._features(self.test.of_class(c)) for c in self.test.classes}

    def pixels(self, folder: Path) -> LabelledImages:
        return pixels(folder, self.source.channels)

    def _features(self, pixels: Pixels) -> tuple[NDArray[np.float32], ...]:
        return self.pretrained(pixels), self.second(pixels), self.own(pixels)

    def score(self, images: Mapping[str, Pixels], verdicts: bool = False) -> dict[str, Any]:
        """Means over the rare classes (`rare_…`) and over all given (`all_…`), each class's own figures, and, where
        asked for, what `synthaug check` says of each rare class's variety."""
        classes = {name: self._of_class(name, found[:COUNT]) for name, found in images.items()}
        if verdicts:
            for name in self.source.rare:
                classes[name]["collapse"] = self._verdict(name, images[name][:COUNT])
        rare = [classes[name] for name in self.source.rare]
        means = {f"rare_{f}": _mean(c[f] for c in rare) for f in FIGURES}
        means |= {f"all_{f}": _mean(c[f] for c in classes.values()) for f in FIGURES}
        return {**means, "classes": classes}

    def _of_class(self, name: str, pixels: Pixels) -> dict[str, Any]:
        real, real_second, real_own = self.real[name]
        fake, fake_second, fake_own = self._features(pixels)
        n = min(len(real), len(fake))
        label = self.train.classes.index(name)
        figures: dict[str, float] = {
            "kid": kid_unbiased(real, fake),
            "kid_mobilenet": kid_unbiased(real_second, fake_second),
            "kid_own": kid_unbiased(real_own, fake_own),
            "coverage": prdc(real[:n], fake[:n]).coverage,
            "spread": float(pdist(fake).mean() / pdist(real).mean()),
            "own_label": float((self.oracle.predict_proba(pixels).argmax(1) == label).mean()),
        }
        return {key: round(value, 4) for key, value in figures.items()}

    def _verdict(self, name: str, pixels: Pixels) -> str:
        if self.described is None:
            rare = list(self.source.rare)
            self.described = describe_real(self.test, self.train, self.pretrained, kind="test", classes=rare)
        quality = class_quality(name, self.pretrained(pixels), self.described, rng=np.random.default_rng(0))
        return quality.collapse


def _mean(values: Any) -> float:
    return round(float(np.mean(list(values))), 4)
