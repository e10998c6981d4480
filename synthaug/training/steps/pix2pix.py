"""The game of pix2pix (1611.07004, eq. 4): a map is painted as the image that it was made from.

For a map m of an image x of class y, and the fake f = G(m, z, y):

    adversarial    D(m, x, y) against D(m, f, y)                                   (eq. 1)
    l1             |f − x|                                                         (eq. 3)

`Game.sources` holds the maps, in the order of the training images.
"""

from __future__ import annotations

from typing import cast

import torch

from synthaug.training.game import Game, Scalars
from synthaug.training.steps.adversarial import adversarial_loss, discriminator_turn
from synthaug.training.steps.translation import distance
from synthaug.translators.options import Pix2PixOptions


def pix2pix_step(game: Game, step: int, seed: int) -> Scalars:
    """Update the discriminator, then the generator. Returns detached scalars."""
    rng = game.begin(step, seed)
    weights = cast(Pix2PixOptions, game.config.model)
    rows = game.batches.rows(rng)
    images, labels = game.batches.take(rows)
    pairs = game.batches.mirrored(torch.cat([game.source_images(rows), images], dim=1), rng)
    maps, real = pairs.chunk(2, dim=1)
    inputs = game.inputs(labels, rng)._replace(sources=maps)
    fake = game.generate(inputs)
    painted = torch.cat([maps, fake], dim=1)
    scalars = discriminator_turn(game, game.due_penalties(step), pairs, painted, inputs, rng)
    with game.state.players["discriminator"].held():
        adversarial = adversarial_loss(game, painted, pairs, labels, rng)
        l1 = weights.l1 * distance(fake, real)
        game.state.players["generator"].update(adversarial + l1)
    return scalars | {"loss_g": adversarial.detach(), "l1": l1.detach()}
