"""The request of `synthaug run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from synthaug.errors import SynthaugError
from synthaug.parsing import parse_yaml
from synthaug.requests.base import Flag, Request
from synthaug.requests.evaluate import Classifier, Seeds, Steps
from synthaug.requests.fit import Settings, TrainingSeed
from synthaug.requests.options import Cache, Data, Device, GroupBy, Resolution, TargetClass


class RunRequest(Request):
    """Inspect, fit, evaluate, and export where it helps."""

    data: Data = Field(description="Folder of images, as `synthaug inspect` reads it.")
    target_class: TargetClass = Field(
        "auto", description="A class to generate images of. [default: auto, the rare classes]"
    )
    budget: Annotated[str | None, Flag("10min|90s|200kimg", "Training")] = Field(
        None,
        description="How long all of it may take, such as 30min; or the training alone, such as 200kimg. [default: a "
        "training as the recipe asks, of at most half an hour, and a whole evaluation]",
    )
    recipe: Annotated[str, Flag("NAME", "Recipe")] = Field(
        "auto", description="A recipe of `synthaug recipes ls`, or auto: settings chosen from the images."
    )
    set: Settings = ()
    resolution: Resolution = Field(None, description="Side of the generated images, in pixels. [default: the recipe's]")
    group_by: GroupBy = None
    classifier: Classifier = "cnn"
    seeds: Seeds = 5
    steps: Steps = 600
    out: Annotated[Path | None, Flag("DIR", "Output")] = Field(
        None, description="The folder of everything that is made. [default: ./synthaug-NAME, after the images' folder]"
    )
    seed: TrainingSeed = None
    device: Device = "auto"
    cache: Cache = None

    def folder(self) -> Path:
        """Where everything goes."""
        return Path(f"synthaug-{Path(self.data).resolve().name}") if self.out is None else self.out

    def kept(self) -> dict[str, Any]:
        """What a second call must give again to continue the first."""
        return self.model_dump(mode="json", exclude={"out", "cache", "device", "set"}) | {"set": self.settings()}

    def settings(self) -> list[str]:
        """`set` as texts `KEY=VALUE`."""
        if isinstance(self.set, dict):
            return [f"{key}={json.dumps(value)}" for key, value in self.set.items()]
        return list(self.set)

    def features(self) -> str | None:
        """The feature net that `set` names: a file is loaded only because this call names it."""
        given = dict(setting.partition("=")[::2] for setting in self.settings())
        return str(parse_yaml(given["monitor.features"])) if "monitor.features" in given else None

    def fit_options(self) -> dict[str, Any]:
        """Options of `fit`, without the budget."""
        given = {
            "data": self.data, "target_class": self.target_class, "recipe": self.recipe, "set": self.set,
            "resolution": self.resolution, "group_by": self.group_by, "seed": self.seed, "device": self.device,
            "cache": self.cache,
        }  # fmt: skip
        return {name: value for name, value in given.items() if self._given(name) or name in ("data", "recipe")}

    def _check(self) -> None:
        if isinstance(self.data, str) and self.out is None:
            raise SynthaugError(f"--out is missing: {self.data!r} is a URL", "name the folder of results: --out DIR")
