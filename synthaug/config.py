"""What a run is made of: pydantic models, and how recipe < file < --set < flag become one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from synthaug.errors import SynthaugError, suggest

Fit = Literal["pad", "crop", "stretch"]
Resolution = Literal[16, 32, 64, 128]
RESOLUTIONS: tuple[int, ...] = get_args(Resolution)
MOST_FOLDS = 20
_BUDGET = re.compile(r"(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>s|min|h|kimg)")
_NAMED_WEIGHTS = ("training.regularizers", "training.auxiliary")  # mappings that are one value
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _is_budget(text: str) -> str:
    parse_budget(text)
    return text


def parse_budget(text: str) -> tuple[float | None, float | None]:
    """Read `10min`, `90s`, `1h` or `200kimg` as (seconds, kimg), one of which is None.

    >>> parse_budget("10min")
    (600.0, None)
    >>> parse_budget("0.5kimg")
    (None, 0.5)
    """
    match = _BUDGET.fullmatch(text.strip())
    if match is None or float(match["amount"]) <= 0:
        raise ValueError(f"{text!r} is not a budget: write it like 10min, 90s, 1h or 200kimg")
    amount = float(match["amount"])
    return (None, amount) if match["unit"] == "kimg" else (amount * _SECONDS[match["unit"]], None)


class DataConfig(_Section):
    """How images become square uint8 arrays, and how they are split."""

    resolution: Resolution = 32
    channels: Literal["auto", 1, 3] = "auto"
    fit: Fit = "pad"
    group_by: str | None = Field(None, description="regular expression; its first group in a path is the group's name")
    val_fraction: float = Field(0.15, ge=0, lt=0.5)
    test_fraction: float = Field(0.2, ge=0, lt=0.6)
    min_images_for_val: int = Field(50, ge=2, description="classes with fewer training images give none to val")
    folds: int = Field(
        0, ge=0, le=MOST_FOLDS, description="`evaluate --folds`: test is one of so many parts; 0: no folds"
    )
    fold: int = Field(0, ge=0, description="which of the folds is test, counted from 0")

    @model_validator(mode="after")
    def _fold_is_one_of_them(self) -> DataConfig:
        if self.folds == 1:
            raise ValueError("one fold leaves nothing to train on: give folds = 2 or more, or 0 for none")
        if self.fold >= max(self.folds, 1):
            raise ValueError(f"fold {self.fold} is none of {self.folds} folds, which count from 0")
        return self


class ModelConfig(_Section):
    """The pair of networks."""

    family: str = Field("dcgan", description="`synthaug list families`")
    z_dim: int = Field(64, ge=2, le=1024)
    width: int = Field(
        48,
        ge=4,
        le=512,
        description="channels of the finest inner feature maps; coarser ones have more: see the family",
    )
    discriminator_width: int = Field(48, ge=4, le=512, description="the same of the discriminator")
    embed_dim: int = Field(64, ge=2, le=512, description="size of the class embedding")
    discriminator: str = Field(
        "own",
        description="`own`: the family's; `projected`: on frozen ImageNet features; `unconditional`: blind to classes",
    )
    spectral_norm: bool = Field(
        True, description="false takes it out of the discriminator that has it: a gradient penalty holds it instead"
    )
    attention: Literal[0, 8, 16, 32, 64] = Field(
        0, description="side in px of the feature maps that attend to themselves, in `biggan`; 0: none"
    )
    categorical_codes: list[Annotated[int, Field(ge=2, le=100)]] = Field(
        default_factory=list, description="InfoGAN codes that choose, each with its number of choices; part of z"
    )
    continuous_codes: int = Field(0, ge=0, le=64, description="InfoGAN codes that are values in [-1, 1]; part of z")

    @model_validator(mode="after")
    def _codes_fit_into_z(self) -> ModelConfig:
        size = sum(self.categorical_codes) + self.continuous_codes
        if size >= self.z_dim:
            raise ValueError(f"the codes take {size} entries of z, which has z_dim = {self.z_dim}, and leave no noise")
        return self


class TrainingConfig(_Section):
    """The adversarial loop. Every schedule counts images, never seconds."""

    budget: Annotated[str, AfterValidator(_is_budget)] = "200kimg"
    batch_size: int = Field(32, ge=2, le=4096)
    objective: str = Field("hinge", description="`synthaug list objectives`")
    regularizers: dict[str, float] = Field(
        default_factory=dict, description="name → weight, beside the objective's own"
    )
    regularizer_interval: int | None = Field(
        None, ge=1, le=64, description="steps between two penalties; null: as the objective, or each penalty, wants it"
    )
    regularizer_decay: float | None = Field(
        None, gt=0, le=1, description="share of their weights left at the end, by cosine; null: the objective's own"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="0.1: the target of real images is .9 instead of 1")
    auxiliary: dict[str, float] = Field(
        default_factory=dict, description="heads beside real or generated: acgan, infogan → weight"
    )
    discriminator_steps: int = Field(1, ge=1, le=10)
    generator_lr: float = Field(2e-4, gt=0, lt=1)
    discriminator_lr: float = Field(1e-3, gt=0, lt=1)
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    ema_kimg: float = Field(5.0, ge=0, description="half-life of the averaged generator")
    balance: float = Field(1.0, ge=0, le=1, description="0: labels drawn as they come; 1: every class alike")
    target_boost: float = Field(1.0, ge=1, le=100, description="target classes are drawn this many times as often")
    fade_start: float = Field(
        0.0, ge=0, le=1, description="share of the budget where the class condition begins to count"
    )
    fade_end: float = Field(0.0, ge=0, le=1, description="share of the budget where it counts in full")
    embedding_noise: float = Field(
        0.0,
        ge=0,
        le=10,
        description="noise on the class embeddings of the generator, less where a class has more images",
    )
    augment: list[str] = Field(
        default_factory=lambda: ["color", "affine"],
        description="of real and generated images alike: color, translation, cutout, affine; []: none",
    )
    ada: bool = Field(False, description="adapt the probability of each augmentation to how much is learnt by heart")
    ada_target: float = Field(0.6, gt=-1, lt=1, description="mean sign of the real logits that ADA steers towards")
    ada_interval: int = Field(4, ge=1, le=1000, description="batches between two adjustments")
    ada_kimg: float = Field(500.0, gt=0, description="thousands of images in which the probability can go from 0 to 1")
    freeze_discriminator: int = Field(
        0, ge=0, le=100, description="lowest discriminator layers that keep the weights of `fit --from RUN`"
    )
    flip: bool = Field(False, description="real images are shown mirrored half of the time")
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    compile: Literal["auto"] | bool = Field("auto", description="`auto`: where it saves more seconds than it takes")
    rollbacks: int = Field(2, ge=0, le=20, description="returns to the last good checkpoint after a divergence")
    keep_checkpoints: int = Field(3, ge=0, description="kept between the first, the last and the best")
    tensorboard: bool = Field(False, description="metrics also for TensorBoard: pip install 'synthaug[tensorboard]'")

    @model_validator(mode="after")
    def _fade_is_an_interval(self) -> TrainingConfig:
        if self.fade_end < self.fade_start:
            raise ValueError(f"fade_end ({self.fade_end}) comes before fade_start ({self.fade_start})")
        return self


class MonitorConfig(_Section):
    """What watches the training and picks the checkpoint."""

    every_kimg: float = Field(
        20.0, gt=0, description="thousands of images between two looks at samples, each with a checkpoint"
    )
    samples_per_class: int = Field(100, ge=8, le=5000)
    features: str = Field("efficientnet_lite0", description="`synthaug list features`")
    grid_columns: int = Field(10, ge=1, le=64)


class GateConfig(_Section):
    """Which synthetic images an export accepts."""

    agreement: bool = True
    copies: bool = True
    duplicates: bool = True
    steps: int = Field(600, ge=1, description="optimiser steps of each of its classifiers")


class Config(_Section):
    """A resolved run configuration."""

    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    monitor: MonitorConfig = Field(default_factory=MonitorConfig)
    gate: GateConfig = Field(default_factory=GateConfig)
    seed: int = Field(0, ge=0, lt=2**31)


SECTIONS = frozenset(name for name, value in Config() if isinstance(value, _Section))


@dataclass(frozen=True)
class Resolved:
    """A configuration and where each value came from ("default", "recipe x", a file, "--set", a flag)."""

    config: Config
    origins: dict[str, str]


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a nested mapping to dotted keys.

    >>> leaves({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value and f"{prefix}{key}" not in _NAMED_WEIGHTS:
            flat.update(leaves(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


AUTO = "auto"
"""The recipe that is no file: `synthaug.pipelines.auto` makes it from the images and the device."""


def recipe_names() -> list[str]:
    return sorted(p.name.removesuffix(".yaml") for p in files("synthaug_recipes").iterdir() if p.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """The text of a shipped recipe.

    Raises:
        SynthaugError: no recipe has this name.
    """
    if name == AUTO:
        raise SynthaugError(
            "the recipe 'auto' is no file: it depends on the images",
            "see it with synthaug fit DATA --recipe auto --dry-run",
        )
    if name not in recipe_names():
        raise SynthaugError(f"there is no recipe {name!r}", suggest(name, [AUTO, *recipe_names()]))
    return files("synthaug_recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Read a YAML mapping; `where` names its source in errors."""
    try:
        tree = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise SynthaugError(f"{where} is not valid YAML{line}", "check its indentation and colons") from error
    if not isinstance(tree, dict):
        raise SynthaugError(
            f"{where} holds a {type(tree).__name__}, not a mapping", "write it like a recipe: `synthaug recipes show`"
        )
    return tree


def _recipe_layers(name: str) -> list[tuple[str, dict[str, Any]]]:
    return _layers(parse_yaml(recipe_text(name), f"recipe {name}"), f"recipe {name}")


def _layers(tree: Mapping[str, Any], origin: str) -> list[tuple[str, dict[str, Any]]]:
    """Origin and dotted keys of what a YAML mapping sets, behind those of the shipped recipe that is its `base`."""
    base = tree.get("base")
    if base is not None and base not in recipe_names():
        raise SynthaugError(f"base = {base!r} ({origin}) is no shipped recipe", suggest(str(base), recipe_names()))
    # a section of which nothing is set would otherwise take the place of what lies below
    own = {k: v for k, v in tree.items() if k != "base" and not (k in SECTIONS and not v)}
    return [*(_recipe_layers(base) if base is not None else []), (origin, leaves(own))]


def _nest(flat: Mapping[str, Any], into: dict[str, Any]) -> None:
    for dotted, value in flat.items():
        *parents, last = dotted.split(".")
        node = into
        for parent in parents:
            child = node.get(parent)
            if not isinstance(child, dict):
                child = node[parent] = {}
            node = child
        node[last] = value


def resolve(
    recipe: str | None = None,
    file: Path | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    chosen: Mapping[str, tuple[Any, str]] | None = None,
) -> Resolved:
    """Merge recipe < file < `KEY=VALUE` settings < flags (dotted keys; None means not given).

    Recipe and file may name a shipped recipe as their `base`, which comes right before them; a section that is empty
    sets nothing.
    The recipe `auto` stands for what was `chosen`: dotted key → value and reason. Without it, it adds nothing.

    Raises:
        SynthaugError: every fault of the merged configuration, listed in one message.
    """
    layers: list[tuple[str, dict[str, Any]]] = []
    if recipe == AUTO:
        layers.append((AUTO, {key: value for key, (value, _) in (chosen or {}).items()}))
    elif recipe is not None:
        layers += _recipe_layers(recipe)
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = (getattr(error, "strerror", None) or "not UTF-8 text").lower()
            raise SynthaugError(
                f"cannot read the configuration {str(file)!r}: {reason}",
                "give a YAML file, such as `synthaug recipes cp default` writes",
            ) from error
        layers += _layers(parse_yaml(text, str(file)), str(file))
    for setting in sets:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise SynthaugError(f"--set {setting!r} has no key and value", "write it like --set training.batch_size=32")
        try:
            layers.append(("--set", {key.strip(): yaml.safe_load(value)}))
        except yaml.YAMLError as error:
            raise SynthaugError(
                f"--set {setting!r}: the value is not valid YAML", "quote it: --set 'key=[a, b]'"
            ) from error
    layers.append(("flag", {k: v for k, v in (flags or {}).items() if v is not None}))

    tree: dict[str, Any] = {}
    given: dict[str, str] = {}
    for origin, flat in layers:
        _nest(flat, tree)
        given.update(dict.fromkeys(flat, origin))
    config = validate(tree, given)
    return Resolved(config, {key: given.get(key, "default") for key in leaves(config.model_dump())})


def validate(tree: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> Config:
    """Turn a nested mapping into a `Config`, naming every fault at once.

    Raises:
        SynthaugError: some key is unknown or some value is not allowed.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        known = ["base", *Config.model_fields, *leaves(Config().model_dump())]
        faults, hints = [], []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"])
            origin = (origins or {}).get(key)
            source = f" ({origin})" if origin else ""
            if fault["type"] == "extra_forbidden":
                faults.append(f"unknown key {key!r}{source}")
                hints.append(
                    suggest(key, known).split("; choices")[0].split("? choices")[0]
                    + ("?" if "did you mean" in suggest(key, known) else "")
                )
            else:
                message = fault["msg"].removeprefix("Value error, ")
                faults.append(f"{key} = {fault['input']!r}{source}: {message[0].lower()}{message[1:]}")
        hint = (
            "; ".join(dict.fromkeys(h for h in hints if h.startswith("did you mean")))
            or "`synthaug recipes show` prints every key and its default"
        )
        raise SynthaugError("; ".join(faults), hint) from error
