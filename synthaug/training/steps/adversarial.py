"""The usual game: a discriminator against a generator, under any objective of the table and its penalties.

The objective gives both losses. Regularisers add theirs when they are due (lazily, 1912.04958 §3.1), auxiliary heads
(AC-GAN, InfoGAN) to both. R1 and R2 differentiate the step's own pass through the discriminator, as in StyleGAN3 and
R3GAN.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthaug.augment.ada import AdaptiveAugment
from synthaug.losses.regularizers import DiscriminatorBatch, GeneratorBatch, GeneratorRegularizer, Regularizer
from synthaug.models.inputs import Inputs
from synthaug.training.game import Game, Penalty, Scalars


def adversarial_step(game: Game, step: int, seed: int) -> Scalars:
    """Update the discriminator (several times, if so configured), then the generator. Returns detached scalars."""
    rng = game.begin(step, seed)
    penalties = game.due_penalties(step)
    discriminator, generator = game.state.players["discriminator"], game.state.players["generator"]
    scalars: Scalars = {}
    for _ in range(game.config.training.discriminator_steps):
        real, told = game.batches.draw(rng)
        inputs = game.inputs(told, rng)
        fake = game.generate(inputs)
        wrong = None if game.conditions is None else game.conditions.wrong(told, inputs.condition)
        scalars |= discriminator_turn(game, penalties, real, fake, inputs, rng, wrong)

    # The generator answers for the last fakes. They were made before the discriminator moved: that saves a pass.
    with discriminator.held():
        images, y = game.augment(fake, rng), inputs.condition
        if game.objective.paired:
            images, y = torch.cat([images, game.augment(real, rng)]), torch.cat([y, y])
        logits, features = game.examine(images, y)
        auxiliary = None
        if game.heads is not None and features is not None:
            auxiliary, losses = game.heads.generator_loss(features[: len(fake)], inputs, game.condition_strength)
            scalars |= losses
        pairs = [(head[len(fake) :], head[: len(fake)]) for head in logits]
        made = GeneratorBatch(game.family.generator, inputs, fake)
        loss, found = generator_loss(game, made, pairs, penalties, auxiliary)
        generator.update(loss)
        return scalars | found


def discriminator_turn(
    game: Game, penalties: Sequence[Penalty], real: Tensor, fake: Tensor, inputs: Inputs, rng: torch.Generator,
    wrong: tuple[Tensor, Tensor] | None = None,
) -> Scalars:  # fmt: skip
    """Update the discriminator on real images and on fakes that were made from `inputs`; both have its labels.

    `wrong`, from `ConditionRules.wrong`: real images that are described so are fakes, too.

    A function of its own, because its graph would stay in memory in the generator's turn: up to 20% slower on a CPU.
    """
    shown_real, shown_fake = _leaf(real, "real", penalties), _leaf(fake, "fake", penalties)
    # One pass for both halves: under spectral norm they must meet the same weights.
    images, y = [game.augment(shown_real, rng), game.augment(shown_fake, rng)], [inputs.condition] * 2
    if wrong is not None:
        images, y = [*images, images[0]], [*y, wrong[0]]
    logits, features = game.examine(torch.cat(images), torch.cat(y))
    half = len(real)
    real_logits, fake_logits = [head[:half] for head in logits], [head[half : 2 * half] for head in logits]
    wrong_logits = None
    if wrong is not None:  # where nothing is wrong, a second fake
        wrong_logits = [torch.where(wrong[1][:, None], head[2 * half :], head[half : 2 * half]) for head in logits]
    auxiliary, scalars = None, {}
    if game.heads is not None and features is not None:
        auxiliary, losses = game.heads.discriminator_loss(features[: 2 * half], inputs, game.condition_strength)
        scalars = {f"{name}_d": loss for name, loss in losses.items()}
    batch = game.discriminator_batch(shown_real, shown_fake, inputs.condition, real_logits, fake_logits, rng)
    loss, found = discriminator_loss(game, batch, penalties, auxiliary, wrong_logits)
    game.state.players["discriminator"].update(loss)
    return scalars | found | adapt(game, batch)


def adapt(game: Game, batch: DiscriminatorBatch) -> Scalars:
    """Let adaptive augmentation, if it is on, follow the discriminator's opinions."""
    if not isinstance(game.augment, AdaptiveAugment):
        return {}
    heads = zip(batch.real_logits, batch.fake_logits, strict=True)
    margins = torch.cat([game.objective.margin(real.detach(), fake.detach()) for real, fake in heads], dim=1)
    return {"ada_p": game.augment.observe(margins)}


def adversarial_loss(game: Game, fake: Tensor, real: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """The generator's adversarial loss on augmented fakes, averaged over the heads; for steps that add others to it."""
    images, image_labels = game.augment(fake, rng), labels
    if game.objective.paired:
        images, image_labels = torch.cat([images, game.augment(real, rng)]), torch.cat([labels, labels])
    logits, _ = game.examine(images, image_labels)
    n = len(fake)
    return torch.stack([game.objective.generator_loss(head[:n], head[n:]) for head in logits]).mean()


def _leaf(images: Tensor, name: str, penalties: Sequence[Penalty]) -> Tensor:
    """The images without their graph. They require gradients where a penalty differentiates the logits by them."""
    regularizers = [due.regularizer for due in penalties if isinstance(due.regularizer, Regularizer)]
    return images.detach().requires_grad_(any(regularizer.differentiates == name for regularizer in regularizers))


def discriminator_loss(
    game: Game, batch: DiscriminatorBatch, penalties: Sequence[Penalty], auxiliary: Tensor | None = None,
    wrong_logits: Sequence[Tensor] | None = None,
) -> tuple[Tensor, Scalars]:  # fmt: skip
    """The objective, averaged over the heads, plus the auxiliary loss and the discriminator's penalties.

    `wrong_logits`, of real images with a wrong description, count as much as those of the fakes.
    """

    def against(others: Sequence[Tensor]) -> Tensor:
        heads = zip(batch.real_logits, others, strict=True)
        return torch.stack([game.objective.discriminator_loss(real, other) for real, other in heads]).mean()

    loss = against(batch.fake_logits)
    scalars = {
        "loss_d": loss.detach(),
        "real_score": batch.real_logits[0].detach().mean(),
        "fake_score": batch.fake_logits[0].detach().mean(),
    }
    if wrong_logits is not None:
        wrong = against(wrong_logits)
        loss, scalars["loss_wrong"] = (loss + wrong) / 2, wrong.detach()
    if auxiliary is not None:
        loss = loss + auxiliary
    return _with_penalties(loss, scalars, [p for p in penalties if isinstance(p.regularizer, Regularizer)], batch)


def generator_loss(
    game: Game,
    batch: GeneratorBatch,
    heads: Sequence[tuple[Tensor, Tensor]],
    penalties: Sequence[Penalty],
    auxiliary: Tensor | None = None,
) -> tuple[Tensor, Scalars]:
    """The objective on (real, fake) logits of each head, plus the auxiliary loss and the generator's penalties."""
    loss = torch.stack([game.objective.generator_loss(fake, real) for real, fake in heads]).mean()
    scalars = {"loss_g": loss.detach()}
    if auxiliary is not None:
        loss = loss + auxiliary
    due = [p for p in penalties if isinstance(p.regularizer, GeneratorRegularizer)]
    return _with_penalties(loss, scalars, due, batch)


def _with_penalties(
    loss: Tensor, scalars: Scalars, penalties: Sequence[Penalty], batch: DiscriminatorBatch | GeneratorBatch
) -> tuple[Tensor, Scalars]:
    for penalty in penalties:
        value = penalty.regularizer(batch)
        scalars[penalty.name] = value.detach()
        loss = loss + penalty.weight * value
    return loss, scalars
