"""The adversarial loop, from top to bottom.

Every schedule counts images shown to the discriminator, never seconds, and the randomness of step k comes from
generators seeded by (seed, k): N + M steps are N steps, a kill, a resume and M steps, bit for bit.
"""

from __future__ import annotations

import hashlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from synthaug.augment.ada import AdaptiveAugment
from synthaug.augment.diffaugment import DiffAugment
from synthaug.config import Config, parse_budget
from synthaug.data.batches import BalancedBatches
from synthaug.errors import Interrupted, SynthaugError
from synthaug.losses import OBJECTIVES, REGULARIZERS
from synthaug.losses.auxiliary import Heads
from synthaug.losses.objective import Objective, smoothed
from synthaug.losses.regularizers import GeneratorRegularizer, Made, Regularizer, Seen
from synthaug.models.embedding_noise import EmbeddingNoise
from synthaug.models.family import Family
from synthaug.progress import Progress, Task
from synthaug.runs import Run
from synthaug.training import checkpoint
from synthaug.training.checkpoint import Counters
from synthaug.training.compilation import pays
from synthaug.training.ema import Average
from synthaug.training.monitor import Monitor
from synthaug.training.stability import ROW, Diverged, Recovery, Watch, attempt_seed

Penalty = tuple[str, float, Regularizer | GeneratorRegularizer]  # name, weight now, what computes it
WARM_UP_IMAGES = 1024  # after these the first checkpoint is written and a time budget becomes a number of images


@dataclass
class Parts:
    """Everything a step needs; the networks and optimisers are wrapped by Fabric."""

    config: Config
    family: Family
    generator: Any
    discriminator: Any
    generator_optimizer: Any
    discriminator_optimizer: Any
    average: Average
    batches: BalancedBatches
    objective: Objective
    augment: DiffAugment | AdaptiveAugment
    fabric: Fabric
    regularizers: dict[str, tuple[float, Regularizer | GeneratorRegularizer]] = field(default_factory=dict)
    heads: Heads | None = None
    embedding_noise: EmbeddingNoise | None = None
    learning: list[torch.nn.Parameter] = field(default_factory=list)  # discriminator and heads, but for frozen layers
    share: float = 0.0  # of the training that is done, 0 to 1

    def networks(self) -> dict[str, torch.nn.Module]:
        """Modules with state, under the names they have in a checkpoint."""
        own: dict[str, torch.nn.Module] = {
            "generator": self.family.generator,
            "discriminator": self.family.discriminator,
            **{f"regularizer_{name}": module for name, (_, module) in self.regularizers.items()},
        }
        if self.heads is not None:
            own["heads"] = self.heads
        if isinstance(self.augment, AdaptiveAugment):
            own["augment"] = self.augment
        return own

    def begin(self, step: int, seed: int) -> torch.Generator:
        """Where all randomness of a step comes from, that inside the generator too."""
        rng = step_generator(seed, "step", step)
        if self.embedding_noise is not None:
            self.embedding_noise.rng = rng
        return rng

    def penalties(self, step: int) -> list[Penalty]:
        """The regularisers that are due, each with its weight now: times its interval, and decayed by cosine."""
        training, objective = self.config.training, self.objective
        last = objective.regularizer_decay if training.regularizer_decay is None else training.regularizer_decay
        left = last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(self.share, 1.0)))
        due = []
        for name, (weight, regularizer) in self.regularizers.items():
            interval = training.regularizer_interval or objective.regularizer_interval or regularizer.interval
            if step % interval == 0:
                due.append((name, weight * interval * left, regularizer))
        return due

    def discriminate(self, x: Tensor, labels: Tensor, rng: torch.Generator | None = None) -> list[Tensor]:
        """Logits of x for a penalty, augmented where `rng` is given; labels are repeated for a multiple of them."""
        x = x if rng is None else self.augment(x, rng)
        # Not through Fabric's wrapper: in mixed precision it refuses the inner autograd.grad of a gradient penalty.
        with self.fabric.autocast():
            logits: list[Tensor] = self.family.discriminator(x, labels.repeat(len(x) // len(labels)))
            return logits

    def seen(
        self,
        real: Tensor,
        fake: Tensor,
        labels: Tensor,
        real_logits: list[Tensor],
        fake_logits: list[Tensor],
        rng: torch.Generator,
    ) -> Seen:
        return Seen(
            discriminate=partial(self.discriminate, labels=labels, rng=rng),
            judge=partial(self.discriminate, labels=labels),
            real=real,
            fake=fake.detach(),
            real_logits=real_logits,
            fake_logits=fake_logits,
            rng=rng,
        )

    def update_discriminator(
        self, seen: Seen, penalties: list[Penalty], auxiliary: Tensor | None = None
    ) -> dict[str, Tensor]:
        """One step of the discriminator on what it has seen; returns detached scalars."""
        heads = list(zip(seen.real_logits, seen.fake_logits, strict=True))
        loss = _mean(self.objective.discriminator_loss(real, fake) for real, fake in heads)
        report = {
            "loss_d": loss.detach(),
            "real_score": seen.real_logits[0].detach().mean(),
            "fake_score": seen.fake_logits[0].detach().mean(),
        }
        if auxiliary is not None:
            loss = loss + auxiliary
        if isinstance(self.augment, AdaptiveAugment):
            margins = [self.objective.margin(real, fake) for real, fake in heads]
            report["ada_p"] = self.augment.observe(torch.cat(margins, dim=1))
        for name, weight, regularizer in penalties:
            if isinstance(regularizer, Regularizer):
                penalty = regularizer(seen)
                report[name] = penalty.detach()
                loss = loss + weight * penalty
        self.discriminator_optimizer.zero_grad()
        self.fabric.backward(loss)
        self.discriminator_optimizer.step()
        return report

    def update_generator(
        self, made: Made, heads: list[tuple[Tensor, Tensor]], penalties: list[Penalty], auxiliary: Tensor | None = None
    ) -> dict[str, Tensor]:
        """One step of the generator on (real, fake) logits of each head; returns detached scalars."""
        loss = _mean(self.objective.generator_loss(fake, real) for real, fake in heads)
        report = {"loss_g": loss.detach()}
        if auxiliary is not None:
            loss = loss + auxiliary
        for name, weight, regularizer in penalties:
            if isinstance(regularizer, GeneratorRegularizer):
                penalty = regularizer(made)
                report[name] = penalty.detach()
                loss = loss + weight * penalty
        self.generator_optimizer.zero_grad()
        self.fabric.backward(loss)
        self.generator_optimizer.step()
        return report

    def let_discriminator_learn(self, learn: bool) -> None:
        for parameter in self.learning:  # not the network's requires_grad_: what is frozen stays so
            parameter.requires_grad_(learn)

    def optimizers(self) -> dict[str, Any]:
        return {
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }


def build(
    config: Config, family: Family, batches: BalancedBatches, fabric: Fabric, heads: Heads | None = None
) -> Parts:
    """Wrap networks and optimisers for the device and the precision, and look up objective and regularisers."""
    training = config.training
    objective = smoothed(OBJECTIVES.get(training.objective)(), training.objective, training.label_smoothing)
    weights = {**objective.regularizers, **training.regularizers}
    family.generator.to(memory_format=torch.channels_last)
    family.discriminator.to(memory_format=torch.channels_last)
    if heads is not None:
        heads.to(fabric.device)
    for layer in frozen_layers(family, training.freeze_discriminator):
        layer.requires_grad_(False)
    judging = [*family.discriminator.parameters(), *(heads.parameters() if heads is not None else [])]
    learning = [p for p in judging if p.requires_grad]
    average = Average(family.generator, training.ema_kimg)
    average.generator.to(fabric.device)
    sigma = training.embedding_noise  # not on the average, which is a copy by now
    noise = EmbeddingNoise(family.generator, batches.counts, sigma) if sigma else None
    wrapped = []
    for module, parameters, lr in (
        (family.generator, list(family.generator.parameters()), training.generator_lr),
        (family.discriminator, learning, training.discriminator_lr),
    ):
        optimizer = torch.optim.Adam(parameters, lr, (training.beta1, training.beta2), fused=True)
        wrapped.append(fabric.setup(module, optimizer))
    (generator, generator_optimizer), (discriminator, discriminator_optimizer) = wrapped
    return Parts(
        config=config,
        family=family,
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=generator_optimizer,
        discriminator_optimizer=discriminator_optimizer,
        average=average,
        batches=batches,
        objective=objective,
        augment=_augmentation(config).to(fabric.device) if training.ada else DiffAugment(training.augment),
        fabric=fabric,
        regularizers={name: (w, REGULARIZERS.get(name)().to(fabric.device)) for name, w in weights.items() if w > 0},
        heads=heads,
        embedding_noise=noise,
        learning=learning,
    )


def _augmentation(config: Config) -> AdaptiveAugment:
    training = config.training
    return AdaptiveAugment(training.augment, training.ada_target, training.ada_interval, training.ada_kimg)


def frozen_layers(family: Family, count: int) -> list[torch.nn.Module]:
    """The `count` lowest layers of the discriminator (FreezeD, 2002.10964).

    Raises:
        SynthaugError: it has fewer, or none would be left to learn.
    """
    layers = family.discriminator.layers()
    if count > 0 and count >= len(layers):
        raise SynthaugError(
            f"training.freeze_discriminator = {count}, but the discriminator has {len(layers)} layers",
            f"give a number from 0 to {max(len(layers) - 1, 0)}; the highest layer must learn",
        )
    return layers[:count]


def step_generator(seed: int, *what: int | str) -> torch.Generator:
    """A CPU generator whose draws depend on (seed, what) alone."""
    digest = hashlib.sha256(repr((seed, *what)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def adversarial_step(parts: Parts, step: int, seed: int) -> dict[str, Tensor]:
    """One update of the discriminator (or several) and one of the generator; returns detached scalars."""
    training, device = parts.config.training, parts.fabric.device
    rng = parts.begin(step, seed)
    strength = condition_strength(parts.config, parts.share)
    penalties = parts.penalties(step)
    report: dict[str, Tensor] = {}
    for _ in range(training.discriminator_steps):
        real, labels = parts.batches.draw(rng)
        z = torch.randn(len(labels), parts.family.generator.z_dim, generator=rng).to(device)
        fake = parts.generator(z, labels)

        # One pass for both halves: under spectral norm they must meet the same weights.
        images = torch.cat([parts.augment(real, rng), parts.augment(fake.detach(), rng)])
        logits, features = _examine(parts, images, torch.cat([labels, labels]))
        real_logits, fake_logits = (
            [head[half] for head in logits] for half in (slice(None, len(real)), slice(len(real), None))
        )
        auxiliary = None
        if parts.heads is not None:
            auxiliary, losses = parts.heads.discriminator_loss(features, labels, z, strength)
            report |= {f"{name}_d": value for name, value in losses.items()}
        seen = parts.seen(real, fake, labels, real_logits, fake_logits, rng)
        report |= parts.update_discriminator(seen, penalties, auxiliary)

    # The generator answers for the last fakes; they were made before the discriminator moved, which costs nothing.
    parts.let_discriminator_learn(False)
    images, of, half = parts.augment(fake, rng), labels, len(fake)
    if parts.objective.paired:
        images, of = torch.cat([images, parts.augment(real, rng)]), torch.cat([labels, labels])
    logits, features = _examine(parts, images, of)
    auxiliary = None
    if parts.heads is not None:
        auxiliary, losses = parts.heads.generator_loss(features[:half], labels, z, strength)
        report |= losses
    made = Made(parts.family.generator, z, labels, fake)
    report |= parts.update_generator(made, [(head[half:], head[:half]) for head in logits], penalties, auxiliary)
    parts.let_discriminator_learn(True)
    return report


def _examine(parts: Parts, x: Tensor, y: Tensor) -> tuple[list[Tensor], Tensor]:
    """Logits, and the features behind them where auxiliary heads want them (else no rows)."""
    if parts.heads is None:
        return parts.discriminator(x, y), x.new_zeros(0)
    with parts.fabric.autocast():
        return parts.family.discriminator.examine(x, y)


def _mean(losses: Iterator[Tensor] | Any) -> Tensor:
    return torch.stack(list(losses)).mean()


def condition_strength(config: Config, progress: float) -> float:
    """How much of the class condition counts at `progress` ∈ [0, 1] of the training (2201.06578, eq. 4: linear)."""
    start, end = config.training.fade_start, config.training.fade_end
    if progress >= end:
        return 1.0
    return max(0.0, (progress - start) / (end - start))


def train(
    run: Run,
    parts: Parts,
    counters: Counters,
    monitor: Monitor,
    architecture: dict[str, Any],
    progress: Progress,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> Counters:
    """Train until the budget is spent; checkpoint, score and prune on the way.

    A divergence is answered by a return to the last good checkpoint (`synthaug.training.stability`). When all returns
    are spent, the training ends with that checkpoint, and the counters say why in `diverged`.

    Raises:
        RunFailed: it diverged before there was any checkpoint.
        Interrupted: SIGINT or SIGTERM came; the state was saved first.
    """
    config = parts.config
    shown = config.training.batch_size * config.training.discriminator_steps  # images a step
    seconds, kimg = parse_budget(config.training.budget)
    if counters.total is None and kimg is not None:
        _plan(counters, config, kimg * 1000)
    if counters.compiled is None and config.training.compile != "auto":
        counters.compiled = config.training.compile
    compile_networks(parts, counters)
    watch = Watch(run, parts.objective.floor, shown)
    recovery = Recovery(run, parts, counters, progress, on_row)
    step = parts.family.step or adversarial_step
    started = time.monotonic() - counters.seconds
    clock, logged = time.monotonic(), counters.images

    def score() -> None:
        name = checkpoint.name_for(counters.images)
        watch.averaged(parts.average.generator)
        row = monitor.score(parts.average.generator)
        watch.monitor(row, counters.images, counters.total)
        value = row.pop("score")
        # while the class fades in, a generator that knows less of it may score better, and is of no use
        strength = condition_strength(config, parts.share)
        fading = counters.best_strength < strength
        row["best"] = counters.best_score is None or fading or value <= counters.best_score
        if row["best"]:
            counters.best_score, counters.best_checkpoint, counters.best_strength = value, name, strength
        monitor.save_grid(parts.average.generator, run.samples / f"{name}.png")
        _report(run, {"kind": "monitor", "kimg": counters.images / 1000, "score": value, **row}, on_row)

    def save() -> None:
        counters.seconds = time.monotonic() - started
        name = checkpoint.save(
            run, counters, parts.networks(), parts.average.generator, parts.optimizers(), architecture
        )
        run.set_status(kimg=counters.images / 1000, best_checkpoint=counters.best_checkpoint, last_checkpoint=name)
        checkpoint.prune(run, counters.best_checkpoint, config.training.keep_checkpoints)

    def advance(task: Task, until: int) -> None:
        nonlocal clock, logged
        while counters.images < until:
            share = counters.images / counters.total if counters.total else 0.0
            parts.family.set_condition_strength(condition_strength(config, share))
            # Until the length is known, a growing network has its final size: the plan needs the pace of that one.
            parts.family.set_progress(share if counters.total else 1.0)
            parts.share = share
            scalars = step(parts, counters.step, attempt_seed(config.seed, counters.attempt))
            counters.step += 1
            counters.images += shown
            parts.average.update(parts.family.generator, counters.images, shown)
            task.advance(shown / 1000)
            if counters.images // ROW != logged // ROW or counters.images >= until:
                losses = {name: round(float(value), 5) for name, value in scalars.items()}
                watch.step(losses, parts.family.generator, parts.family.discriminator)
                now = time.monotonic()
                rate = (counters.images - logged) / max(now - clock, 1e-9)
                clock, logged = now, counters.images
                row = {"kind": "step", "kimg": counters.images / 1000, **losses, "images_per_second": round(rate, 1)}
                _report(run, row, on_row)
                watch.discriminator(row, counters.interval)
                task.note(f"D {losses['loss_d']:.2f} G {losses['loss_g']:.2f} {monitor.latest}")
            # A score that is due comes first: a resumed run scores where an uninterrupted one does, and only there.
            if stop.requested is not None and counters.images < until:
                if watch.healthy(scalars, parts) and checkpoint.name_for(counters.images) not in checkpoint.names(run):
                    save()  # unscored; within 1 kimg of a scored one, which it must not replace, that is gone back to
                run.set_status(state="interrupted")
                raise Interrupted(
                    f"interrupted at {counters.images / 1000:.1f} kimg; the state is saved",
                    f"go on with: synthaug fit DATA --resume {run.path}",
                    128 + stop.requested,
                )

    def pace(task: Task, until: int) -> float:
        """Train until then, and return the seconds that an image took."""
        advance(task, min(counters.images + shown * 4, until))  # the first steps pay for allocation and compilation
        begun, images = time.monotonic(), counters.images
        advance(task, until)
        return (time.monotonic() - begun) / max(counters.images - images, 1)

    def first_images() -> None:
        """Measure the speed, plan a time budget, and leave the first checkpoint."""
        nonlocal clock, logged
        clock, logged = time.monotonic(), counters.images
        first = WARM_UP_IMAGES if counters.total is None else min(WARM_UP_IMAGES, counters.total)
        with progress.task("first images", first / 1000, "kimg") as task:
            per_image = pace(task, first)
            if counters.compiled is None:
                left = seconds or ((counters.total or 0) - counters.images) * per_image
                counters.compiled = pays(parts.fabric.device.type, left)
                if counters.compiled:
                    compile_networks(parts, counters)
                    per_image = pace(task, counters.images + WARM_UP_IMAGES)
        warm = time.monotonic()
        score()
        per_score = time.monotonic() - warm
        if counters.total is None:
            assert seconds is not None
            left = seconds - (time.monotonic() - started)
            _plan(counters, config, *_images_for(left, per_image, per_score, config, counters.images))
        save()

    def the_rest() -> None:
        nonlocal clock, logged
        assert counters.total is not None
        assert counters.interval is not None
        with progress.task("training", counters.total / 1000, "kimg") as task:
            task.advance(counters.images / 1000)
            clock, logged = time.monotonic(), counters.images
            while counters.images < counters.total:
                following = (counters.images // counters.interval + 1) * counters.interval
                # No checkpoint within 1 kimg of the end: its folder's name would be the last one's.
                advance(task, counters.total if counters.total - following < 1000 else following)
                score()
                save()

    with _Stop() as stop:
        while True:
            try:
                if counters.images < WARM_UP_IMAGES:
                    first_images()
                the_rest()
                break
            except Diverged as divergence:
                if not recovery.roll_back(str(divergence), divergence.since):
                    break
                watch = Watch(run, parts.objective.floor, shown)
    counters.seconds = time.monotonic() - started
    return counters


def compile_networks(parts: Parts, counters: Counters) -> None:
    if counters.compiled:
        parts.family.generator.compile()
        penalties = [r for _, r in parts.regularizers.values() if isinstance(r, Regularizer)]
        if not any(penalty.second_order for penalty in penalties):  # compiled graphs cannot be differentiated twice
            parts.family.discriminator.compile()


def _plan(counters: Counters, config: Config, images: float, scores: int | None = None) -> None:
    """Fix the length of the training and the images between two scores, of which there are at least five by default."""
    batch = config.training.batch_size * config.training.discriminator_steps
    counters.total = max(batch, round(images / batch) * batch)
    interval = counters.total / scores if scores else min(config.monitor.every_kimg * 1000, counters.total / 5)
    counters.interval = max(1000, math.ceil(interval))


def _images_for(seconds: float, per_image: float, per_score: float, config: Config, done: int) -> tuple[float, int]:
    """How many images in all fit into the `seconds` left, and how many scores; these take a fifth of it at most."""
    wanted = max(5, round(seconds / per_image / (config.monitor.every_kimg * 1000)))
    scores = max(1, min(wanted, int(0.2 * seconds / per_score)))
    return done + max((seconds - scores * per_score) / per_image, 0.0), scores


def _report(run: Run, row: dict[str, Any], on_row: Callable[[dict[str, Any]], None]) -> None:
    run.append_metrics(row)
    on_row(row)


class _Stop:
    """Turns the first SIGINT or SIGTERM into a request that is honoured between two steps; a second one is final."""

    def __init__(self) -> None:
        self.requested: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> _Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = number
        signal.signal(number, self._previous[number])

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
