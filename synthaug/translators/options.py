"""The options of families that start from images, as a part of the `model` section. Does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field

from synthaug.config import ModelConfig, Weight
from synthaug.translators.modes import Mode

EDGES = "edges"
"""In the place of a folder of maps: edge maps are drawn from the images."""


class SourceOptions(ModelConfig):
    """Which real training images a family starts from."""

    source_classes: list[str] = Field(
        default_factory=list, description="classes whose images are translated; []: those that resemble the target most"
    )
    mode: Mode = Field(
        "both", description="translate images of other classes, vary images of the class, or both in turn"
    )
    draws_per_source: int = Field(
        50, ge=1, le=10**6, description="the most images of a class that start from one real image"
    )

    many_discriminator_steps: ClassVar[bool] = False  # whether its game follows `training.discriminator_steps`
    least_classes: ClassVar[int] = 0  # with fewer, there is no evidence that the family is of use

    @classmethod
    def modes(cls) -> tuple[Mode, ...]:
        """What the family can do with its sources."""
        return get_args(cls.model_fields["mode"].annotation)

    @property
    def map_folder(self) -> Path | None:
        """The folder of the maps that the family paints, if it paints maps of a folder."""
        return None


class ResnetOptions(SourceOptions):
    """The options of families with the ResNet generator, which translate and have no noise."""

    mode: Literal["translate"] = Field("translate", description="images of other classes become the class")
    draws_per_source: int = Field(
        1,
        ge=1,
        le=10**6,
        description="the most images of a class that start from one real image; without noise all are alike",
    )
    z_dim: int = Field(2, ge=2, le=1024, description="without effect: an image depends on its source alone")
    width: int = Field(
        24, ge=4, le=512, description="channels at full resolution; the residual blocks have 4 times as many"
    )
    discriminator_width: int = Field(48, ge=4, le=512, description="the same for the discriminators")
    blocks: int = Field(0, ge=0, le=32, description="residual blocks; 0: 4 up to 64 px, 6 above")


class CycleGANOptions(ResnetOptions):
    """The options of `cyclegan`: weights of its losses beside the adversarial one, and its memory."""

    cycle: Weight = Field(10.0, description="L1 distance after the way there and back")
    identity: Weight = Field(5.0, description="L1 distance of an image that is of the class already to itself")
    pool: int = Field(50, ge=0, le=1000, description="past fakes of each class; half of those that D sees are from it")


class CUTOptions(ResnetOptions):
    """The options of `cut`: its contrastive loss."""

    nce: Weight = Field(1.0, description="weight of the contrastive loss of patches; with 10, fakes copy their source")
    nce_identity: bool = Field(True, description="also for images that are of the class already: keeps colours")
    patches: int = Field(256, ge=2, le=4096, description="patches of an image in each layer; at most as many as it has")


class DAGANOptions(SourceOptions):
    """The options of `dagan`."""

    many_discriminator_steps = True
    least_classes = 100

    mode: Literal["vary"] = Field("vary", description="an image of the class becomes another one")
    z_dim: int = Field(100, ge=2, le=1024, description="entries of the noise vector z")
    width: int = Field(
        24, ge=4, le=512, description="channels at full resolution; coarser maps have up to 4 times as many"
    )


def _absolute(pairs: str) -> str:
    """A run is used from other folders than the one where it was trained."""
    return pairs if pairs == EDGES else str(Path(pairs).expanduser().absolute())


class Pix2PixOptions(SourceOptions):
    """The options of `pix2pix`, which paints maps instead of changing images."""

    mode: Mode = Field(
        "translate",
        description="translate: paint maps of other classes as the class; vary: paint its own maps; both: in turn",
    )
    draws_per_source: int = Field(
        1, ge=1, le=10**6, description="the most images of a class that are painted from one map; noise changes little"
    )
    pairs: Annotated[str, Field(min_length=1), AfterValidator(_absolute)] = Field(
        EDGES, description="folder with a map for each image, at the same path; edges: edge maps, drawn from the images"
    )
    l1: Weight = Field(100.0, description="weight of the L1 distance between an image and its painted map")
    z_dim: int = Field(16, ge=2, le=1024, description="entries of the noise vector z")
    width: int = Field(
        24, ge=4, le=512, description="channels at full resolution; coarser maps have up to 4 times as many"
    )

    @property
    def map_folder(self) -> Path | None:
        return None if self.pairs == EDGES else Path(self.pairs)


class TranslatorOptions(SourceOptions):
    """The options of `translator`: weights of its losses beside the adversarial one."""

    z_dim: int = Field(16, ge=2, le=1024, description="entries of the noise vector z, the style")
    width: int = Field(
        24, ge=4, le=512, description="channels at full resolution; coarser maps have up to 4 times as many"
    )
    blocks: int = Field(1, ge=1, le=32, description="residual blocks of the encoder, and of the decoder")
    discriminator_width: int = Field(48, ge=4, le=512, description="the same for the discriminator")
    reconstruction: Weight = Field(3.0, description="L1 distance of an image to itself, made with its own style")
    cycle: Weight = Field(1.5, description="L1 distance after the way to another class and back")
    style: Weight = Field(1.0, description="L1 distance of z to the style that is found in the image made with it")
    diversity: Weight = Field(1.0, description="for differences between two z, fading to 0 over the training")
