"""Opens the trained networks of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from synthaug.config import ModelConfig
from synthaug.data.maps import OwnMaps
from synthaug.data.run_data import stored_conditions
from synthaug.device import resolve_device
from synthaug.documents import ConditionPlan
from synthaug.errors import SynthaugError, shell_command
from synthaug.files import sha256
from synthaug.models import build_family
from synthaug.models.blocks import without_spectral_norm
from synthaug.models.codes import Codes, codes_of
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs, InputSource, NoiseInputs
from synthaug.runs import Run
from synthaug.sampling.attributes import RunAttributes
from synthaug.sampling.sources import RunSources
from synthaug.training.checkpoint import find_checkpoint, load_tensors, load_weights, read_state
from synthaug.translators.modes import Mode
from synthaug.translators.options import SourceOptions
from synthaug.upscalers.options import UpscalerOptions

N = TypeVar("N", bound=nn.Module)


@dataclass
class TrainedGenerator:
    """An averaged generator in evaluation mode, with the facts of its run that sampling and exports need."""

    run: Run
    network: Generator
    classes: list[str]
    targets: list[str]
    channels: int
    resolution: int
    z_dim: int
    seed: int
    kimg: float
    sha256: str
    checkpoint: str
    device: torch.device
    codes: Codes
    sources: RunSources | None = None
    attributes: RunAttributes | None = None

    def __getstate__(self) -> dict[str, Any]:
        without_spectral_norm(self.network)  # it cannot be pickled, and the weights stay as they are
        return vars(self)

    def inputs(self, seed: int) -> InputSource:
        """The inputs of the images of a seed."""
        sources = None if self.sources is None else self.sources.images
        attributes = None if self.attributes is None else self.attributes.images
        return NoiseInputs(seed, self.z_dim, sources, attributes)

    @torch.inference_mode()
    def generate(self, inputs: Inputs) -> Tensor:
        """Images float32[B, C, H, W] in [-1, 1], on the generator's device."""
        images: Tensor = self.network(inputs.to(self.device)).float()
        return images


def load_generator(
    run: Run, which: str | Path = "best", device: str = "auto", mode: Mode | None = None,
    inputs: OwnMaps | None = None, *, cache: Path | None, plan: ConditionPlan | None = None,
) -> TrainedGenerator:  # fmt: skip
    """Load the averaged generator of a checkpoint: `best`, `last`, a name such as `kimg000100`, or a folder.

    `mode` says what a family that starts from images does with them; None: what its run was configured for. `inputs`
    are maps of the user, for a family that paints maps, instead of the run's. `cache` is the folder of decoded images.
    `plan` is for a run with conditions.

    Raises:
        SynthaugError: there is no such checkpoint, it is damaged, or it does not fit the run's architecture; an image
            to start from is missing or changed; the family has no such mode.
    """
    config, facts = run.config(), run.facts()
    check_generates(run)
    _check_mode(run, config.model, mode)
    folder = find_checkpoint(run, which)
    network = family_of(run, folder).generator
    load_weights(network, load_tensors(folder / "generator.safetensors"), folder)
    target, conditions = resolve_device(device), stored_conditions(run)
    sources = _sources(run, config.model, mode, inputs, cache)
    told = None
    if conditions is not None:
        told = RunAttributes.of(conditions, plan, None if sources is None else sources.images)
    return TrainedGenerator(
        run=run,
        network=for_use(network, target),
        classes=facts.classes,
        targets=facts.targets,
        channels=facts.channels,
        resolution=config.data.resolution,
        z_dim=network.z_dim,
        seed=config.seed,
        kimg=read_state(folder).counters.images / 1000,
        sha256=sha256(folder / "generator.safetensors"),
        checkpoint=folder.name,
        device=target,
        codes=codes_of(config.model),
        sources=sources,
        attributes=told,
    )


def check_generates(run: Run) -> None:
    """Check that a run makes new images.

    Raises:
        SynthaugError: it is an upscaler.
    """
    if isinstance(run.config().model, UpscalerOptions):
        raise SynthaugError(
            f"the run {run.name!r} is an upscaler, which only enlarges images",
            "name the run of a generator; enlarge a folder with: "
            + shell_command("upscale", run.reference(), "FOLDER", out="DIR"),
        )


def _check_mode(run: Run, model: ModelConfig, mode: Mode | None) -> None:
    if mode is None:
        return
    if not isinstance(model, SourceOptions):
        raise SynthaugError(
            f"--mode {mode} is for families that start from images; the run {run.name!r} starts from noise",
            "leave --mode out",
        )
    if mode not in model.modes():
        raise SynthaugError(
            f"--mode {mode} is not for {model.family}, which can only {' or '.join(model.modes())}", "leave --mode out"
        )


def _sources(
    run: Run, model: ModelConfig, mode: Mode | None, inputs: OwnMaps | None, cache: Path | None
) -> RunSources | None:
    return RunSources.open(run, model, mode, inputs, cache) if isinstance(model, SourceOptions) else None


def load_discriminator(run: Run, which: str | Path = "best", device: str = "auto") -> Discriminator:
    """Load the discriminator of a checkpoint, in evaluation mode. It is never averaged.

    Raises:
        SynthaugError: as `load_generator`.
    """
    folder = find_checkpoint(run, which)
    if conditions := run.config().data.conditions:
        raise SynthaugError(
            f"the discriminator of the run {run.name!r} judges images by their {', '.join(conditions)}, too",
            "leave --select out",
        )
    network = family_of(run, folder).discriminator
    if network.judges_pairs:
        raise SynthaugError(
            f"the discriminator of {run.config().model.family} judges an image beside its source, not alone",
            "leave --select out",
        )
    load_weights(network, load_tensors(folder / "training.safetensors", "discriminator."), folder)
    return for_use(network, resolve_device(device))


def family_of(run: Run, folder: Path) -> Family:
    """The untrained networks of a run, for one of its checkpoints."""
    family = read_state(folder).architecture.get("family")
    config, facts = run.config(), run.facts()
    if family != config.model.family:
        raise SynthaugError(
            f"the checkpoint {str(folder)!r} is of another architecture ({family}) "
            f"than its run ({config.model.family})",
            "give the checkpoint's own run, whose config.yaml has the right model section",
        )
    attributes = sum(column.size for column in facts.conditions)
    shape = ImageShape(config.data.resolution, facts.channels, len(facts.classes), attributes)
    return build_family(config.model.family, shape, config.model)


def for_use(network: N, device: torch.device) -> N:
    ready: N = network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    return ready
