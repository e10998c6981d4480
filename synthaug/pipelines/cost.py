"""What a training costs: a few steps on noise, timed and watched, before anything is decoded or written.

A GPU takes the steps as the training would. A CPU takes them with few images, because time and memory grow with these,
and from the arithmetic of the steps follows a guess for a GPU.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from synthaug.config import Resolved
from synthaug.data.batches import GROUP
from synthaug.data.cache import LabelledImages
from synthaug.models.blocks import has_batch_norm
from synthaug.pipelines.prepare import Prepared, fabric_for, game_for
from synthaug.sampling.sources import sources_of
from synthaug.training.game import Game
from synthaug.training.schedule import images_per_step
from synthaug.training.steps import take_step

FEW_PIXELS = 2**15
"""Of a batch that a CPU takes its steps with: 32 images of 32 px, 8 of 64 px, 4 of larger ones."""
STEPS, SLOW = 5, 2.0
"""Steps that are timed, unless one takes more seconds than this: then those that were watched must do."""
INTERVAL = 4
"""Steps from one gradient penalty to the next, usually; the first step has one."""
TERAFLOPS, LAUNCH = 10.0, 1e-5
"""What a training is guessed to get out of a GPU: 10¹² operations a second, a third of what a fast one promises in
float32; and at least so many seconds for each call, however small."""
CONTEXT = 500e6
"""Bytes that CUDA itself takes of a GPU's memory, about."""


@dataclass(frozen=True)
class Guess:
    """What a GPU would need."""

    operations: float  # multiplications and additions an image
    seconds: float  # an image
    memory: float | None  # bytes at the peak of a step; None: unknown


@dataclass(frozen=True)
class Cost:
    """Seconds an image and bytes at the peak of a step (None: unknown), as measured.

    `networks`: each network's name → its parameters; `exported`: the one that is averaged; `guess`: for a GPU, if the
    steps ran elsewhere.
    """

    seconds: float
    memory: float | None
    guess: Guess | None
    networks: dict[str, int]
    exported: str


def cost_of(prepared: Prepared, images: LabelledImages) -> Cost:
    """Take a few steps of this training on `images`."""
    gpu = prepared.device.type == "cuda"
    game = game_for(prepared if gpu else _with_few(prepared), images, fabric_for(prepared))
    game.sources = sources_of(images, {}, "vary")
    networks = {name: sum(p.numel() for p in network.parameters()) for name, network in game.family.networks.items()}
    exported = game.family.exported
    if gpu:
        return Cost(*_on_gpu(game, prepared.device), None, networks, exported)
    before = _reset_peak()
    with_penalty, without = (_watched(game, step) for step in range(2))
    operations, calls, taken = (b + (a - b) / INTERVAL for a, b in zip(with_penalty, without, strict=True))
    shown, training = images_per_step(game.config), prepared.config.training
    seconds = taken / shown if taken > SLOW else _seconds_per_image(game)
    micro = training.micro_batch_size or training.batch_size
    launches = calls / micro / training.discriminator_steps * LAUNCH
    guess = Guess(operations / shown, max(operations / shown / TERAFLOPS / 1e12, launches), None)
    if before is None or (peak := _memory("VmHWM")) is None:
        return Cost(seconds, None, guess, networks, exported)
    at_once = training.batch_size if has_batch_norm(game.family.generator) else micro
    fixed = 12 * sum(networks.values())  # gradients and two moments; the rest grows with the images
    graphs = max(peak - before - fixed, 0) * at_once / game.config.training.batch_size
    of_gpu = CONTEXT + graphs + 16 * sum(networks.values()) + 4 * networks[exported]
    of_gpu += 0 if game.batches.mapped else images.pixels.nbytes
    return Cost(seconds, before + fixed + graphs, replace(guess, memory=of_gpu), networks, exported)


def _on_gpu(game: Game, device: torch.device) -> tuple[float, float]:
    """Seconds an image, and bytes."""
    torch.cuda.reset_peak_memory_stats(device)
    for step in range(2):
        _take(game, step)
    return _seconds_per_image(game), torch.cuda.max_memory_allocated(device) + CONTEXT


def _with_few(prepared: Prepared) -> Prepared:
    config = prepared.config
    few = max(FEW_PIXELS // prepared.training_side**2 // GROUP, 1) * GROUP
    training = {"batch_size": min(few, config.training.batch_size), "micro_batch_size": None}
    smaller = config.model_copy(update={"training": config.training.model_copy(update=training)})
    return replace(prepared, resolved=Resolved(smaller, prepared.resolved.origins))


def _take(game: Game, step: int) -> None:
    float(take_step(game, step, game.config.seed)["loss_g"])  # waits for the device


def _seconds_per_image(game: Game) -> float:
    """After two steps that are not timed."""
    began = time.monotonic()
    for step in range(STEPS):
        _take(game, 2 + step)
    return (time.monotonic() - began) / (STEPS * images_per_step(game.config))


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the floating-point operations of matrix products and convolutions, also in gradients, and all calls."""

    operations = calls = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        self.calls += 1
        if function._overloadpacket in flop_registry:
            self.operations += flop_registry[function._overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def _watched(game: Game, step: int) -> tuple[float, float, float]:
    """Operations, calls and seconds of a step."""
    count, began = _Count(), time.monotonic()  # type: ignore[no-untyped-call]
    with count:
        _take(game, step)
    return count.operations, count.calls, time.monotonic() - began


def _reset_peak() -> int | None:
    """Start to look for the peak of this process's memory; the bytes that it has now. None where that is unknown."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _memory("VmRSS")
    return None


def _memory(entry: str) -> int | None:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(entry))
    return None
