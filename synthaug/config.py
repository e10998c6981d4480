"""The configuration of a run, and how recipe, file, --set and flags are merged into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)  # fmt: skip

from synthaug import parsing
from synthaug.budget import MOST_FOLDS, MOST_KIMG, check_budget
from synthaug.documents.conditions import TextEncoder
from synthaug.dotted import leaves, nest
from synthaug.errors import SynthaugError, suggest
from synthaug.parsing import ParseError
from synthaug.registry import Registry

Fit = Literal["pad", "crop", "stretch"]
Resolution = Literal[16, 32, 64, 96, 128, 192, 256]
RESOLUTIONS: tuple[int, ...] = get_args(Resolution)
_DEFAULT_FAMILY = "dcgan"


Weight = Annotated[float, Field(ge=0, le=1e6)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        kind = str(cls.model_fields[info.field_name or ""].annotation)
        of_numbers = isinstance(value, Mapping) and kind.startswith("dict")
        if "bool" not in kind and any(isinstance(one, bool) for one in (value.values() if of_numbers else [value])):
            raise ValueError("true and false are not values of this key")
        return value


class DataConfig(_Section):
    """How images become square uint8 arrays, and how they are split."""

    resolution: Resolution = 32
    channels: Literal["auto", 1, 3] = "auto"
    fit: Fit = "pad"
    on_device: Literal["auto"] | bool = Field(
        "auto",
        description="keep the decoded training images on the device; false: gather each batch from the cache's memory "
        "map. `auto`: false where they take more than a quarter of its free memory. The training is the same",
    )
    group_by: str | None = Field(
        None, description="regular expression; images whose paths have the same first group stay in one split"
    )
    conditions: list[str] = Field(
        default_factory=list, description="columns of the metadata table that the generator is told beside the class"
    )
    text_encoder: TextEncoder = Field(
        "words", description="of conditions that are texts: their own words, or `wordllama`, pretrained on English"
    )
    val_fraction: float = Field(0.15, ge=0, lt=0.5)
    test_fraction: float = Field(0.2, ge=0, lt=0.6)
    min_images_for_val: int = Field(
        50, ge=2, le=10**9, description="classes with fewer training images have no val images"
    )
    split_seed: int | None = Field(
        None, ge=0, lt=2**31, description="seed of the split; null: the run's. So runs of other seeds can share a split"
    )
    folds: int = Field(0, ge=0, le=MOST_FOLDS, description="number of folds, as set by `evaluate --folds`; 0: no folds")
    fold: int = Field(0, ge=0, lt=MOST_FOLDS, description="the fold that is the test set, counted from 0")

    @model_validator(mode="after")
    def _fold_exists(self) -> DataConfig:
        if self.folds == 1:
            raise ValueError("one fold leaves nothing to train on: set folds to 2 or more, or to 0 for no folds")
        if self.fold >= max(self.folds, 1):
            raise ValueError(f"fold {self.fold} does not exist: folds = {self.folds}, and they are counted from 0")
        return self


class ModelConfig(_Section):
    """The networks: the options that every family has. `FAMILY_OPTIONS` names the families with more."""

    family: str = Field(_DEFAULT_FAMILY, description="`synthaug list families`, or `list upscalers`")
    z_dim: int = Field(64, ge=2, le=1024, description="entries of the noise vector z")
    width: int = Field(
        48, ge=4, le=512, description="generator: channels at the finest inner resolution; coarser ones have more"
    )
    discriminator_width: int = Field(48, ge=4, le=512, description="the same for the discriminator")
    embed_dim: int = Field(64, ge=2, le=512, description="size of the class embedding")
    discriminator: str = Field(
        "own",
        description="`own`: the family's; `projected`: on frozen ImageNet features; `unconditional`: ignores classes",
    )
    spectral_norm: bool = Field(
        True, description="false: no spectral norm in the discriminator; use a gradient penalty instead"
    )


class TrainingConfig(_Section):
    """The training. Schedules count images, not seconds."""

    budget: Annotated[str, AfterValidator(check_budget)] = "200kimg"
    batch_size: int = Field(32, ge=2, le=4096)
    micro_batch_size: int | None = Field(
        None,
        ge=4,
        le=4096,
        description="images that pass the networks at once on each device, for less memory; a divisor of its share of "
        "the batch. The training is the same up to rounding. null: all",
    )
    objective: str = Field("hinge", description="`synthaug list objectives`")
    regularizers: dict[str, Weight] = Field(
        default_factory=dict, description="name → weight, in addition to those of the objective; weight 0 removes one"
    )
    regularizer_interval: int | None = Field(
        None, ge=1, le=64, description="steps between two penalties; null: the default of the objective or penalty"
    )
    regularizer_decay: float | None = Field(
        None, gt=0, le=1, description="share of the weights at the end of a cosine decay; null: the objective's default"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="0.1: the target of real images is 0.9 instead of 1")
    auxiliary: dict[str, Weight] = Field(
        default_factory=dict, description="auxiliary losses of the discriminator: acgan, infogan → weight"
    )
    discriminator_steps: int = Field(1, ge=1, le=10)
    generator_lr: float = Field(2e-4, gt=0, lt=1)
    discriminator_lr: float = Field(1e-3, gt=0, lt=1)
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    ema_kimg: float = Field(
        5.0, ge=0, le=MOST_KIMG, description="half-life of the averaged weights, in thousands of images"
    )
    balance: float = Field(1.0, ge=0, le=1, description="0: classes are drawn as often as they occur; 1: equally often")
    target_boost: float = Field(1.0, ge=1, le=100, description="factor by which target classes are drawn more often")
    fade_start: float = Field(
        0.0, ge=0, le=1, description="share of the budget at which the class condition starts to fade in"
    )
    fade_end: float = Field(0.0, ge=0, le=1, description="share of the budget at which it has its full weight")
    embedding_noise: float = Field(
        0.0, ge=0, le=10, description="noise on the generator's class embeddings; less for classes with more images"
    )
    condition_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of the conditions that are hidden, so that images without them can be made"
    )
    augment: list[str] = Field(
        default_factory=lambda: ["color", "affine"],
        description="of real and generated images: color, translation, cutout, affine; []: none",
    )
    ada: bool = Field(False, description="adapt the probability of augmentations to how much D overfits")
    ada_target: float = Field(0.6, gt=-1, lt=1, description="ADA: target of the mean sign of the real logits")
    ada_interval: int = Field(4, ge=1, le=1000, description="ADA: batches between two changes")
    ada_kimg: float = Field(500.0, gt=0, le=MOST_KIMG, description="ADA: thousands of images to go from 0 to 1")
    freeze_discriminator: int = Field(
        0, ge=0, le=100, description="number of lowest discriminator layers that keep the weights of `fit --from RUN`"
    )
    flip: bool = Field(False, description="mirror real images half of the time")
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    compile: Literal["auto"] | bool = Field("auto", description="`auto`: where it saves more time than it takes")
    rollbacks: int = Field(2, ge=0, le=20, description="how often a diverged training may return to a good checkpoint")
    keep_checkpoints: int = Field(3, ge=0, le=10**6, description="kept besides the first, the last and the best")
    trackers: list[str] = Field(default_factory=list, description="follow the training: tensorboard, mlflow (extras)")

    @model_validator(mode="after")
    def _fade_is_an_interval(self) -> TrainingConfig:
        if self.fade_end < self.fade_start:
            raise ValueError(f"fade_end ({self.fade_end}) is less than fade_start ({self.fade_start})")
        return self


class MonitorConfig(_Section):
    """The monitor scores samples during the training and chooses the best checkpoint."""

    every_kimg: float = Field(
        20.0, gt=0, le=MOST_KIMG, description="thousands of images between two scores, each with a checkpoint"
    )
    samples_per_class: int = Field(100, ge=8, le=5000)
    features: str = Field("efficientnet_lite0", description="`synthaug list features`")
    grid_columns: int = Field(10, ge=1, le=64)


class GateConfig(_Section):
    """The tests that a synthetic image must pass to be exported."""

    agreement: bool = Field(True, description="classifiers must find the image typical of its class")
    copies: bool = Field(True, description="refuse copies of real images")
    duplicates: bool = Field(True, description="refuse near duplicates of accepted images")
    steps: int = Field(600, ge=1, le=10**6, description="training steps of each classifier of the agreement test")


FAMILY_OPTIONS: Registry[type[ModelConfig]] = Registry(
    "family options",
    {
        "biggan": "synthaug.models.options:BigGANOptions",
        "dcgan": "synthaug.models.options:CodeOptions",
        "translator": "synthaug.translators.options:TranslatorOptions",
        "cyclegan": "synthaug.translators.options:CycleGANOptions",
        "cut": "synthaug.translators.options:CUTOptions",
        "dagan": "synthaug.translators.options:DAGANOptions",
        "pix2pix": "synthaug.translators.options:Pix2PixOptions",
        "srgan": "synthaug.upscalers.options:SRGANOptions",
    },
)
"""Family → the class of its `model` section. Families that are not named here have the options of `ModelConfig`."""


def family_options(family: object) -> type[ModelConfig]:
    """The class of the `model` section for a family."""
    return FAMILY_OPTIONS.get(family) if isinstance(family, str) and family in FAMILY_OPTIONS else ModelConfig


def _of_its_family(model: object) -> object:
    """Validate a `model` section with the options of its family."""
    tree = model.model_dump() if isinstance(model, ModelConfig) else model
    if not isinstance(tree, Mapping):
        return tree
    return family_options(tree.get("family", _DEFAULT_FAMILY)).model_validate(tree)


class Config(_Section):
    """A resolved run configuration."""

    data: DataConfig = Field(default_factory=DataConfig)
    model: Annotated[SerializeAsAny[ModelConfig], BeforeValidator(_of_its_family)] = Field(default_factory=ModelConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    monitor: MonitorConfig = Field(default_factory=MonitorConfig)
    gate: GateConfig = Field(default_factory=GateConfig)
    seed: int = Field(0, ge=0, lt=2**31)

    @property
    def split_seed(self) -> int:
        """The seed of the split."""
        return self.seed if self.data.split_seed is None else self.data.split_seed


SECTIONS = frozenset(Config.model_fields) - {"seed"}


@dataclass(frozen=True)
class Resolved:
    """A configuration and the origin of each value: "default", "recipe x", a file, "--set" or "flag"."""

    config: Config
    origins: dict[str, str]


AUTO = "auto"
"""The recipe without a file: `synthaug.pipelines.auto` makes it from the images and the device."""


def recipe_names() -> list[str]:
    return sorted(p.name.removesuffix(".yaml") for p in files("synthaug_recipes").iterdir() if p.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """The text of a shipped recipe.

    Raises:
        SynthaugError: no recipe has this name.
    """
    if name == AUTO:
        raise SynthaugError(
            "the recipe 'auto' has no file: it depends on the images",
            "print it with synthaug fit DATA --recipe auto --dry-run",
        )
    if name not in recipe_names():
        raise SynthaugError(f"there is no recipe {name!r}", suggest(name, [AUTO, *recipe_names()]))
    return files("synthaug_recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Read a YAML mapping; `where` names its source in errors."""
    try:
        tree = parsing.parse_yaml(text) or {}
    except ParseError as error:
        raise SynthaugError(f"{where} {error}", "write it like a recipe: `synthaug recipes show`") from error
    if not isinstance(tree, dict):
        hint = "write it like a recipe: `synthaug recipes show`"
        raise SynthaugError(f"{where} holds a {type(tree).__name__}, not a mapping", hint)
    return tree


def _recipe_layers(name: str) -> list[tuple[str, dict[str, Any]]]:
    return _layers(parse_yaml(recipe_text(name), f"recipe {name}"), f"recipe {name}")


def _layers(tree: Mapping[str, Any], origin: str) -> list[tuple[str, dict[str, Any]]]:
    """(origin, dotted keys) of a YAML mapping, after those of the shipped recipe that it names as `base`."""
    base = tree.get("base")
    if base is not None and base not in recipe_names():
        raise SynthaugError(f"base = {base!r} ({origin}) is not a shipped recipe", suggest(str(base), recipe_names()))
    # an empty section would otherwise replace the values of the layers below
    own = {k: v for k, v in tree.items() if k != "base" and not (k in SECTIONS and not v)}
    return [*(_recipe_layers(base) if base is not None else []), (origin, leaves(own))]


def resolve(
    recipe: str | None = None,
    file: Path | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    chosen: Mapping[str, tuple[Any, str]] | None = None,
) -> Resolved:
    """Merge recipe < file < `KEY=VALUE` settings < flags (dotted keys; None means not given).

    A recipe or file may name a shipped recipe as its `base`: the layer directly below it. Empty sections set nothing.
    The recipe `auto` stands for the values in `chosen`: dotted key → (value, reason).

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
            text = parsing.read_text(file, parsing.YAML_BYTES)
        except (OSError, ParseError) as error:
            reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else f"it {error}"
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
            layers.append(("--set", {key.strip(): parsing.parse_yaml(value)}))
        except ParseError as error:
            hint = "quote it: --set 'key=[a, b]'"
            raise SynthaugError(f"--set {setting!r}: the value {error}", hint) from error
    layers.append(("flag", {k: v for k, v in (flags or {}).items() if v is not None}))

    tree: dict[str, Any] = {}
    given: dict[str, str] = {}
    for origin, flat in layers:
        nest(flat, tree)
        given.update(dict.fromkeys(flat, origin))
    config = validate(tree, given)
    return Resolved(config, {key: given.get(key, "default") for key in leaves(config.model_dump())})


def validate(tree: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> Config:
    """Turn a nested mapping into a `Config`.

    Raises:
        SynthaugError: every unknown key and every value that is not allowed, in one message.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        family = _family_of(tree)
        known = ["base", *Config.model_fields, *leaves(Config().model_dump())]
        known += [f"model.{key}" for key in family_options(family).model_fields]
        faults, hints = [], []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"])
            origin = (origins or {}).get(key)
            source = f" ({origin})" if origin else ""
            if fault["type"] != "extra_forbidden":
                message = fault["msg"].removeprefix("Value error, ")
                faults.append(f"{key} = {fault['input']!r}{source}: {message[0].lower()}{message[1:]}")
            elif owners := _owners(key):
                faults.append(f"{key}{source} is an option of {' and '.join(owners)}; this is {family}")
                hints.append(f"leave {key} out, or use --family {owners[0]}")
            else:
                faults.append(f"unknown key {key!r}{source}")
                if (hint := suggest(key, known)).startswith("did you mean"):
                    hints.append(hint.split("; choices")[0].split("? choices")[0] + "?")
        hint = "; ".join(dict.fromkeys(hints)) or "`synthaug recipes show` prints every key and its default"
        raise SynthaugError("; ".join(faults), hint) from error


def validate_stored(tree: Mapping[str, Any]) -> Config:
    """Turn the configuration that a run has stored into a `Config`.

    Earlier versions stored the options of every family in every run. Those of other families are dropped if they have
    their default. They also had `training.tensorboard`, which is a tracker now.

    Raises:
        SynthaugError: as `validate`.
    """
    training = tree.get("training")
    if isinstance(training, Mapping) and "tensorboard" in training:
        training = dict(training)
        training["trackers"] = ["tensorboard"] if training.pop("tensorboard") is True else []
        tree = {**tree, "training": training}
    model = tree.get("model")
    if not isinstance(model, Mapping):
        return validate(tree)
    own = family_options(_family_of(tree)).model_fields
    defaults = {
        key: field.get_default(call_default_factory=True)
        for options in FAMILY_OPTIONS.load()[0].values()
        for key, field in options.model_fields.items()
        if key not in own
    }
    kept = {key: value for key, value in model.items() if key not in defaults or value != defaults[key]}
    return validate({**tree, "model": kept})


def _family_of(tree: Mapping[str, Any]) -> Any:
    model = tree.get("model")
    return model.get("family", _DEFAULT_FAMILY) if isinstance(model, Mapping) else _DEFAULT_FAMILY


def _owners(key: str) -> list[str]:
    """The families that have an option."""
    section, _, name = key.partition(".")
    if section != "model":
        return []
    return [family for family, options in FAMILY_OPTIONS.load()[0].items() if name in options.model_fields]
