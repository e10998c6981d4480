"""Each part that a recipe, or a command on a page of docs/, names acts: a step with it differs from one without."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from page_commands import PAGES, trainings

from synthaug.augment.ada import AdaptiveAugment
from synthaug.augment.diffaugment import POLICIES
from synthaug.config import Config, recipe_names, resolve, validate
from synthaug.data.batches import BalancedBatches, class_probabilities
from synthaug.losses import AUXILIARIES, OBJECTIVES, REGULARIZERS
from synthaug.losses.heads import build_heads
from synthaug.losses.regularizers import LeCam
from synthaug.models import build_family
from synthaug.models.codes import codes_of
from synthaug.models.family import ImageShape
from synthaug.models.inputs import Sources
from synthaug.training.game import build_game
from synthaug.training.schedule import condition_strength
from synthaug.training.steps import STEPS

COUNTS = [30, 12, 4]


def trace(config: Config, strength: float | None = None) -> list[dict[str, float]]:
    """Losses and gradients of three steps of a small training on noise, late enough for every part to have begun.

    Args:
        strength: the probability that ADA has come to; None: it begins.
    """
    return _traced(config.model_dump_json(), strength)


@cache  # what a recipe names is taken out part by part, and compared with the same training
def _traced(written: str, strength: float | None) -> list[dict[str, float]]:
    from lightning_fabric import Fabric

    config = Config.model_validate_json(written)
    channels = config.data.channels if config.data.channels != "auto" else 3
    shape = ImageShape(16, channels, len(COUNTS))
    torch.manual_seed(0)
    family = build_family(config.model.family, shape, config.model)
    heads = build_heads(config.training.auxiliary, family, shape, codes_of(config.model))
    with torch.no_grad():  # conditional normalisation starts at zero, where a penalty on it has no gradient
        for p in family.generator.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
    rng = torch.Generator().manual_seed(3)
    scale = getattr(config.model, "scale", 1)  # upscalers learn from larger images
    pixels = torch.randint(256, (sum(COUNTS), channels, 16 * scale, 16 * scale), generator=rng).to(torch.uint8)
    labels = torch.repeat_interleave(torch.arange(len(COUNTS)), torch.tensor(COUNTS))
    probabilities = class_probabilities(COUNTS, config.training.balance, [2], config.training.target_boost)
    batches = BalancedBatches(pixels, labels, probabilities, config.training.batch_size, config.training.flip)
    game = build_game(config, family, batches, Fabric(accelerator="cpu", devices=1, precision="32-true"), heads)
    if family.generator.starts_from_images:
        rows_of = [torch.nonzero(labels == k).flatten().numpy() for k in range(len(COUNTS))]
        game.sources = Sources(pixels.numpy(), {k: [rows_of[(k + 1) % len(COUNTS)]] for k in range(len(COUNTS))})
    for _, regularizer in game.regularizers.values():
        if isinstance(regularizer, LeCam):
            regularizer.steps.fill_(LeCam.start)
    if isinstance(game.augment, AdaptiveAugment) and strength is not None:
        game.augment.p.fill_(strength)
    game.progress = 0.25 if scale == 1 else 0.9  # their discriminator counts at the end
    family.set_condition_strength(condition_strength(config, game.progress))
    rows = []
    for step in range(3):
        scalars = STEPS.get(family.step)(game, step, config.seed)
        row = {name: float(scalars[name]) for name in ("loss_d", "loss_g", "real_score", "fake_score")}
        for name, network in (("generator", family.generator), ("discriminator", family.discriminator)):
            row[name] = float(sum(p.grad.abs().sum() for p in network.parameters() if p.grad is not None))
        rows.append(row)
    return rows


def reduced(config: Config, model: dict[str, Any] | None = None, **training: Any) -> Config:
    """The configuration at a size for tests, with other values in its training section and of its model."""
    tree = config.model_dump()
    tree["data"]["resolution"] = 16
    tree["model"] |= {"width": 8, "discriminator_width": 8, "z_dim": 24, "embed_dim": 8, **(model or {})}
    tree["training"] |= {"batch_size": 8, "compile": False, **training}
    return validate(tree)


def named_parts(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each part that `config` names, and the settings that take it out."""
    training, neutral = config.training, Config().training
    own = OBJECTIVES.get(training.objective).regularizers
    for name, weight in {**own, **training.regularizers}.items():
        if weight > 0:
            yield f"regularizer {name}", {"regularizers": {**training.regularizers, name: 0.0}}
    for name in training.auxiliary:
        yield f"head {name}", {"auxiliary": {k: v for k, v in training.auxiliary.items() if k != name}}
    for name in training.augment:
        yield f"augmentation {name}", {"augment": [other for other in training.augment if other != name]}
    if training.fade_end:
        yield "fade-in", {"fade_start": 0.0, "fade_end": 0.0}
    for key in (
        "flip",
        "ada",
        "label_smoothing",
        "target_boost",
        "embedding_noise",
        "discriminator_steps",
        "freeze_discriminator",
    ):
        if getattr(training, key) != getattr(neutral, key):
            yield key, {key: getattr(neutral, key)}
    for key in ("discriminator", "spectral_norm"):
        if getattr(config.model, key) != getattr(Config().model, key):
            yield key, {"model": {key: getattr(Config().model, key)}}
    if training.balance:
        yield "balance", {"balance": 0.0}


CONFIGURATIONS = {
    **{command: config for page in PAGES for command, config in trainings(page) if "--recipe" not in command},
    **{recipe: resolve(recipe).config for recipe in recipe_names()},
}
# What a recipe inherits acts by the same code as in its base: one test a pair of networks.
NAMED_PARTS = {
    (config.model.family, config.model.discriminator, part, str(without)): pytest.param(
        config, part, without, id=f"{name}-{part}"
    )
    for name, config in CONFIGURATIONS.items()
    for part, without in named_parts(config)
}
POSSIBLE_PARTS = [
    *((f"regularizer {name}", {"regularizers": {name: 1.0}}) for name in REGULARIZERS.names()),
    *((f"head {name}", {"auxiliary": {name: 1.0}}) for name in AUXILIARIES.names()),
    *((f"augmentation {name}", {"augment": [name]}) for name in POLICIES),
    ("flip", {"flip": True}),
    ("label smoothing", {"objective": "least-squares", "label_smoothing": 0.1}),
    ("ada", {"ada": True, "augment": ["color"], "ada_kimg": 0.01, "ada_interval": 1, "ada_target": -0.99}),
    ("fade-in", {"fade_start": 0.1, "fade_end": 0.4}),
    ("embedding noise", {"embedding_noise": 0.75}),
    ("balance", {"balance": 0.5}),
    ("target boost", {"target_boost": 4.0}),
    ("decay", {"objective": "non-saturating", "regularizer_decay": 0.1}),
    ("interval", {"objective": "non-saturating", "regularizer_interval": 1}),
]


@pytest.mark.parametrize(("config", "part", "without"), NAMED_PARTS.values())
def test_a_named_part_acts(config: Config, part: str, without: dict[str, Any]) -> None:
    if config.model.family != "dcgan" and part.startswith("head"):
        pytest.skip("families show features by their own tests")
    assert trace(reduced(config), 0.5) != trace(reduced(config, **without), 0.5), f"{part} has no effect"


@pytest.mark.parametrize(("part", "training"), POSSIBLE_PARTS, ids=[name for name, _ in POSSIBLE_PARTS])
def test_a_part_that_a_recipe_could_name_acts(part: str, training: dict[str, Any]) -> None:
    codes = {"model": {"continuous_codes": 2}} if part == "head infogan" else {}
    base = reduced(validate({**codes, "training": {"augment": []}}))
    neutral = {"objective": training["objective"]} if "objective" in training else {}
    if part == "ada":  # against the same policies at probability 1, and at 0
        assert trace(reduced(base, **training)) != trace(reduced(base, augment=["color"]))
    assert trace(reduced(base, **training)) != trace(reduced(base, **neutral)), f"{part} has no effect"


def test_this_test_sees_a_part_that_does_nothing() -> None:
    config = reduced(validate({}))
    assert trace(config) == trace(reduced(config, regularizers={"lecam": 0.0}))  # written otherwise: trained twice
