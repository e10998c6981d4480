"""What a finished run gives to a study of classifiers: its real training images, and gated samples of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from ways import Material

from synthaug import load
from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.split import Split
from synthaug.runs import Run
from synthaug.sampling.gate import Gate, build_gate
from synthaug.sampling.gated_samples import gated_samples
from synthaug.translators.modes import Mode

POOL = 375
"""Synthetic images of a class: what `evaluate` takes with 300 images in the largest class."""


class Trained:
    """A run, and its gate, which depends on the real images only.

    Args:
        run: its folder.
        gate_steps: of each of the gate's classifiers; None: what the run says.
        candidates: the most of a class that are tried for its pool; None: as `export` does.
    """

    def __init__(self, run: Path, gate_steps: int | None = None, candidates: int | None = None) -> None:
        self.candidates = candidates
        self.run = Run(run)
        self.config, self.facts = self.run.config(), self.run.facts()
        self.gate_config = self.config.gate.model_copy(update={"steps": gate_steps} if gate_steps else {})
        self.rows = Split.read(self.run.split_file).of("train")
        self.real = load_images(
            self.facts.data, self.rows, self.facts.classes,
            resolution=self.config.data.resolution, channels=self.facts.channels, fit=self.config.data.fit,
        )  # fmt: skip
        self.targets = [self.real.classes.index(name) for name in self.facts.targets]

    @cached_property
    def gate(self) -> Gate:
        groups = [row.group for row in self.rows]
        return build_gate(
            self.real, self.facts.targets, self.gate_config, seed=self.config.seed, groups=groups, cache=None
        )

    def pool(
        self,
        checkpoint: str = "best",
        names: Sequence[str] | Mapping[str, int] | None = None,
        run: Run | None = None,
        gated: bool = True,
        mode: Mode | None = None,
    ) -> LabelledImages:
        """The first `POOL` gated samples of each class (or of some); fewer, if the gate refuses most.

        Args:
            names: the classes, or how many of each.
            run: another run with the same images.
            gated: False: all samples pass.
            mode: of a run that starts from images.
        """
        sampler, classes = load(run or self.run, checkpoint=checkpoint, mode=mode), self.real.classes
        gate = self.gate if gated else None
        counts = names if isinstance(names, Mapping) else dict.fromkeys(names or classes, POOL)
        pixels = {
            name: gated_samples(sampler, gate, name, count, limit=self.candidates, allow_short=True).pixels
            for name, count in counts.items()
        }
        labels = np.repeat([classes.index(name) for name in pixels], [len(p) for p in pixels.values()]).astype(np.int64)
        return LabelledImages(
            np.concatenate(list(pixels.values())), labels, classes, [str(i) for i in range(len(labels))]
        )

    def material(self, checkpoint: str = "best") -> Material:
        return self.with_pool(self.pool(checkpoint))

    def with_pool(self, pool: LabelledImages, earlier: LabelledImages | None = None) -> Material:
        """The run's images with a pool, and what the gate's classifiers see in both."""
        net = self.gate.net
        assert net is not None
        features = net(np.concatenate([self.real.pixels, pool.pixels]))
        opinion = net.probabilities(features[len(self.real) :]).mean(0)
        return Material(self.real, pool, opinion, self.targets, features, earlier)
