"""The quality of the images that `evaluate` judges, in the features of the run's monitor, with a second judge."""

from __future__ import annotations

import numpy as np

from synthaug.data.cache import LabelledImages
from synthaug.documents import CheckDocument
from synthaug.evaluation.fold import Fold
from synthaug.features import FeatureNet
from synthaug.metrics.quality import quality
from synthaug.metrics.real import describe_real
from synthaug.metrics.second_judge import load_second_net
from synthaug.pipelines.monitor_net import monitor_net
from synthaug.progress import Progress


def qualities(
    fold: Fold, *, features: str | None, gate: bool, device: str, progress: Progress
) -> tuple[CheckDocument, CheckDocument | None]:
    """The quality of a fold's judged images, and of its generator's ungated ones if there is a run.

    Args:
        fold: with its images.
        features: the feature net that a flag names; None: the run's.
        gate: whether the judged images have passed the gate.
        device: where the feature nets run.
        progress: shows the progress bars.
    """
    real, run = fold.real, fold.real.data.run
    folder, seed = run.path if run is not None else None, real.config.seed
    net = monitor_net(run, real.config, features, real.train, device=device, progress=progress)
    second_net = load_second_net(
        "auto", net.name, real.train, folder=folder, seed=seed, device=device, progress=progress
    )
    described = describe_real(real.test, real.train, net, kind="test", classes=real.targets, progress=progress)

    def judged(images: LabelledImages, gated: bool, second: FeatureNet | None = None) -> CheckDocument:
        return quality(
            real.test, real.train, images, net,
            reference="test", gated=gated, progress=progress, real=described, second=second,
        )  # fmt: skip

    rows = [np.flatnonzero(fold.pool.labels == k)[: real.shown] for k in real.target_indices]
    pool = fold.pool.subset(np.concatenate(rows))
    if fold.generator is None:
        return judged(pool, False, second_net), None
    return judged(pool, gate, second_net), judged(fold.generator, False)
