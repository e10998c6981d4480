"""Is it only training longer? The best control is trained again for more steps and compared with synthetic arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from synthaug.documents import LongerTraining, VerdictDocument
from synthaug.evaluation.arms import ARMS, CONTRASTS, LONGER, planned
from synthaug.evaluation.statistics import F1Table, contrast
from synthaug.evaluation.verdict import contrast_documents


def longer_training(
    tables: Mapping[str, F1Table], longer: F1Table, control: str, targets: Sequence[int],
    test_groups: npt.NDArray[np.int64],
) -> LongerTraining:  # fmt: skip
    """Compare the longer training on the mean F1 of the target classes.

    Args:
        tables: arm → F1; with `control` and the synthetic arms.
        longer: F1 of the control after the longer training.
        control: its name.
        targets: indices of the target classes.
        test_groups: [K] groups of test images that hold each class.
    """
    gain = contrast(longer, tables[control], targets, test_groups)
    against = {pair.arm.name: contrast(tables[pair.arm.name], longer, targets, test_groups) for pair in planned(tables)}
    return LongerTraining(
        control=control, times=ARMS[LONGER].times, gain=contrast_documents({"": gain})[""],
        against=contrast_documents(against),
    )  # fmt: skip


def with_longer(verdict: VerdictDocument, found: LongerTraining) -> VerdictDocument:
    """The verdict with the comparison; its sentence says whether longer training alone does as much."""
    said = f"{verdict.sentence} {_in_words(found, verdict)}"
    return verdict.model_copy(update={"longer": found, "sentence": said})


def _in_words(found: LongerTraining, verdict: VerdictDocument) -> str:
    times = f"{found.control} for {found.times} times the steps"
    helping = [detail.helping for name, detail in verdict.details.items() if verdict.per_target.get(name) == "helps"]
    arms = {CONTRASTS[name].arm.name for name in helping if name is not None}
    if verdict.overall == "helps" and arms:
        least = min((found.against[arm] for arm in sorted(arms)), key=lambda difference: difference.low)
        if least.low > 0:
            return f"Training longer does not do as much: against {times}, F1 {least.text()}."
        return f"But training longer may do as much: against {times}, F1 {least.text()}."
    if found.gain.low > 0:
        return f"Training longer helps without synthetic images: {times} instead of once, F1 {found.gain.text()}."
    return f"Training longer makes no measurable difference: {times} instead of once, F1 {found.gain.text()}."
