"""The game of DAGAN (1711.04340 §3): which of two images was made from the other?

A real pair is two images of a class; a generated pair is an image and what was made of it. A copy of the source would
give itself away, as real images of a pair differ.
"""

from __future__ import annotations

import torch

from synthaug.training.game import Game, Scalars
from synthaug.training.steps.adversarial import adversarial_loss, discriminator_turn


def dagan_step(game: Game, step: int, seed: int) -> Scalars:
    """Update the discriminator (several times, if so configured), then the generator. Returns detached scalars."""
    rng = game.begin(step, seed)
    penalties = game.due_penalties(step)
    scalars: Scalars = {}
    for _ in range(game.config.training.discriminator_steps):
        real, labels = game.batches.draw(rng)
        sources, _ = game.batches.take(game.origins(labels, rng))
        inputs = game.inputs(labels, rng)._replace(sources=sources)
        fake = torch.cat([sources, game.generate(inputs)], dim=1)
        real = torch.cat([sources, real], dim=1)
        scalars |= discriminator_turn(game, penalties, real, fake, inputs, rng)
    with game.state.players["discriminator"].held():
        loss = adversarial_loss(game, fake, real, labels, rng)
        game.state.players["generator"].update(loss)
    return scalars | {"loss_g": loss.detach()}
