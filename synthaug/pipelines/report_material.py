"""What the report of an evaluation shows besides the numbers: pictures, settings, training curves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from synthaug.documents import EvaluateDocument
from synthaug.dotted import leaves
from synthaug.evaluation.fold import Fold
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.evaluation.suspects import SuspectImage
from synthaug.parsing import read_json


def report_material(
    document: EvaluateDocument, splits: Sequence[Fold], suspects: Sequence[Sequence[SuspectImage]]
) -> ReportMaterial:
    """Images, settings and training curves; with folds, those of the first, but test images and suspects of all.

    Args:
        document: of the evaluation.
        splits: the folds that differ in more than the generator.
        suspects: of each split the test images that look like copies.
    """
    fold = splits[0]
    real, pool, run = fold.real, fold.pool, fold.real.data.run
    synthetic_rows = {path: i for i, path in enumerate(pool.paths)}
    train_rows = {path: i for i, path in enumerate(real.train.paths)}
    pairs = []
    for pair in document.quality.worst_pairs:
        nearest = real.train.pixels[train_rows[pair.train]]
        if pair.mirrored:
            nearest = nearest[..., ::-1]
        pairs.append(
            (pool.pixels[synthetic_rows[pair.synthetic]], np.ascontiguousarray(nearest), pair.label, pair.distance)
        )
    seen = [split.judged.test for split in splits]
    environment = {}
    if run is not None:
        with suppress(OSError, ValueError, TypeError):
            environment = dict(read_json(run.path / "environment.json"))
    return ReportMaterial(
        real=real.train,
        synthetic=pool,
        generator=fold.generator,
        origins=fold.origins,
        pairs=pairs,
        suspects=[(s.test, s.other, s.found.label, s.found.nearness) for some in suspects for s in some],
        tested={path: pixels for test in seen for path, pixels in zip(test.paths, test.pixels, strict=True)},
        training=run.metrics() if run is not None else [],
        settings=leaves(real.config.model_dump(mode="json")),
        environment=environment,
    )
