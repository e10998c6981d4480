"""What watches a training: scores of the averaged generator's samples, fixed-noise grids, the choice of checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from synthaug import processes
from synthaug.config import MonitorConfig
from synthaug.data.cache import LabelledImages
from synthaug.features import FeatureNet
from synthaug.files import replacing
from synthaug.grid import grid
from synthaug.metrics.distances import nearest
from synthaug.metrics.fidelity import kid_unbiased, prdc
from synthaug.models.family import Generator, to_uint8
from synthaug.models.inputs import Attributes, Inputs, Sources

MIN_IMAGES = 8  # held-out images of a class below which val is not used for it
MAX_GRID_ROWS = 40
_BATCH = 100
MONITOR = 2**31
"""In the place of the seed of the sources: no export has it."""


class FixedNoise:
    """An `InputSource` with `count` fixed noises (and sources) of each class, in chunks of 100 or fewer."""

    def __init__(
        self, classes: int, count: int, z_dim: int, rng: torch.Generator, sources: Sources | None = None,
        attributes: Attributes | None = None,
    ) -> None:  # fmt: skip
        self._z = torch.randn(classes, count, z_dim, generator=rng)
        self._sources, self._attributes = sources, attributes
        self.chunks = math.ceil(count / _BATCH)

    def chunk(self, class_index: int, index: int) -> Inputs:
        z = self._z[class_index, index * _BATCH : (index + 1) * _BATCH]
        inputs = Inputs(torch.full((len(z),), class_index), z)
        indices = range(index * _BATCH, index * _BATCH + len(z))
        if self._attributes is not None:
            inputs = inputs._replace(attributes=self._attributes.of(MONITOR, class_index, indices))
        if self._sources is None:
            return inputs
        return self._sources.add_to(inputs, self._sources.origins(MONITOR, class_index, indices))


class Monitor:
    """Scores samples against val, and against train for classes without val.

    The score that picks the checkpoint is

        pooled KID × (2 − coverage of the target classes) × (1 + share of copies in the target classes)

    Lower is better. Pooled KID is measured against all val images, or train images if there is no val. Coverage is
    measured on the target classes' val images, or on their training images if they have none. Copying would then look
    like success, so the share of samples that are closer to a training image than real images are to each other is a
    penalty.

    Several processes divide the classes; the first one has the scores.

    Args:
        train: the training images.
        val: the validation images; may be empty.
        targets: names of the target classes.
        features: the judge.
        z_dim: size of the noise vector.
        seed: of the fixed noise.
        sources: the images to start from, for a family that needs them.
        attributes: what images are told beside their class, for a run with conditions.
    """

    def __init__(
        self,
        train: LabelledImages,
        val: LabelledImages,
        targets: Sequence[str],
        config: MonitorConfig,
        features: FeatureNet,
        z_dim: int,
        seed: int,
        device: torch.device,
        sources: Sources | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        self._config, self._features, self._device = config, features, device
        self._classes, self._targets = list(train.classes), list(targets)
        rng = torch.Generator().manual_seed(seed)
        given = (z_dim, rng, sources, attributes)
        self._sample_inputs = FixedNoise(len(self._classes), config.samples_per_class, *given)
        self._grid_inputs = FixedNoise(len(self._classes), config.grid_columns, *given)
        self.latest = ""

        held_out = [c for c in self._classes if len(val.of_class(c)) >= MIN_IMAGES]
        own = [c for c in targets if len(train.of_class(c)) > 1]
        self._kinds = {c: "val" if c in held_out else "train" for c in self._classes if c in {*held_out, *own}}
        # Pooled scores compare like with like: only classes that the reference holds are sampled into them.
        self._pooled_kind, self._pooled_classes = ("val", held_out) if held_out else ("train", self._classes)
        self._wanted = [c for c in self._classes if c in self._kinds or c in self._pooled_classes]

        learned_from = [c for c in self._classes if c in targets or not held_out]
        self._train = self._limited(train, learned_from)
        references = self._limited(val, held_out)
        if processes.rank() != 0:
            return
        self._pooled = np.concatenate(list((references or self._train).values()))
        self._real_spacing = {c: nearest(self._train[c], self._train[c], skip_self=True)[0] for c in own}
        self._references = {c: references[c] if kind == "val" else self._train[c] for c, kind in self._kinds.items()}
        self._real_spread = {c: _spread(features) for c, features in self._references.items()}

    def _limited(self, images: LabelledImages, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Features of at most twice as many images as are sampled per class: more would cost time and change little."""
        most = 2 * self._config.samples_per_class
        found = processes.divided(names, lambda c: self._features(np.ascontiguousarray(images.of_class(c)[:most])))
        return dict(zip(names, found, strict=False))

    @torch.inference_mode()
    def _sample(self, generator: Generator, label: int, inputs: FixedNoise) -> NDArray[np.uint8]:
        chunks = (inputs.chunk(label, index).to(self._device) for index in range(inputs.chunks))
        return np.concatenate([to_uint8(generator(chunk)) for chunk in chunks])

    def score(self, generator: Generator) -> dict[str, Any]:
        """Score the generator (in evaluation mode): `per_class`, `pooled`, and `score`; a lower score is better.

        `spread` is the variety of samples within their class ÷ that of real images, averaged over the classes: near
        zero if all samples of a class are one image. `target_spread` has it for each target class.
        """
        found = processes.divided(
            self._wanted,
            lambda name: self._features(self._sample(generator, self._classes.index(name), self._sample_inputs)),
        )
        return processes.first(lambda: self._scores(dict(zip(self._wanted, found, strict=True))))

    def _scores(self, samples: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
        per_class: dict[str, dict[str, Any]] = {}
        for name, features in samples.items():
            if name in self._references:
                per_class[name] = {
                    "kid": _rounded(kid_unbiased(self._references[name], features)),
                    "coverage": _rounded(self._coverage(self._references[name], features)),
                    "samples": len(features),
                    "reference": self._kinds[name],
                }
            if name in self._real_spacing:
                per_class.setdefault(name, {})["copies"] = _rounded(self._copies(name, features))
        pooled_kid = kid_unbiased(self._pooled, np.concatenate([samples[c] for c in self._pooled_classes]))
        spreads = {c: _spread(samples[c]) / real for c, real in self._real_spread.items() if real > 0}
        targets = [per_class[t] for t in self._targets if "coverage" in per_class.get(t, {})]
        coverage = float(np.mean([t["coverage"] for t in targets])) if targets else 1.0
        copies = float(np.mean([t.get("copies", 0.0) for t in targets])) if targets else 0.0
        self.latest = f"KID {pooled_kid:.3f} coverage {coverage:.2f}"
        return {
            "per_class": per_class,
            "pooled": {"kid": _rounded(pooled_kid), "reference": self._pooled_kind},
            "spread": _rounded(float(np.mean(list(spreads.values())))) if spreads else None,
            "target_spread": {c: round(spreads[c], 5) for c in self._targets if c in spreads},
            # An unbiased KID may be negative. Below 0.01 it does not order checkpoints.
            "score": round(max(pooled_kid, 0.01) * (2 - coverage) * (1 + copies), 6),
        }

    def _coverage(self, real: NDArray[np.float32], fake: NDArray[np.float32]) -> float:
        """Coverage (k = 5) at equal counts, averaged over four subsets of the larger side; NaN for tiny classes."""
        n = min(len(real), len(fake))
        rng = np.random.default_rng(n)
        found = []
        for _ in range(1 if len(real) == len(fake) else 4):
            some_real, some_fake = real[rng.permutation(len(real))[:n]], fake[rng.permutation(len(fake))[:n]]
            found.append(prdc(some_real, some_fake, k=min(5, n - 1)).coverage)
        return float(np.mean(found))

    def _copies(self, name: str, fake: NDArray[np.float32]) -> float:
        """Share of samples nearer to a training image than half the usual distance between training images."""
        limit = 0.5 * float(np.median(self._real_spacing[name]))
        return float((nearest(fake, self._train[name])[0] < limit).mean())

    def save_grid(self, generator: Generator, file: Path) -> None:
        """Draw samples of the fixed noise, one class a row; target classes first if there are too many for a page."""
        order = list(range(len(self._classes)))
        if len(order) > MAX_GRID_ROWS:
            order.sort(key=lambda k: self._classes[k] not in self._targets)
        shown = order[:MAX_GRID_ROWS]
        rows = processes.divided(shown, lambda k: self._sample(generator, k, self._grid_inputs))
        names = [self._classes[k] for k in shown]
        processes.first(lambda: save_png(grid(rows, self._config.grid_columns, names), file))


def save_png(picture: Image.Image, file: Path) -> None:
    """Write a PNG, all or nothing."""
    with replacing(file) as temporary:
        picture.save(temporary, format="PNG")


def _spread(features: NDArray[np.float32]) -> float:
    """How far features float32[n, dim] lie from their mean, as a root mean square."""
    return float(np.sqrt(features.astype(np.float64).var(axis=0).sum()))


def _rounded(value: float) -> float | None:
    return round(value, 5) if np.isfinite(value) else None
