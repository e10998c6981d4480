"""A few steps of every game, to be compared with the same ones of several processes or of micro-batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from generator_material import small_options
from lightning_fabric import Fabric

from synthaug import processes
from synthaug.config import validate
from synthaug.data.batches import BalancedBatches
from synthaug.losses.heads import build_heads
from synthaug.models import MODELS, UPSCALERS, build_family
from synthaug.models.codes import codes_of
from synthaug.models.family import ImageShape
from synthaug.models.inputs import Sources
from synthaug.training.condition_rules import ConditionRules
from synthaug.training.game import Game, build_game
from synthaug.training.steps import super_resolution, take_step, translation

STEEP = {"cyclegan": 1, "cut": 4}
"""Games in which one process goes another way, too, if its weights differ by 1e-7: most steps in single precision."""
BATCH, SIDE, CLASSES, IMAGES = 24, 16, 3, 48
COUNT = int(os.environ.get("SYNTHAUG_TEST_STEPS", "2"))
EXACT = COUNT > 2
"""In double precision, so that rounding has not yet grown to a difference after many steps."""
ADAPTS = 5  # steps until adaptive augmentation has changed its strength


class Setting(NamedTuple):
    family: str
    training: dict[str, Any]
    model: dict[str, Any]
    attributes: int = 0


SETTINGS = {name: Setting(name, {}, {}) for name in [*MODELS.names(), *UPSCALERS.names()]} | {
    "gradient penalty": Setting("dcgan", {"objective": "wasserstein"}, {}),
    "relativistic": Setting("dcgan", {"objective": "relativistic", "regularizer_interval": 1}, {}),
    "lecam": Setting("dcgan", {"regularizers": {"lecam": 1.0}}, {}),
    "consistency": Setting("dcgan", {"regularizers": {"consistency": 1.0}}, {}),
    "mode-seeking": Setting("dcgan", {"regularizers": {"mode-seeking": 1.0}}, {}),
    "spectral": Setting("dcgan", {"regularizers": {"conditional-spectral": 1.0}}, {}),
    "ada": Setting("dcgan", {"ada": True, "ada_kimg": 0.2}, {}),
    "embedding noise": Setting("dcgan", {"embedding_noise": 0.5}, {}),
    "two steps, mirrored": Setting("dcgan", {"discriminator_steps": 2, "flip": True}, {}),
    "codes": Setting("dcgan", {"auxiliary": {"infogan": 1.0, "acgan": 1.0}}, {"continuous_codes": 2}),
    "conditions": Setting("dcgan", {"regularizers": {"r1": 1.0, "consistency": 1.0}}, {}, attributes=5),
    "conditions and heads": Setting(
        "dcgan", {"auxiliary": {"infogan": 1.0, "acgan": 1.0}}, {"continuous_codes": 2}, attributes=5
    ),
    "conditions, micro-batches": Setting("stylegan2", {"micro_batch_size": 4}, {}, attributes=5),
    "conditions of a translator": Setting("translator", {}, {}, attributes=5),
    "full pool": Setting("cyclegan", {}, {"pool": 2}),
    "micro-batches": Setting("stylegan2", {"micro_batch_size": 4}, {}),
    "micro-batches, batch norm": Setting("dcgan", {"micro_batch_size": 4, "embedding_noise": 0.5}, {}),
}


def game_of(setting: Setting, fabric: Fabric) -> Game:
    model = small_options(setting.family, **setting.model)
    config = validate({"model": model.model_dump(), "training": {"batch_size": BATCH, **setting.training}})
    shape = ImageShape(SIDE, 3, CLASSES, setting.attributes)
    torch.manual_seed(0)
    family = build_family(setting.family, shape, config.model)
    heads = build_heads(config.training.auxiliary, family, shape, codes_of(config.model))
    rng = torch.Generator().manual_seed(3)
    side = SIDE * getattr(config.model, "scale", 1)
    pixels = torch.randint(256, (IMAGES, 3, side, side), generator=rng).to(torch.uint8)
    probabilities = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64)
    batches = BalancedBatches(pixels, torch.arange(IMAGES) % CLASSES, probabilities, BATCH, config.training.flip)
    game = build_game(config, family, batches, fabric, heads)
    game.sources = Sources(pixels.numpy(), {k: [np.arange((k + 1) % CLASSES, IMAGES, CLASSES)] for k in range(CLASSES)})
    if setting.attributes:
        batches.attributes = torch.randn(IMAGES, setting.attributes, generator=rng)
        columns = torch.arange(setting.attributes) % 2
        game.conditions = ConditionRules(torch.nn.functional.one_hot(columns, 2).float(), dropout=0.3)
    with torch.no_grad():  # off the zeros that conditional layers start with
        for parameter in family.exported_network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=rng))
    # Adam divides by the gradient's size: where that is zero but for rounding, it would take random steps.
    rate = {"cyclegan": 2e-5 if EXACT else 1e-3, "cut": 1e-3}.get(setting.family, 1e-2)
    for player in game.state.players.values():
        player.optimizer = torch.optim.SGD(player.parameters, rate)
    return game


def trained(setting: Setting, fabric: Fabric, count: int = COUNT) -> dict[str, Any]:
    """Losses of each step, and all weights and buffers before and after; and how many micro-batches there were."""
    game = game_of(setting, fabric)
    modules = {**game.state.networks, "average": game.state.average.network}
    rows, before, parts = [], state_of(modules), game.micro_batches.count if game.micro_batches else 1
    least = ADAPTS if setting.training.get("ada") else 0
    steps = max(count, least)
    for number in range(steps if EXACT else min(steps, STEEP.get(setting.family, steps))):
        game.set_progress(number / max(count, least))
        scalars = take_step(game, number, 0)
        rows.append({name: torch.as_tensor(value) for name, value in scalars.items()})
        game.state.average.update(game.family.exported_network, BATCH * (number + 1), BATCH)
    return {"rows": rows, "before": before, "after": state_of(modules), "parts": parts}


def state_of(modules: dict[str, torch.nn.Module]) -> dict[str, torch.Tensor]:
    return {f"{name}.{k}": v.clone() for name, module in modules.items() for k, v in module.state_dict().items()}


@contextmanager
def without_levels() -> Iterator[None]:
    """Without the rounding to 256 levels, which make a level of a difference in the last bit; with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        if EXACT:
            patch.setattr(torch.Tensor, "float", torch.Tensor.double)
            torch.set_default_dtype(torch.float64)
        patch.setattr(translation, "noised", unrounded)
        patch.setattr(super_resolution, "noised", unrounded)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)
            torch.set_num_threads(threads)


def unrounded(images: torch.Tensor, deviation: float, rng: torch.Generator) -> torch.Tensor:
    """`noised` without its 256 levels."""
    return (images + deviation * processes.randn(*images.shape, rng=rng)).clamp(-1, 1)


def assert_close(alone: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """The mean of the others' losses, and the weights of each, are those of `alone`."""
    for number, row in enumerate(alone["rows"]):
        for key, value in row.items():
            mean = torch.stack([other["rows"][number][key].double() for other in others]).mean()
            torch.testing.assert_close(mean, value.double(), rtol=1e-3, atol=1e-4, msg=f"{key} of step {number}")
    for key, value in alone["after"].items():
        moved = (value.double() - alone["before"][key].double()).abs().max() if value.numel() else 0.0
        for other in others:
            # one level of 256 in the pools of past images; elsewhere a hundredth of the way that the weights went
            close = 1.0 if value.dtype == torch.uint8 else 1e-5 + 0.01 * float(moved)
            apart = (other["after"][key].double() - value.double()).abs()
            assert apart.numel() == 0 or float(apart.max()) <= close, key
