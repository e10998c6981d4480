"""The game of CycleGAN (1703.10593): two usual games, there and back, and losses that tie their generators.

For a real image y of a class, and a real image x of a class that it may be made from, with G there and F back:

    cycle      |F(G(x)') − x| + |G(F(y)') − y|                                     (eq. 2)
    identity   |G(y) − y| + |F(x) − x|                                             (§5.2)

G(x)' is G(x) with noise and rounded to 256 levels: otherwise the way back reads what was hidden in it (1712.02950).
The discriminators see a mixture of new and past fakes (§4).
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from synthaug.models.inputs import Inputs
from synthaug.training.game import Game, Scalars
from synthaug.training.steps.adversarial import adversarial_loss, discriminator_turn
from synthaug.training.steps.translation import distance, hidden_nothing
from synthaug.translators.fake_pool import FakePool
from synthaug.translators.options import CycleGANOptions


def cyclegan_step(game: Game, step: int, seed: int) -> Scalars:
    """Update both discriminators, then both generators. Returns detached scalars."""
    rng = game.begin(step, seed)
    weights, back = cast(CycleGANOptions, game.config.model), the_other_way(game)
    pool, back_pool = (cast(FakePool, game.family.networks[name]) for name in ("pool", "back_pool"))
    real, labels = game.batches.draw(rng)
    sources, source_labels = game.batches.take(game.origins(labels, rng))
    inputs = game.inputs(labels, rng)._replace(sources=sources)
    back_inputs = game.inputs(source_labels, rng)._replace(sources=real)
    fake, returned = game.generate(inputs), back.generate(back_inputs)
    penalties = game.due_penalties(step)
    shown, shown_back = pool.swap(fake, labels, rng), back_pool.swap(returned, source_labels, rng)
    scalars = discriminator_turn(game, penalties, real, shown, inputs, rng)
    found = discriminator_turn(back, penalties, sources, shown_back, back_inputs, rng)
    scalars |= {f"{name}_back": value for name, value in found.items()}

    def same(one: Game, images: Tensor, like: Inputs, target: Tensor) -> Tensor:
        return distance(one.generate(like._replace(sources=images)), target)

    with game.state.players["discriminator"].held(), back.state.players["discriminator"].held():
        losses = {
            "loss_g": adversarial_loss(game, fake, real, labels, rng),
            "loss_g_back": adversarial_loss(back, returned, sources, source_labels, rng),
        }
        cycle = same(back, hidden_nothing(fake, rng), back_inputs, sources)
        cycle = cycle + same(game, hidden_nothing(returned, rng), inputs, real)
        losses["cycle"] = weights.cycle * cycle
        identity = same(game, real, inputs, real) + same(back, sources, back_inputs, sources)
        losses["identity"] = weights.identity * identity
        game.state.players["generator"].update(torch.stack(list(losses.values())).sum())
    return scalars | {name: loss.detach() for name, loss in losses.items()}


def the_other_way(game: Game) -> Game:
    """The same game for `way_back` and its discriminator."""
    networks, players = dict(game.family.networks), dict(game.state.players)
    networks["generator"], networks["discriminator"] = networks["way_back"], networks["back_discriminator"]
    players["discriminator"] = players["back_discriminator"]
    return replace(game, family=replace(game.family, networks=networks), state=replace(game.state, players=players))
