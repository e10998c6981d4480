"""Do the parts that a configuration names exist, and do they go together? Every fault at once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from itertools import chain

from synthaug.config import Config
from synthaug.errors import SynthaugError
from synthaug.features import check_features
from synthaug.losses import AUXILIARIES, OBJECTIVES, REGULARIZERS
from synthaug.models import DISCRIMINATORS, MODELS


def check_names(config: Config) -> None:
    """Check what tables decide, without importing torch: family, discriminator, objective, penalties, heads, features.

    Raises:
        SynthaugError: a table lacks one of them.
    """
    _raise(_names(config))


def check_parts(config: Config) -> None:
    """Check names, transforms, and what one setting asks of another.

    Raises:
        SynthaugError: something is missing, or makes no sense beside the rest.
    """
    from synthaug.augment.diffaugment import DiffAugment

    _raise(chain(_names(config), _fault(DiffAugment, config.training.augment), _apart(config)))


def _raise(found: Iterator[SynthaugError]) -> None:
    faults = list(found)
    if faults:
        raise SynthaugError("; ".join(f.message for f in faults), "; ".join(f.hint for f in faults))


def _fault(check: Callable[..., object], *arguments: object) -> Iterator[SynthaugError]:
    try:
        check(*arguments)
    except SynthaugError as fault:
        yield fault


def _names(config: Config) -> Iterator[SynthaugError]:
    yield from _fault(MODELS.check, config.model.family)
    yield from _fault(DISCRIMINATORS.check, config.model.discriminator)
    yield from _fault(OBJECTIVES.check, config.training.objective)
    for name in config.training.regularizers:
        yield from _fault(REGULARIZERS.check, name)
    for name in config.training.auxiliary:
        yield from _fault(AUXILIARIES.check, name)
    yield from _fault(check_features, config.monitor.features)


def _apart(config: Config) -> Iterator[SynthaugError]:
    """What is there, and does not go with what else is there."""
    from synthaug.data.batches import GROUP
    from synthaug.losses.objective import smoothed

    model, training = config.model, config.training
    if training.objective in OBJECTIVES:
        objective = OBJECTIVES.get(training.objective)()
        yield from _fault(smoothed, objective, training.objective, training.label_smoothing)
    if training.batch_size % GROUP:
        lower = training.batch_size // GROUP * GROUP
        yield SynthaugError(
            f"training.batch_size = {training.batch_size} cannot be divided into groups of {GROUP} images of one class",
            f"take {lower} or {lower + GROUP}" if lower else f"take {GROUP}",
        )
    if (model.categorical_codes or model.continuous_codes) and not training.auxiliary.get("infogan"):
        yield SynthaugError(
            "the model has codes that nothing gives a meaning", "add --set 'training.auxiliary={infogan: 1.0}'"
        )
    if training.auxiliary.get("infogan") and not (model.categorical_codes or model.continuous_codes):
        yield SynthaugError(
            "the head 'infogan' has no codes to read", "add --set model.continuous_codes=2, or take --recipe infogan"
        )
    if model.discriminator == "unconditional" and not training.auxiliary.get("acgan"):
        yield SynthaugError(
            "model.discriminator = 'unconditional' hears of no class, and no head judges it either",
            "add --set 'training.auxiliary={acgan: 1.0}', or take --recipe acgan",
        )
    if training.ada and not training.augment:
        yield SynthaugError(
            "training.ada = true has nothing to adapt: training.augment is empty",
            "give it transforms, such as --set training.augment=[color,affine]",
        )
    if training.tensorboard and importlib.util.find_spec("tensorboard") is None:
        yield SynthaugError(
            "training.tensorboard = true needs the package tensorboard", "pip install 'synthaug[tensorboard]'"
        )
