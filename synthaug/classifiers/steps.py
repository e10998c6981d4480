"""The classifiers that learn by optimiser steps, and their training loop.

All images stay in one uint8 tensor on the device and a batch is an index: there is no loader. Convolutions run in
bfloat16 and channels-last where the hardware has both, AdamW is fused, augmentation works on the whole batch.
The global random state is neither used nor changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Self

from synthaug.augment.classical import trivial_augment
from synthaug.augment.mixing import MIXES, Mix, Mixing
from synthaug.classifiers.base import Ability, Augment, Labels, Pixels, Probabilities, Weights, check_training_input
from synthaug.classifiers.losses import LOSSES, Loss, priors_of
from synthaug.device import has_bf16, resolve_device
from synthaug.errors import SynthaugError
from synthaug.seeds import CLASSIFIER_DRAWS, MIXING, MIXING_PARTNERS, augmentation_generator, stream

BATCH_SIZE = 64
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.02
TRUNK_RATE = 0.1
_WARM_UP = 0.1  # share of the steps
Network = TypeVar("Network", bound=nn.Module)


def draws(weights: Weights, steps: int, batch_size: int, seed: int, purpose: int = CLASSIFIER_DRAWS) -> Labels:
    """Indices [steps, batch_size] of the images to train on.

    Stratified sampling: the inverse of the cumulative weights at one random point in each of steps · batch_size equal
    intervals, in random order. An image is drawn as often as its weight says, rounded up or down.

    >>> np.bincount(draws(np.array([1.0, 3.0]), steps=2, batch_size=4, seed=0).ravel()).tolist()
    [2, 6]
    """
    rng = stream(seed, purpose)
    total = steps * batch_size
    points = (rng.permutation(total) + rng.random(total)) / total
    cumulative = np.cumsum(weights, dtype=np.float64)
    cumulative /= cumulative[-1]
    last = int(np.flatnonzero(weights)[-1])
    drawn = np.minimum(np.searchsorted(cumulative, points, side="right"), last)
    return drawn.reshape(steps, batch_size).astype(np.int64)


def partners(mixing: Mixing, drawn: Labels, labels: Labels, weights: Weights, seed: int) -> Labels:
    """Indices [steps, batch_size] of the images that those of `drawn` are mixed with."""
    if mixing.partners == "batch":
        return stream(seed, MIXING_PARTNERS).permuted(drawn, axis=1)
    used = weights > 0
    balanced = np.where(used, 1 / np.bincount(labels[used], minlength=labels.max() + 1).clip(1)[labels], 0.0)
    steps, batch_size = drawn.shape
    return draws(balanced, steps, batch_size, seed, MIXING_PARTNERS)


def build(factory: Callable[[], Network], seed: int) -> Network:
    """Make a network whose initial weights depend on `seed` only.

    He initialisation [arXiv:1502.01852], biases 0, normalisation layers the identity.
    """
    with torch.device("meta"):  # a module's own initialisation would draw from the global state
        network = factory()
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            initialise(module, generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    return network


def initialise(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    mode: Literal["fan_in", "fan_out"] = "fan_out" if isinstance(layer, nn.Conv2d) else "fan_in"
    nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu", generator=generator)
    if isinstance(layer, nn.Linear):
        with torch.no_grad():
            layer.weight *= 0.1  # the first losses stay near log K
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Logits(nn.Linear):
    """A last layer that computes in float32 also under autocast: bfloat16 logits would often be equal."""

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


def check_steps(steps: int) -> None:
    """Raise unless there is at least one step.

    Raises:
        SynthaugError: there is none.
    """
    if steps < 1:
        raise SynthaugError(f"a classifier cannot be trained for {steps} steps", "give --steps a positive number")


def rates(steps: int) -> list[float]:
    """The learning rate of each step ÷ the highest: linear warm-up, cosine decay to zero."""
    warm_up = max(1, round(_WARM_UP * steps))
    return [min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * step / steps)) for step in range(steps)]


def parameter_groups(network: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """Groups for AdamW: no weight decay for biases and norms, a tenth of the rate in a pretrained `network.trunk`."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault((name.startswith("trunk."), parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "highest": learning_rate * (TRUNK_RATE if pretrained else 1),
            "weight_decay": WEIGHT_DECAY if decays else 0.0,
        }
        for (pretrained, decays), parameters in groups.items()
    ]


def scale(pixels: Tensor) -> Tensor:
    """Grey levels 0 … 255 → float in [-1, 1]."""
    return pixels.float().sub_(127.5).div_(127.5)


def train(
    network: nn.Module, pixels: Pixels, labels: Labels, draw_weights: Weights, *, num_classes: int,
    loss_weights: Weights | None, steps: int, seed: int, augment: Augment, loss: Loss, mix: Mix, device: str,
    learning_rate: float,
) -> None:  # fmt: skip
    """Train `network` in place: AdamW, linear warm-up, cosine decay to zero.

    Raises:
        SynthaugError: see `check_training_input`; or `steps` is not positive.
    """
    check_training_input(pixels, labels, draw_weights, num_classes)
    check_steps(steps)
    where = resolve_device(device)
    network.to(where, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images = torch.from_numpy(np.array(pixels)).to(where)  # a copy: memory maps are read-only
    targets = torch.from_numpy(np.array(labels)).to(where)
    drawn = draws(draw_weights, steps, BATCH_SIZE, seed)
    indices = torch.from_numpy(drawn).to(where)
    mixing = None if mix == "none" else MIXES[mix]
    others = (
        indices if mixing is None else torch.from_numpy(partners(mixing, drawn, labels, draw_weights, seed)).to(where)
    )
    class_weights = None
    if loss_weights is not None:
        class_weights = torch.tensor(np.asarray(loss_weights), dtype=torch.float32, device=where)
    priors = torch.tensor(priors_of(labels, draw_weights, num_classes), dtype=torch.float32, device=where)
    noise, mixing_rng = augmentation_generator(seed), stream(seed, MIXING)

    def prepared(batch: Tensor) -> Tensor:
        return scale(trivial_augment(images[batch], noise) if augment == "classical" else images[batch])

    def measured(logits: Tensor, batch: Tensor) -> Tensor:
        return LOSSES[loss](logits.float(), targets[batch], priors, class_weights)

    optimiser = torch.optim.AdamW(
        parameter_groups(network, learning_rate), lr=learning_rate, fused=where.type in ("cpu", "cuda")
    )
    with ExitStack() as stack:
        if where.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True))
        for batch, other, rate in zip(indices, others, rates(steps), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = group["highest"] * rate
            inputs, share = prepared(batch), 1.0
            if mixing is not None:
                inputs, share = mixing(inputs, prepared(other), mixing_rng)
            with torch.autocast(where.type, torch.bfloat16, enabled=has_bf16(where)):
                logits = network(inputs.contiguous(memory_format=torch.channels_last))
            error = measured(logits, batch)
            if share < 1:
                error = share * error + (1 - share) * measured(logits, other)
            optimiser.zero_grad(set_to_none=True)
            error.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    network.eval()


def predict(network: nn.Module, pixels: Pixels, batch_size: int = 256) -> Probabilities:
    """Softmax probabilities [N, K]; convolutions in the precision of the training."""
    network.eval()
    if not len(pixels):
        return np.zeros((0, 0), np.float32)
    return outputs(network, network, pixels, batch_size).softmax(1).numpy()


def outputs(layers: Callable[[Tensor], Tensor], network: nn.Module, pixels: Pixels, batch_size: int) -> Tensor:
    """Outputs of `layers`, some layers of `network`, for at least one image; float32 [N, …] on the CPU."""
    where = next(network.parameters()).device
    rows = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch_size):
            batch = torch.from_numpy(np.array(pixels[start : start + batch_size])).to(where)
            with torch.autocast(where.type, torch.bfloat16, enabled=has_bf16(where)):
                given = layers(scale(batch).contiguous(memory_format=torch.channels_last))
            rows.append(given.float().cpu())
    return torch.cat(rows)


class StepClassifier:
    """A classifier that trains a network, which a subclass builds, by optimiser steps."""

    uses_steps: ClassVar[bool] = True
    native_side: ClassVar[int] = 64
    supports: ClassVar[frozenset[Ability]] = frozenset({"logit-adjusted", "focal", "mixup", "cutmix", "cmo"})
    learning_rate: ClassVar[float] = LEARNING_RATE

    def __init__(self, *, device: str = "auto") -> None:
        self.device = device
        self.network: nn.Module | None = None

    def _build(self, channels: int, resolution: int, num_classes: int, seed: int) -> nn.Module:
        raise NotImplementedError

    def fit(
        self, pixels: Pixels, labels: Labels, draw_weights: Weights, *, num_classes: int,
        loss_weights: Weights | None = None, steps: int = 600, seed: int = 0, augment: Augment = "none",
        groups: Labels | None = None, loss: Loss = "cross-entropy", mix: Mix = "none",
    ) -> Self:  # fmt: skip
        network = self._build(pixels.shape[1], pixels.shape[2], num_classes, seed)
        train(
            network, pixels, labels, draw_weights,
            num_classes=num_classes, loss_weights=loss_weights, steps=steps, seed=seed, augment=augment,
            loss=loss, mix=mix, device=self.device, learning_rate=self.learning_rate,
        )  # fmt: skip
        self.network = network
        return self

    def predict_proba(self, pixels: Pixels) -> Probabilities:
        if self.network is None:
            raise RuntimeError("predict_proba before fit")
        return predict(self.network, pixels)
