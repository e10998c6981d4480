"""The game of upscalers: reduce real images, enlarge them again, and come close to the real ones.

    L1            |S(x) − y|, at every size that the upscaler makes on its way
    content       relative distance of the maps of EfficientNet-Lite0 (after 1609.04802, §2.2.1)
    adversarial   a discriminator judges S(x) beside y

The last two count from `perceptual_start` of the budget on.

x is y reduced as the tool reduces images, with light noise and rounded to 256 levels: the images of a generator are
no reduced real ones either. The learning rate falls by a cosine to zero.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from synthaug import processes
from synthaug.models.family import noised
from synthaug.models.inputs import Inputs
from synthaug.models.projected import feature_maps
from synthaug.training.game import Game, Scalars
from synthaug.training.steps.adversarial import adversarial_loss, discriminator_turn
from synthaug.upscalers.options import SRGANOptions
from synthaug.upscalers.resampling import halved
from synthaug.upscalers.srgan import Upscaler

CONTENT_PART = 4
"""The content loss sees one of so many images: its net takes more time than the upscaler."""


def super_resolution_step(game: Game, step: int, seed: int) -> Scalars:
    """Update the discriminator, if it plays already, then the upscaler. Returns detached scalars."""
    rng = game.begin(step, seed)
    upscaler, weights = cast(Upscaler, game.family.generator), cast(SRGANOptions, game.config.model)
    real, labels = game.batches.draw(rng)
    wanted = [patches(real, upscaler.patch * upscaler.scale, rng)]
    while wanted[0].shape[2] > upscaler.patch:
        wanted.insert(0, halved(wanted[0]))
    low = noised(wanted.pop(0), weights.noise, rng).contiguous(memory_format=torch.channels_last)
    with game.fabric.autocast():
        made = upscaler.enlarge(low)
    fake, high = made[-1], wanted[-1]
    perceptual = game.progress >= weights.perceptual_start
    scalars: Scalars = {}
    if perceptual and weights.adversarial:
        inputs = Inputs(labels, None, low)
        scalars = discriminator_turn(game, game.due_penalties(step), high, fake, inputs, rng)
    with game.state.players["discriminator"].held():
        pixel = torch.stack([(a - b).abs().mean() for a, b in zip(made, wanted, strict=True)]).mean()
        losses = {"pixel": weights.pixel * pixel}
        if perceptual and weights.content:
            few = slice(None, None, CONTENT_PART)
            with game.fabric.autocast():
                losses["content"] = weights.content * content_distance(fake[few], high[few])
        if perceptual and weights.adversarial:
            losses["adversarial"] = weights.adversarial * adversarial_loss(game, fake, high, labels, rng)
        total = torch.stack(list(losses.values())).sum()
        game.state.players["generator"].update(total, 0.5 * (1 + math.cos(math.pi * min(game.progress, 1.0))))
    return scalars | {name: loss.detach() for name, loss in losses.items()} | {"loss_g": total.detach()}


def patches(images: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """A square part of each image, mirrored half of the time, float[B, C, side, side]."""
    room = images.shape[2] - side
    places = processes.randint(room + 1, len(images), 2, rng=rng).tolist()
    mirrored = (processes.rand(len(images), rng=rng) < 0.5).to(images.device)[:, None, None, None]
    cut = torch.stack([x[:, v : v + side, u : u + side] for x, (v, u) in zip(images, places, strict=True)])
    return torch.where(mirrored, cut.flip(3), cut)


def content_distance(fake: Tensor, real: Tensor) -> Tensor:
    """Mean distance of the feature maps, relative to the size of the real images'; differentiable in `fake`."""
    with torch.no_grad():
        of_real = list(feature_maps(real))
        sizes = [processes.mean(b.abs().mean()) for b in of_real]
    maps = zip(feature_maps(fake), of_real, sizes, strict=True)
    each = [(a - b).abs().mean() / size for a, b, size in maps]
    return torch.stack(each).float().mean()
