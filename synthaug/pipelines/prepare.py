"""The common beginning of `fit` and its dry run: read and check the folder and the configuration."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric

from synthaug import runs as run_directories
from synthaug.config import AUTO, Config, Resolved, resolve
from synthaug.data.batches import GROUP, BalancedBatches, class_probabilities
from synthaug.data.cache import LabelledImages
from synthaug.data.fetched import local_folder
from synthaug.data.mapped import MappedPixels
from synthaug.data.maps import paired_maps
from synthaug.data.run_data import RunData
from synthaug.data.split import Split
from synthaug.device import free_memory, has_bf16, resolve_device
from synthaug.dotted import leaves
from synthaug.errors import SynthaugError
from synthaug.features import permitted
from synthaug.files import check_outside
from synthaug.launched import asked_for
from synthaug.losses.heads import build_heads
from synthaug.models import build_family
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.codes import codes_of
from synthaug.models.family import Family, ImageShape
from synthaug.pipelines.auto import resolve_auto
from synthaug.pipelines.config_checks import check_config, config_warnings
from synthaug.progress import Progress
from synthaug.requests import FitRequest
from synthaug.runs import Run
from synthaug.training.condition_rules import ConditionRules
from synthaug.training.game import Game, build_game
from synthaug.training.transfer import StartingPoint, open_starting_point
from synthaug.translators.options import SourceOptions
from synthaug.upscalers.options import UpscalerOptions

ON_DEVICE = 0.25
"""Share of the free memory that training images may take: the networks need the rest."""


@dataclass
class Prepared:
    """A training that can begin.

    `named` is the run of `--resume PATH`, `start` the checkpoint of `--from`. `maps` are those of the images in `data`,
    if the family paints maps of a folder.
    """

    root: Path  # folder of runs
    resolved: Resolved
    data: RunData
    device: torch.device
    precision: str
    features: str  # the monitor's net; the run that continues may have it under another name
    processes: tuple[int, int] = (1, 1)  # on each machine, and machines
    named: Run | None = None
    start: StartingPoint | None = None
    features_sha256: str | None = None
    maps: Split | None = None
    sources: dict[str, list[str]] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        return self.resolved.config

    @property
    def shape(self) -> ImageShape:
        attributes = 0 if self.data.conditions is None else self.data.conditions.size
        return ImageShape(self.config.data.resolution, self.data.channels, len(self.data.classes), attributes)

    @property
    def training_side(self) -> int:
        """Side of the images to train on, in pixels: those that the network makes."""
        model = self.config.model
        return self.config.data.resolution * (model.scale if isinstance(model, UpscalerOptions) else 1)

    @property
    def architecture(self) -> dict[str, Any]:
        return {"family": self.config.model.family, **vars(self.shape), **self.config.model.model_dump()}


def prepare(request: FitRequest, progress: Progress) -> Prepared:
    """Resolve the configuration, scan and split the folder, and check them.

    Raises:
        SynthaugError: bad images or maps, settings that are unknown or incompatible, no such run, class or device.
    """
    root = run_directories.default_root() if request.runs is None else request.runs
    folder = local_folder(request.data, request.cache, progress)
    check_outside(root, [folder], "--runs")
    named = run_directories.find(request.resume, root) if request.continues() else None
    resolved, target_class = _settings(named, request, progress)
    config = resolved.config
    features = _features(resolved, request, named)
    check_config(config.model_copy(update={"monitor": config.monitor.model_copy(update={"features": features})}))
    device = resolve_device(request.device)
    data = RunData.of_folder(
        folder, target_class, config, strict=request.strict, cache=request.cache, progress=progress
    )
    for warning in config_warnings(config):
        progress.warn(warning)
    precision = _precision(config.training.precision, device)
    prepared = Prepared(root, resolved, data, device, precision, features, _processes(request, config, device), named)
    prepared.start = _starting_point(request, prepared)
    if isinstance(config.model, SourceOptions) and config.model.map_folder is not None:
        check_outside(root, [config.model.map_folder], "--runs")
        prepared.maps = paired_maps(config.model.map_folder, data, request.cache, progress)
    return prepared


def _settings(named: Run | None, request: FitRequest, progress: Progress) -> tuple[Resolved, str | Sequence[str]]:
    """Configuration and target classes: those of the run that continues, or as requested."""
    if named is not None:
        stored = named.config()
        resolved = Resolved(stored, dict.fromkeys(leaves(stored.model_dump()), "resumed run"))
        return resolved, named.facts().targets
    if request.recipe == AUTO:
        return resolve_auto(request, progress), request.target_class
    return resolve(request.recipe, request.config, request.settings(), request.flags()), request.target_class


def _features(resolved: Resolved, request: FitRequest, run: Run | None) -> str:
    """The monitor's net. The run that continues may have the same file under another name.

    Raises:
        SynthaugError: a recipe or the run names a file or a download, and no flag of this call does; or a flag names
            another net than the run.
    """
    stored, origin = resolved.config.monitor.features, resolved.origins["monitor.features"]
    owner = origin if run is None else f"the run {run.name!r}"
    name = permitted(stored, stored if origin in ("--set", "flag") else request.features, owner)
    if run is not None and name != stored and run.facts().features_sha256 is None:
        raise SynthaugError(
            f"{owner} was trained with the feature net {stored!r}, not {name!r}", "leave --features out"
        )
    return name


def _precision(asked: str, device: torch.device) -> str:
    """With `auto`, bf16 if the hardware supports it; emulated, it would be slow."""
    if asked != "auto":
        return asked
    return "bf16-mixed" if has_bf16(device) else "32-true"


def _starting_point(request: FitRequest, prepared: Prepared) -> StartingPoint | None:
    """The checkpoint that `--from` names; None without one.

    Raises:
        SynthaugError: there is no such run, its weights do not fit, or untrained layers would be frozen.
    """
    if request.from_ is not None:
        run = run_directories.find(request.from_, prepared.root)
        return open_starting_point(run, prepared.config, prepared.shape, request.checkpoint or "best")
    frozen = prepared.config.training.freeze_discriminator
    if frozen and prepared.named is None:
        raise SynthaugError(
            f"training.freeze_discriminator = {frozen} would freeze untrained layers",
            "start from the weights of a run with --from RUN, or leave it at 0",
        )
    return None


def fabric_for(prepared: Prepared) -> Fabric:
    """Device, precision and processes of the training; the latter are not started yet."""
    device, precision = prepared.device, cast(Any, prepared.precision)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would print the precision a second time
    if prepared.processes == (1, 1):
        one: Any = [device.index] if device.index is not None else 1
        return Fabric(accelerator=device.type, devices=one, precision=precision)
    devices, nodes = prepared.processes
    return Fabric(accelerator=device.type, devices=devices, num_nodes=nodes, strategy="ddp", precision=precision)


def _processes(request: FitRequest, config: Config, device: torch.device) -> tuple[int, int]:
    """Processes on each machine, and machines.

    Raises:
        SynthaugError: a batch cannot be divided among them, or there are not so many devices.
    """
    found = asked_for()
    devices, nodes = request.devices or found[0], request.nodes or found[1]
    count, batch, micro = devices * nodes, config.training.batch_size, config.training.micro_batch_size
    if count == 1:
        return 1, 1
    if micro is not None and batch % (count * micro):
        raise SynthaugError(
            f"training.micro_batch_size = {micro} does not divide a batch of {batch} among {count} processes",
            f"use --set training.batch_size={math.ceil(batch / (count * micro)) * count * micro}",
        )
    if str(device) not in ("cpu", "cuda"):
        raise SynthaugError(f"--device {device} is one device", "leave --device out, or --devices")
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise SynthaugError(
            f"--devices {devices}, but this machine has {torch.cuda.device_count()} GPUs",
            f"use --devices {torch.cuda.device_count()}",
        )
    if batch % (count * GROUP):
        fitting = math.ceil(batch / (count * GROUP)) * count * GROUP
        raise SynthaugError(
            f"a batch of {batch} cannot be divided among {count} processes: each takes a multiple of {GROUP} images",
            f"use --set training.batch_size={fitting}",
        )
    return devices, nodes


def game_for(prepared: Prepared, images: LabelledImages, fabric: Fabric) -> Game:
    """Freshly built networks and everything that trains them on `images`."""
    config = prepared.config
    # Initial weights come from the global generator. Its state is restored, for the sake of the caller.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        family = build_family(config.model.family, prepared.shape, config.model)
        heads = build_heads(config.training.auxiliary, family, prepared.shape, codes_of(config.model))
    batches = BalancedBatches(
        _pixels(prepared, images, fabric.device),
        torch.from_numpy(images.labels.copy()).to(fabric.device), class_shares(prepared, images),
        config.training.batch_size, config.training.flip,
    )  # fmt: skip
    game = build_game(config, family, batches, fabric, heads, prepared.architecture)
    if (conditions := prepared.data.conditions) is not None:
        _check_sees_conditions(config, family)
        batches.attributes = torch.from_numpy(conditions.vectors).to(fabric.device)
        game.conditions = ConditionRules(
            torch.from_numpy(conditions.blocks).to(fabric.device), config.training.condition_dropout
        )
    return game


def _check_sees_conditions(config: Config, family: Family) -> None:
    """Check that generator and discriminator can be told conditions.

    Raises:
        SynthaugError: the family plays another game, or its discriminator is told nothing.
    """
    columns = ",".join(config.data.conditions)
    told = (family.generator, family.discriminator)
    embeds = all(any(isinstance(m, ClassEmbedding) for m in network.modules()) for network in told)
    if family.step not in ("adversarial", "translation") or not embeds:
        raise SynthaugError(
            f"--condition {columns}: the family {config.model.family} has no conditions beside the class",
            "use another, such as --family dcgan, stylegan2 or translator, or leave --condition out",
        )
    if config.model.discriminator == "unconditional":
        raise SynthaugError(
            f"--condition {columns}: model.discriminator = unconditional is told nothing about an image",
            "set it to own or projected",
        )


def _pixels(prepared: Prepared, images: LabelledImages, device: torch.device) -> torch.Tensor | MappedPixels:
    """The training images on the device, or where `data.on_device` says so, or they do not fit, in their memory map."""
    asked = prepared.config.data.on_device
    if asked == "auto":
        copies = prepared.processes[0] if device.type == "cpu" else 1
        free = free_memory(device)
        asked = free is None or images.pixels.nbytes * copies <= ON_DEVICE * free
    return torch.from_numpy(images.pixels.copy()).to(device) if asked else MappedPixels(images.pixels, device)


def class_shares(prepared: Prepared, images: LabelledImages) -> torch.Tensor:
    """How often each class is drawn, float64[K]."""
    training = prepared.config.training
    indices = list(prepared.data.target_indices.values())
    return class_probabilities(list(images.counts().values()), training.balance, indices, training.target_boost)
