"""The game of the translator: real images become images of other classes, or others of their own.

Sources are the batch itself: groups of images (of one class each) change places, so each group of fakes has a class
of the batch and the content of another group. A quarter of the groups stay: their images are varied. Beside the
adversarial loss, for sources x with classes x_y, fakes f = G(content(x), y, z):

    reconstruction  |G(content(x), x_y, style(x)) − x|                             (MUNIT, 1804.04732, eq. 1)
    cycle           |G(content(f'), x_y, style(x)) − x|                            (CycleGAN, 1703.10593, eq. 2)
    style           |style(f) − z|                                                 (StarGAN v2, 1912.01865, eq. 2)
    diversity       −|f − G(content(x), y, z₂)|, fading                            (StarGAN v2, eq. 3)

With conditions, a fake has the class and the attributes of an image of the batch, and a source its own on the way back.
f' is f with noise and rounded to 256 levels: otherwise the way back reads what was hidden in f (1712.02950).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from synthaug import processes
from synthaug.data.batches import group_of
from synthaug.models.family import noised
from synthaug.training.game import Game, Scalars
from synthaug.training.steps.adversarial import adversarial_loss, discriminator_turn
from synthaug.translators.options import TranslatorOptions
from synthaug.translators.translator import Translator

STAY = 0.25
"""Share of the groups whose class does not change."""
HIDING = 0.05
"""Standard deviation of the noise on fakes before their way back."""


def translation_step(game: Game, step: int, seed: int) -> Scalars:
    """Update the discriminator, then the translator. Returns detached scalars."""
    rng = game.begin(step, seed)
    translator = cast(Translator, game.family.generator)
    weights = cast(TranslatorOptions, game.config.model)
    real, told = game.batches.draw(rng, whole=True)
    order = processes.own(regrouped(len(real), rng))
    sources, of_sources = real[order], told[order]
    real, told = processes.own(real), processes.own(told)
    inputs = game.inputs(told, rng)._replace(sources=sources)
    y = inputs.condition
    with game.fabric.autocast():
        content = translator.content(sources)
        fake = translator.paint(content, y, inputs.noise)
    wrong = None if game.conditions is None else game.conditions.wrong(told, y)
    scalars = discriminator_turn(game, game.due_penalties(step), real, fake, inputs, rng, wrong)

    # Each loss sees a part of the rows, by turns: all of them for each would double the time of a step.
    one, other = parts(len(real), step)
    with game.state.players["discriminator"].held():
        losses = {"loss_g": adversarial_loss(game, fake, real, y, rng)}
        with game.fabric.autocast():
            own = translator.style(sources)
            same = translator.paint(content[one], of_sources[one], own[one])
            back = translator.content(hidden_nothing(fake[other], rng))
            back = translator.paint(back, of_sources[other], own[other])
            found = translator.style(fake)
            few = one[::2]
            noise = processes.randn(len(few), translator.z_dim, rng=rng).to(game.fabric.device)
            varied = translator.paint(content[few], y[few], noise)
        losses["reconstruction"] = weights.reconstruction * distance(same, sources[one])
        losses["cycle"] = weights.cycle * distance(back, sources[other])
        losses["style"] = weights.style * distance(found, inputs.noise)
        losses["diversity"] = -weights.diversity * (1 - game.progress) * distance(fake[few], varied)
        game.state.players["generator"].update(torch.stack(list(losses.values())).sum())
    return scalars | {name: loss.detach() for name, loss in losses.items()}


def regrouped(count: int, rng: torch.Generator) -> Tensor:
    """Rows int64[count] in which groups have changed places, and their images within the group; some groups stay."""
    size = group_of(count)
    groups = torch.arange(count // size)
    moving = torch.rand(len(groups), generator=rng) >= STAY
    places = groups.clone()
    places[moving] = groups[moving][torch.randperm(int(moving.sum()), generator=rng)]
    within = torch.rand(len(groups), size, generator=rng).argsort(dim=1)
    return (places[:, None] * size + within).flatten()


def parts(count: int, step: int) -> tuple[Tensor, Tensor]:
    """Every second row, and the others; they change places with each step."""
    odd = (torch.arange(count) + step) % 2 == 1
    return torch.nonzero(odd).flatten(), torch.nonzero(~odd).flatten()


def hidden_nothing(images: Tensor, rng: torch.Generator) -> Tensor:
    """Fakes as they go back: nothing can be hidden in them below the noise and the 256 levels."""
    return noised(images, HIDING, rng)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean absolute difference, in float32."""
    return (one.float() - other.float()).abs().mean()
