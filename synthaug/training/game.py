"""The rules of an adversarial game: networks, objective, augmentation, penalties and the data, as a step needs them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from synthaug import processes, turns
from synthaug.augment.ada import AdaptiveAugment
from synthaug.augment.diffaugment import DiffAugment
from synthaug.config import Config
from synthaug.data.batches import BalancedBatches
from synthaug.errors import SynthaugError
from synthaug.losses import OBJECTIVES, REGULARIZERS
from synthaug.losses.heads import Heads
from synthaug.losses.objective import Objective, smoothed
from synthaug.losses.regularizers import DiscriminatorBatch, GeneratorRegularizer, Regularizer
from synthaug.models.blocks import has_batch_norm
from synthaug.models.class_embedding import classes_of
from synthaug.models.embedding_noise import EmbeddingNoise
from synthaug.models.family import Family
from synthaug.models.inputs import Inputs, Sources, joined
from synthaug.seeds import step_generator
from synthaug.training.condition_rules import ConditionRules
from synthaug.training.ema import Average
from synthaug.training.schedule import condition_strength, penalty_decay
from synthaug.training.state import Player, TrainingState

Scalars = dict[str, Tensor]
"""Name → detached scalar, for metrics.jsonl."""


@dataclass(frozen=True)
class Penalty:
    """A regulariser that is due, and its weight in this step."""

    name: str
    weight: float
    regularizer: Regularizer | GeneratorRegularizer


@dataclass
class Game:
    """What a step sees. `progress` is the share of the training that is done, 0 to 1; `sources` the images that a
    generator may start from."""

    config: Config
    family: Family
    state: TrainingState
    batches: BalancedBatches
    objective: Objective
    augment: DiffAugment | AdaptiveAugment
    regularizers: dict[str, tuple[float, Regularizer | GeneratorRegularizer]]
    fabric: Fabric
    heads: Heads | None = None
    embedding_noise: EmbeddingNoise | None = None
    sources: Sources | None = None
    progress: float = 0.0
    rng: torch.Generator = field(default_factory=torch.Generator)  # of the step
    conditions: ConditionRules | None = None  # where images have attributes
    micro_batches: turns.Turns | None = None  # where a batch is divided into micro-batches

    def set_progress(self, progress: float, known: bool = True) -> None:
        """Tell networks and schedules how far the training is.

        Args:
            known: whether its length is known. Until then a growing network has its final size: its speed is measured.
        """
        self.progress = progress
        self.family.set_condition_strength(self.condition_strength)
        self.family.set_progress(progress if known else 1.0)

    @property
    def condition_strength(self) -> float:
        """How much of the class condition counts now."""
        return condition_strength(self.config, self.progress)

    def begin(self, step: int, seed: int) -> torch.Generator:
        """The source of all randomness of a step, also of that inside the generator."""
        self.batches.expect(step_generator(seed, "step", step + 1))
        self.rng.set_state(step_generator(seed, "step", step).get_state())
        if self.embedding_noise is not None:
            self.embedding_noise.rng = self.rng
        return self.rng

    def inputs(self, told: Tensor, rng: torch.Generator) -> Inputs:
        """What the generator is fed for a batch: of labels int64[B], or of labels and attributes, float[B, 1 + A]."""
        z = processes.randn(len(told), self.family.generator.z_dim, rng=rng)
        inputs = Inputs(classes_of(told), z.to(self.fabric.device))
        if self.conditions is None:
            return inputs
        return inputs._replace(attributes=self.conditions.hidden(told[:, 1:], rng))

    def origins(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """The rows of training images that images of these labels may start from, one for each, int64[B]."""
        assert self.sources is not None, "this game starts from images"
        return self.sources.draw(labels, rng)

    def source_images(self, rows: Tensor) -> Tensor:
        """What a generator starts from for these training images, float[B, C, H, W] in [−1, 1]."""
        assert self.sources is not None, "this game starts from images"
        return self.sources.images(rows).to(self.fabric.device)

    def generate(self, inputs: Inputs) -> Tensor:
        """G(inputs), float32[B, C, H, W].

        Of micro-batches, the generator's graph would be kept over the discriminator's update. So it is made once more
        when its gradient is wanted; or, under batch norm, all of them are made at once.
        """
        if turns.count() == 1:
            return self._generate(inputs)
        if has_batch_norm(self.family.generator):
            return turns.divided(inputs, lambda parts: self._generate(joined(parts)))
        made: Tensor = checkpoint(
            self._generate, inputs, use_reentrant=False, preserve_rng_state=False, context_fn=self._again
        )
        return made

    def _again(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """For the first making of images, and for the second, which must find everything as the first did."""
        state = turns.State(list(self.family.generator.buffers()), self.rng)
        return nullcontext(), state.as_it_was(state.saved())

    def _generate(self, inputs: Inputs) -> Tensor:
        with self.fabric.autocast():
            sources = None if inputs.sources is None else _cast(inputs.sources)
            images: Tensor = self.family.generator(inputs._replace(z=_cast(inputs.noise), sources=sources))
        return images.float()

    def examine(self, x: Tensor, labels: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """The logits of each head for x, and the features behind them where auxiliary heads need them."""
        with self.fabric.autocast():
            if self.heads is not None:
                return self.family.discriminator.examine(x, labels)
            logits = self.family.discriminator(_cast(x), labels)
        return [head.float() for head in logits], None

    def discriminate(self, x: Tensor, labels: Tensor) -> list[Tensor]:
        """The logits of each head for x, for a penalty. Labels are repeated where x has a multiple of their rows."""
        with self.fabric.autocast():
            logits: list[Tensor] = self.family.discriminator(x, torch.cat([labels] * (len(x) // len(labels))))
        return logits

    def due_penalties(self, step: int) -> list[Penalty]:
        """The regularisers that are due. A weight is multiplied by the regulariser's interval, and decays."""
        training, objective = self.config.training, self.objective
        last = objective.regularizer_decay if training.regularizer_decay is None else training.regularizer_decay
        decay = penalty_decay(last, self.progress)
        due = []
        for name, (weight, regularizer) in self.regularizers.items():
            interval = training.regularizer_interval or objective.regularizer_interval or regularizer.interval
            if step % interval == 0:
                due.append(Penalty(name, weight * interval * decay, regularizer))
        return due

    def discriminator_batch(
        self,
        real: Tensor,
        fake: Tensor,
        labels: Tensor,
        real_logits: list[Tensor],
        fake_logits: list[Tensor],
        rng: torch.Generator,
    ) -> DiscriminatorBatch:
        """What the discriminator's penalties see of a step."""
        discriminate = partial(self.discriminate, labels=labels)
        return DiscriminatorBatch(
            discriminate=discriminate,
            discriminate_augmented=lambda x: discriminate(self.augment(x, rng)),
            real=real,
            fake=fake,
            real_logits=real_logits,
            fake_logits=fake_logits,
            rng=rng,
        )

    def compile(self) -> None:
        """Compile the networks. Compiled graphs cannot be differentiated twice, as gradient penalties need."""
        self.family.generator.compile()
        penalties = [r for _, r in self.regularizers.values() if isinstance(r, Regularizer)]
        if not any(penalty.second_order for penalty in penalties):
            self.family.discriminator.compile()


def build_game(
    config: Config,
    family: Family,
    batches: BalancedBatches,
    fabric: Fabric,
    heads: Heads | None = None,
    architecture: dict[str, Any] | None = None,
) -> Game:
    """Move everything to the device, make the players, and look up objective and regularisers.

    Args:
        heads: auxiliary heads; the discriminator's player trains them.
        architecture: how the networks were built, for checkpoints.

    Raises:
        SynthaugError: `training.freeze_discriminator` leaves no layer to learn, or the batch cannot be divided.
    """
    training, device = config.training, fabric.device
    parts = parts_of_batch(config, family)
    objective = smoothed(OBJECTIVES.get(training.objective)(), training.objective, training.label_smoothing)
    weights = {**objective.regularizers, **training.regularizers}
    for network in family.networks.values():
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if heads is not None:
        heads.to(device)
    for layer in frozen_layers(family, training.freeze_discriminator):
        layer.requires_grad_(False)
    average = Average(family.exported_network, training.ema_kimg)  # a copy, which embedding noise does not reach
    sigma = training.embedding_noise
    noise = EmbeddingNoise(family.generator, batches.counts, sigma) if sigma else None
    regularizers = {name: (w, REGULARIZERS.get(name)().to(device)) for name, w in weights.items() if w}
    augment = _augmentation(config).to(device) if training.ada else DiffAugment(training.augment)
    networks: dict[str, nn.Module] = {
        **family.networks,
        **{f"regularizer_{name}": module for name, (_, module) in regularizers.items()},
    }
    if heads is not None:
        networks["heads"] = heads
    if isinstance(augment, AdaptiveAugment):
        networks["augment"] = augment
    game = Game(
        config=config,
        family=family,
        state=TrainingState(networks, _players(config, family, heads, fabric), average, architecture or {}),
        batches=batches,
        objective=objective,
        augment=augment,
        regularizers=regularizers,
        fabric=fabric,
        heads=heads,
        embedding_noise=noise,
    )
    if parts > 1:
        buffers = [buffer for network in networks.values() for buffer in network.buffers()]
        game.micro_batches = turns.Turns(parts, turns.State(buffers, game.rng), device)
    return game


def parts_of_batch(config: Config, family: Family) -> int:
    """Into how many parts each process divides its rows of a batch.

    Raises:
        SynthaugError: the family compares images of the whole batch, in a way that cannot be divided.
    """
    training = config.training
    if training.micro_batch_size is None:
        return 1
    count = training.batch_size // (processes.count() * training.micro_batch_size)
    normalised = {name for name, network in family.networks.items() if has_batch_norm(network)}
    if count > 1 and (normalised - {"generator"} or (normalised and family.step != "adversarial")):
        raise SynthaugError(
            f"training.micro_batch_size = {training.micro_batch_size} would change the training: the batch norm of "
            f"{config.model.family} takes the mean of the whole batch in each layer",
            "leave it out and lower training.batch_size, or divide the batch with --devices",
        )
    return max(count, 1)


def _players(config: Config, family: Family, heads: Heads | None, fabric: Fabric) -> dict[str, Player]:
    """One player an entry of `family.players`; the one of the exported network has the generator's learning rate."""
    training, players = config.training, {}
    for name, networks in family.players.items():
        modules: list[nn.Module] = [family.networks[network] for network in networks]
        if heads is not None and "discriminator" in networks:
            modules.append(heads)
        learning = [p for module in modules for p in module.parameters() if p.requires_grad]
        rate = training.generator_lr if family.exported in networks else training.discriminator_lr
        optimizer = torch.optim.Adam(learning, rate, (training.beta1, training.beta2), fused=True)
        players[name] = Player(learning, optimizer, fabric)
    return players


def _cast(x: Tensor) -> Tensor:
    """To the precision that the networks compute in."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def _augmentation(config: Config) -> AdaptiveAugment:
    training = config.training
    return AdaptiveAugment(training.augment, training.ada_target, training.ada_interval, training.ada_kimg)


def frozen_layers(family: Family, count: int) -> list[nn.Module]:
    """The `count` lowest layers of the discriminator (FreezeD, 2002.10964).

    Raises:
        SynthaugError: it has fewer, or none would be left to learn.
    """
    if count == 0:
        return []
    layers = family.discriminator.layers()
    if count >= len(layers):
        raise SynthaugError(
            f"training.freeze_discriminator = {count}, but the discriminator has {len(layers)} layers",
            f"give a number from 0 to {max(len(layers) - 1, 0)}; the highest layer must learn",
        )
    return layers[:count]
