"""Checks of a configuration beyond its values: do the names in it exist, and do its settings go together?"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from itertools import chain

from synthaug.config import Config
from synthaug.errors import SynthaugError
from synthaug.features import check_features
from synthaug.losses import AUXILIARIES, OBJECTIVES, REGULARIZERS
from synthaug.models import DISCRIMINATORS, LARGEST, check_family
from synthaug.models.options import CodeOptions
from synthaug.training.trackers import TRACKERS
from synthaug.translators.options import SourceOptions
from synthaug.upscalers.options import UpscalerOptions

_EXTRAS = frozenset({"tensorboard", "mlflow"})
"""Trackers of a package of the same name, which is an extra."""


def check_names(config: Config) -> None:
    """Check that the tables hold every name in `config`. Does not import torch.

    Raises:
        SynthaugError: every unknown name, in one message.
    """
    _raise(_unknown_names(config))


def check_config(config: Config) -> None:
    """Check names, augmentations, and which settings go together.

    Raises:
        SynthaugError: every fault, in one message.
    """
    from synthaug.augment.diffaugment import DiffAugment

    _raise(chain(_unknown_names(config), _fault(DiffAugment, config.training.augment), _incompatible(config)))


def config_warnings(config: Config) -> list[str]:
    """Warnings for settings without effect, and for a monitor whose scores would be too good."""
    training, monitor = config.training, config.monitor
    objective = OBJECTIVES.get(training.objective).regularizers if training.objective in OBJECTIVES else {}
    penalty = any(weight > 0 for weight in {**objective, **training.regularizers}.values())
    switches = [
        (training.ada, "training.ada is false", "training", ("ada_target", "ada_interval", "ada_kimg")),
        (penalty, "no penalty has a weight", "training", ("regularizer_interval", "regularizer_decay")),
        (config.gate.agreement, "gate.agreement is false", "gate", ("steps",)),
    ]
    warnings = []
    for on, reason, section, keys in switches:
        values, defaults = getattr(config, section), getattr(Config(), section)
        for key in keys:
            if not on and (value := getattr(values, key)) != getattr(defaults, key):
                warnings.append(f"{section}.{key} = {value} has no effect: {reason}")
    if config.model.discriminator == "projected" and monitor.features == "efficientnet_lite0":
        warnings.append(
            "the monitor's features are those of the projected discriminator, so its scores are too good: "
            "--set monitor.features=own"
        )
    return warnings


def _raise(found: Iterator[SynthaugError]) -> None:
    faults = list(found)
    if faults:
        raise SynthaugError("; ".join(f.message for f in faults), "; ".join(f.hint for f in faults))


def _fault(check: Callable[..., object], *arguments: object) -> Iterator[SynthaugError]:
    try:
        check(*arguments)
    except SynthaugError as fault:
        yield fault


def _unknown_names(config: Config) -> Iterator[SynthaugError]:
    yield from _fault(check_family, config.model.family)
    yield from _fault(DISCRIMINATORS.check, config.model.discriminator)
    yield from _fault(OBJECTIVES.check, config.training.objective)
    for name in config.training.regularizers:
        yield from _fault(REGULARIZERS.check, name)
    for name in config.training.auxiliary:
        yield from _fault(AUXILIARIES.check, name)
    yield from _fault(check_features, config.monitor.features)
    for name in config.training.trackers:
        yield from _fault(TRACKERS.check, name)


def _incompatible(config: Config) -> Iterator[SynthaugError]:
    """Incompatible settings."""
    from synthaug.data.batches import GROUP
    from synthaug.losses.objective import smoothed

    model, training = config.model, config.training
    if training.objective in OBJECTIVES:
        objective = OBJECTIVES.get(training.objective)()
        yield from _fault(smoothed, objective, training.objective, training.label_smoothing)
    largest = LARGEST.get(model.family, config.data.resolution)
    if config.data.resolution > largest:
        yield SynthaugError(
            f"data.resolution = {config.data.resolution} is too large for {model.family}, which has weights of its own "
            "for each pixel",
            f"use --resolution {largest}, or --family stylegan2, r3gan, fastgan, biggan or dcgan",
        )
    if training.batch_size % GROUP:
        lower = training.batch_size // GROUP * GROUP
        yield SynthaugError(
            f"training.batch_size = {training.batch_size} cannot be divided into groups of {GROUP} images of one class",
            f"use {lower} or {lower + GROUP}" if lower else f"use {GROUP}",
        )
    if training.micro_batch_size is not None:
        yield from _micro_batches(config, training.micro_batch_size)
    from_images = isinstance(model, SourceOptions)
    codes = isinstance(model, CodeOptions) and bool(model.categorical_codes or model.continuous_codes)
    if codes and not training.auxiliary.get("infogan"):
        yield SynthaugError(
            "the model has InfoGAN codes without the infogan loss", "add --set 'training.auxiliary={infogan: 1.0}'"
        )
    if training.auxiliary.get("infogan") and not codes:
        yield SynthaugError(
            "training.auxiliary has the infogan loss, but the model has no InfoGAN codes",
            "add --set model.continuous_codes=2, or use --recipe infogan",
        )
    if model.discriminator == "unconditional" and not training.auxiliary.get("acgan") and not from_images:
        yield SynthaugError(
            "model.discriminator = 'unconditional' ignores labels, and no auxiliary classifier is set",
            "add --set 'training.auxiliary={acgan: 1.0}', or use --recipe acgan",
        )
    if from_images:
        yield from _without_meaning_for_images(config)
    if isinstance(model, UpscalerOptions) and model.discriminator != "own":
        yield SynthaugError(
            f"model.discriminator = {model.discriminator!r} cannot judge what {model.family} makes", "leave it out"
        )
    if training.ada and not training.augment:
        yield SynthaugError(
            "training.ada = true has nothing to adapt: training.augment is empty",
            "give it transforms, such as --set training.augment=[color,affine]",
        )
    for name in _EXTRAS.intersection(training.trackers):
        if importlib.util.find_spec(name) is None:
            yield SynthaugError(f"training.trackers: {name} is not installed", f"pip install 'synthaug[{name}]'")


def _micro_batches(config: Config, size: int) -> Iterator[SynthaugError]:
    """Batches that cannot be divided into parts of this size."""
    from synthaug.data.batches import GROUP

    training = config.training
    if size % GROUP or training.batch_size % size:
        divisors = [k for k in range(GROUP, training.batch_size + 1, GROUP) if training.batch_size % k == 0]
        yield SynthaugError(
            f"training.micro_batch_size = {size} does not divide a batch of {training.batch_size} into groups of "
            f"{GROUP} images of one class",
            f"use {' or '.join(map(str, divisors))}" if divisors else "leave it out",
        )
    objective = OBJECTIVES.get(training.objective).regularizers if training.objective in OBJECTIVES else {}
    for name, weight in {**objective, **training.regularizers}.items():
        if weight and size < training.batch_size and name in REGULARIZERS and REGULARIZERS.get(name).whole_batch:
            yield SynthaugError(
                f"training.micro_batch_size = {size} would change the training: {name} compares all images of a batch "
                "with each other",
                f"leave micro_batch_size out, or set training.regularizers={{{name}: 0}}",
            )


def _without_meaning_for_images(config: Config) -> Iterator[SynthaugError]:
    """Settings that families that start from images cannot follow: their game has losses of its own."""
    from synthaug.losses.regularizers import GeneratorRegularizer

    model, training = config.model, config.training
    assert isinstance(model, SourceOptions)
    if model.discriminator != "own":
        yield SynthaugError(
            f"model.discriminator = {model.discriminator!r} is for families that start from noise, "
            f"and {model.family} starts from images",
            "leave model.discriminator out",
        )
    if model.source_classes and "translate" not in model.modes():
        yield SynthaugError(
            f"model.source_classes names classes to translate, and {model.family} translates none",
            "leave --source-classes out",
        )
    if auxiliary := [name for name, weight in training.auxiliary.items() if weight > 0]:
        yield SynthaugError(
            f"training.auxiliary has {', '.join(auxiliary)}, which {model.family} cannot be trained with",
            "leave training.auxiliary out",
        )
    named = [name for name, weight in training.regularizers.items() if weight > 0 and name in REGULARIZERS]
    if named := [name for name in named if issubclass(REGULARIZERS.get(name), GeneratorRegularizer)]:
        yield SynthaugError(
            f"training.regularizers has {', '.join(named)}, which act on generators that start from noise, "
            f"and {model.family} starts from images",
            "leave them out",
        )
    if training.discriminator_steps > 1 and not model.many_discriminator_steps:
        yield SynthaugError(
            f"training.discriminator_steps = {training.discriminator_steps}, but {model.family} updates each of its "
            "networks once a step",
            "leave it at 1",
        )
