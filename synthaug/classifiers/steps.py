"""The training loop of the classifiers that learn by optimiser steps, at the machine's limit.

All images stay in one uint8 tensor on the device and a batch is an index: there is no loader. Convolutions run in
bfloat16 and channels-last where the hardware has both, AdamW is fused, augmentation works on the whole batch.
Nothing reads or moves the global random state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from synthaug.augment.classical import trivial_augment
from synthaug.classifiers.base import Augment, check_training_input
from synthaug.device import has_bf16, resolve_device
from synthaug.errors import SynthaugError
from synthaug.seeds import CLASSIFIER_DRAWS, augmentation_generator, stream

BATCH_SIZE = 64
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.02
_WARM_UP = 0.1  # share of the steps
Network = TypeVar("Network", bound=nn.Module)


def draws(weights: npt.NDArray[np.floating[Any]], steps: int, batch_size: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices [steps, batch_size] of the images to train on.

    The inverse of the cumulative weights, taken at one jittered point of each of steps · batch_size equal strata in a
    random order: an image comes exactly as often as its weight says, rounded up or down.

    >>> np.bincount(draws(np.array([1.0, 3.0]), steps=2, batch_size=4, seed=0).ravel()).tolist()
    [2, 6]
    """
    rng = stream(seed, CLASSIFIER_DRAWS)
    total = steps * batch_size
    points = (rng.permutation(total) + rng.random(total)) / total
    cumulative = np.cumsum(weights, dtype=np.float64)
    cumulative /= cumulative[-1]
    last = int(np.flatnonzero(weights)[-1])
    return (
        np.minimum(np.searchsorted(cumulative, points, side="right"), last).reshape(steps, batch_size).astype(np.int64)
    )


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
    nn.init.kaiming_normal_(
        layer.weight,
        mode="fan_out" if isinstance(layer, nn.Conv2d) else "fan_in",
        nonlinearity="relu",
        generator=generator,
    )
    if isinstance(layer, nn.Linear):
        with torch.no_grad():
            layer.weight *= 0.1  # the first losses stay near log K
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Logits(nn.Linear):
    """A last layer in float32 whatever the precision around it: logits in bfloat16 would tie."""

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


def scale(pixels: Tensor) -> Tensor:
    """Grey levels 0 … 255 → float in [-1, 1]."""
    return pixels.float().sub_(127.5).div_(127.5)


def train(
    network: nn.Module,
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    draw_weights: npt.NDArray[np.floating[Any]],
    *,
    num_classes: int,
    loss_weights: npt.NDArray[np.floating[Any]] | None,
    steps: int,
    seed: int,
    augment: Augment,
    device: str,
    learning_rate: float = LEARNING_RATE,
) -> None:
    """Train `network` in place: AdamW, linear warm-up, cosine decay to zero, cross-entropy.

    Raises:
        SynthaugError: see `check_training_input`; or `steps` is not positive.
    """
    check_training_input(pixels, labels, draw_weights, num_classes)
    if steps < 1:
        raise SynthaugError(f"a classifier cannot be trained for {steps} steps", "give --steps a positive number")
    where = resolve_device(device)
    network.to(where, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images = torch.from_numpy(np.array(pixels)).to(where)  # a copy: memory maps are read-only
    targets = torch.from_numpy(np.array(labels)).to(where)
    indices = torch.from_numpy(draws(draw_weights, steps, BATCH_SIZE, seed)).to(where)
    class_weights = (
        None if loss_weights is None else torch.tensor(np.asarray(loss_weights), dtype=torch.float32, device=where)
    )
    noise = augmentation_generator(seed)

    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
        lr=learning_rate, fused=where.type in ("cpu", "cuda"),
    )  # fmt: skip
    warm_up = max(1, round(_WARM_UP * steps))
    with ExitStack() as stack:
        if where.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True))
        for step, batch in enumerate(indices):
            rate = min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * step / steps))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * rate
            drawn = images[batch]
            inputs = scale(trivial_augment(drawn, noise) if augment == "classical" else drawn)
            with torch.autocast(where.type, torch.bfloat16, enabled=has_bf16(where)):
                logits = network(inputs.contiguous(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(logits.float(), targets[batch], weight=class_weights)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    network.eval()


def predict(network: nn.Module, pixels: npt.NDArray[np.uint8], batch_size: int = 256) -> npt.NDArray[np.float32]:
    """Softmax probabilities [N, K]; convolutions in the precision of the training."""
    network.eval()
    if not len(pixels):
        return np.zeros((0, 0), np.float32)
    return outputs(network, network, pixels, batch_size).softmax(1).numpy()


def outputs(
    layers: Callable[[Tensor], Tensor], network: nn.Module, pixels: npt.NDArray[np.uint8], batch_size: int
) -> Tensor:
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
