"""The game of CUT (2007.15651): the usual one, and a contrast between the patches of a fake and of its source.

For a fake G(x) and a real image y of its class, with the loss of patches l(fake, source):

    nce    ½ (l(G(x), x) + l(G(y), y)), or l(G(x), x) alone                        (eq. 4, 5)

Layers are the image itself and the maps of the generator's encoder.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from synthaug.training.game import Game, Scalars
from synthaug.training.steps.adversarial import adversarial_loss, discriminator_turn
from synthaug.translators.cut import PatchHeads, patch_nce, some_places
from synthaug.translators.options import CUTOptions
from synthaug.translators.resnet import ResnetGenerator


def cut_step(game: Game, step: int, seed: int) -> Scalars:
    """Update the discriminator, then the generator and the heads for patches. Returns detached scalars."""
    rng = game.begin(step, seed)
    weights, generator = cast(CUTOptions, game.config.model), cast(ResnetGenerator, game.family.generator)
    real, labels = game.batches.draw(rng)
    sources, _ = game.batches.take(game.origins(labels, rng))
    inputs = game.inputs(labels, rng)._replace(sources=sources)
    with game.fabric.autocast():
        of_sources = generator.maps(sources)
        fake = generator.paint(of_sources[-1], labels)
    scalars = discriminator_turn(game, game.due_penalties(step), real, fake, inputs, rng)

    with game.state.players["discriminator"].held():
        loss = adversarial_loss(game, fake, real, labels, rng)
        with game.fabric.autocast():
            nce = _contrast(game, [sources, *of_sources], fake, rng)
            if weights.nce_identity:
                of_real = generator.maps(real)
                same = generator.paint(of_real[-1], labels)
                nce = (nce + _contrast(game, [real, *of_real], same, rng)) / 2
        game.state.players["generator"].update(loss + weights.nce * nce)
    return scalars | {"loss_g": loss.detach(), "nce": weights.nce * nce.detach()}


def _contrast(game: Game, of_source: list[Tensor], fake: Tensor, rng: torch.Generator) -> Tensor:
    """The loss of patches, averaged over the layers."""
    generator = cast(ResnetGenerator, game.family.generator)
    heads = cast(PatchHeads, game.family.networks["patch_heads"])
    places = some_places(of_source, cast(CUTOptions, game.config.model).patches, rng)
    sought, found = heads([fake, *generator.maps(fake)], places), heads(of_source, places)
    return torch.stack([patch_nce(one, other) for one, other in zip(sought, found, strict=True)]).mean()
