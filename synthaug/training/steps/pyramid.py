"""The game of a Laplacian pyramid (LAPGAN, 1506.05751): every level is played for at once, each on its own.

As the usual game, but for two things: each generated detail stands on the low-pass image of a real one (§3.2), and the
discriminator judges (detail, low-pass image) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from synthaug.losses.regularizers import GeneratorBatch
from synthaug.models.inputs import Inputs
from synthaug.models.lapgan import LAPGANDiscriminator, LAPGANGenerator, gaussian_pyramid, low_passes
from synthaug.training.game import Game, Scalars
from synthaug.training.steps.adversarial import adapt, discriminator_loss, generator_loss

Levels = tuple[list[Tensor], list[Tensor]]
"""Images of every side, and the low-pass images under all but the coarsest."""


def pyramid_step(game: Game, step: int, seed: int) -> Scalars:
    """Update the discriminator (several times, if so configured), then the generator. Returns detached scalars."""
    rng = game.begin(step, seed)
    penalties = game.due_penalties(step)
    discriminator, generator = game.state.players["discriminator"], game.state.players["generator"]
    scalars: Scalars = {}
    for _ in range(game.config.training.discriminator_steps):
        real, labels = game.batches.draw(rng)
        inputs = game.inputs(labels, rng)
        real_levels = gaussian_pyramid(real)
        low = low_passes(real_levels)
        fake_levels = _generate(game, inputs, low)
        shown_real = _augment(game, real_levels, low, rng)
        shown_fake = _augment(game, [level.detach() for level in fake_levels], low, rng)
        real_logits, fake_logits = _judge_both(game, shown_real, shown_fake, labels)
        batch = game.discriminator_batch(real, fake_levels[-1].detach(), labels, real_logits, fake_logits, rng)
        loss, found = discriminator_loss(game, batch, penalties)
        discriminator.update(loss)
        scalars |= found | adapt(game, batch)

    with discriminator.held():
        shown_fake = _augment(game, fake_levels, low, rng)
        if game.objective.paired:
            shown_real = _augment(game, real_levels, low, rng)
            real_logits, fake_logits = _judge_both(game, shown_real, shown_fake, labels)
        else:
            fake_logits = _judge(game, shown_fake, labels)
            real_logits = [logits[:0] for logits in fake_logits]
        made = GeneratorBatch(game.family.generator, inputs, fake_levels[-1])
        pairs = list(zip(real_logits, fake_logits, strict=True))
        loss, found = generator_loss(game, made, pairs, penalties)
        generator.update(loss)
        return scalars | found


def _generate(game: Game, inputs: Inputs, low: Sequence[Tensor]) -> list[Tensor]:
    with game.fabric.autocast():
        levels = cast(LAPGANGenerator, game.family.generator).levels(inputs, low)
    return [level.float() for level in levels]


def _judge_both(game: Game, real: Levels, fake: Levels, labels: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Logits of real and of generated levels, from one pass."""
    levels, lows = ([torch.cat(both) for both in zip(a, b, strict=True)] for a, b in zip(real, fake, strict=True))
    logits = _judge(game, (levels, lows), torch.cat([labels, labels]))
    return [h[: len(labels)] for h in logits], [h[len(labels) :] for h in logits]


def _judge(game: Game, shown: Levels, labels: Tensor) -> list[Tensor]:
    with game.fabric.autocast():
        logits = cast(LAPGANDiscriminator, game.family.discriminator).judge(*shown, labels)
    return [head.float() for head in logits]


def _augment(game: Game, levels: Sequence[Tensor], low: Sequence[Tensor], rng: torch.Generator) -> Levels:
    """Augment each image and its low-pass image alike: only their difference is the detail."""
    images, lows = [game.augment(levels[0], rng)], []
    for fine, coarse in zip(levels[1:], low, strict=True):
        state = rng.get_state()
        images.append(game.augment(fine, rng))
        rng.set_state(state)
        lows.append(game.augment(coarse, rng))
    return images, lows
