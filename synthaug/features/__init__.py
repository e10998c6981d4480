"""Feature nets: each turns an image into the vector that metrics compare.

`FEATURES` names the built-in ones; `timm:NAME`, `torchvision:NAME` and a path to a TorchScript file are accepted too.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthaug.errors import SynthaugError, suggest
from synthaug.progress import Progress
from synthaug.registry import Registry

if TYPE_CHECKING:
    from synthaug.data.cache import LabelledImages
    from synthaug.features.base import FeatureNet, TorchFeatureNet

__all__ = [
    "FEATURES", "SELF_TRAINED_FILE", "FeatureNet", "TorchFeatureNet", "check_features", "features_for", "is_foreign",
    "load_features", "permitted",
]  # fmt: skip

FEATURES: Registry[Callable[..., FeatureNet]] = Registry(
    "features",
    {
        "efficientnet_lite0": "synthaug.features.efficientnet_lite0:load",
        "mobilenet_v2": "synthaug.features.mobilenet_v2:load",
        "inception": "synthaug.features.inception:load",
        "own": "synthaug.features.self_trained:load",
    },
)
"""Name → function of `device` (and, for `own`, `path`) that returns a `FeatureNet`."""
WITH_WEIGHTS = ("efficientnet_lite0", "mobilenet_v2")
"""Entries whose function also takes `weights`, a file in place of their own, as nets of timm and torchvision do."""

SELF_TRAINED_FILE = "own-features.safetensors"
"""Name of the `own` net's file in a run's folder."""
_OPEN = ("timm", "torchvision")
_DOWNLOADED = ("inception",)


def __getattr__(name: str) -> Any:  # listing the table must not import torch (PEP 562)
    if name not in ("FeatureNet", "TorchFeatureNet"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from synthaug.features import base

    return getattr(base, name)


def check_features(name: str) -> str:
    """Return `name` if it is valid for `load_features`. Loads nothing; timm and torchvision are not asked.

    Raises:
        SynthaugError: `name` is no entry of the table, no file, and has no known prefix.
    """
    prefix, _, rest = name.partition(":")
    if (prefix in _OPEN and rest) or name in FEATURES or Path(name).is_file():
        return name
    if Path(name).suffix in (".pt", ".ts", ".jit", ".torchscript", ".pth", ".safetensors"):
        raise SynthaugError(f"there is no feature net file {name!r}", "give the path of a TorchScript file")
    raise SynthaugError(
        f"there are no features {name!r}",
        f"{suggest(name, FEATURES.names())}, timm:NAME, torchvision:NAME, or a TorchScript file",
    )


def is_foreign(name: str) -> bool:
    """Whether a net comes from outside: from a file, which is run when it is loaded, or from a download."""
    return name not in FEATURES or name in _DOWNLOADED


def permitted(stored: str, named: str | None, owner: str) -> str:
    """Return the net to load: the one that a flag of this call has `named`, otherwise the `stored` one.

    Runs and recipes may come from other people, so a foreign net is never loaded because one of them names it.

    Args:
        stored: the net in the configuration of a run or recipe.
        named: the net that a flag names, if any.
        owner: who has stored the name, for the error.

    Raises:
        SynthaugError: the stored net is foreign, and no flag names a net.
    """
    if named is not None:
        return named
    if is_foreign(stored):
        raise SynthaugError(
            f"{owner} names the feature net {stored!r}, a file or a download, which is loaded only if you name it too",
            f"if you trust it, add --features {shlex.quote(stored)}; if not, --features efficientnet_lite0",
        )
    return stored


def takes_weights(name: str) -> bool:
    """Whether `load_features` takes the user's weights for this net."""
    return name in WITH_WEIGHTS or name.partition(":")[0] in _OPEN


def load_features(
    name: str, *, device: str = "auto", path: Path | None = None, weights: Path | None = None
) -> FeatureNet:
    """Load a feature net by name; nets without a `path` stay loaded until the process ends.

    Args:
        name: an entry of `FEATURES`, `timm:NAME`, `torchvision:NAME`, or a path to a TorchScript file.
        device: where it runs.
        path: the safetensors file of an `own` net; ignored by the others.
        weights: a file of the user's weights, for nets that take one.

    Raises:
        SynthaugError: there is no such net, or its weights cannot be loaded.
    """
    from synthaug.device import resolve_device  # imports torch, which listing names must not

    check_features(name)
    if name == "own":
        return FEATURES.get("own")(path=path, device=device)
    if weights is not None and not takes_weights(name):
        raise SynthaugError(
            f"the net {name!r} takes no file of weights",
            f"use {', '.join(WITH_WEIGHTS)}, timm:NAME or torchvision:NAME",
        )
    return _load(name, str(resolve_device(device)), weights)


def features_for(
    name: str, train: LabelledImages | None, *, folder: Path | None = None, seed: int = 0, device: str = "auto",
    progress: Progress | None = None,
) -> FeatureNet:  # fmt: skip
    """Load a feature net as `load_features` does; train the net `own` if it is not there yet.

    Args:
        name: as for `load_features`.
        train: the real training images; only `own` uses them.
        folder: the run's folder, where `own` is kept, so that it is trained once.
        seed: of the training of `own`.
        device: where it runs.
        progress: where to report the training.

    Raises:
        SynthaugError: there is no such net, its weights cannot be loaded, or `own` has no training images.
    """
    check_features(name)
    if name != "own":
        return load_features(name, device=device)
    file = folder / SELF_TRAINED_FILE if folder is not None else None
    if file is not None and file.is_file():
        return load_features("own", device=device, path=file)
    if train is None:
        raise SynthaugError(
            "the feature net 'own' is trained on the training images, and there are none here", "use efficientnet_lite0"
        )
    from synthaug.features import self_trained

    net = self_trained.train_features(train, seed=seed, device=device, progress=progress)
    if file is not None:
        with suppress(OSError):  # the run may not be writable
            self_trained.save(net, file)
    return net


@lru_cache(maxsize=4)
def _load(name: str, device: str, weights: Path | None) -> FeatureNet:
    import torch

    given = {} if weights is None else {"weights": weights}
    with torch.random.fork_rng(devices=[]):  # timm and torchvision draw initial weights from the global state
        if name in FEATURES:
            return FEATURES.get(name)(device=device, **given)
        prefix, _, rest = name.partition(":")
        if prefix in _OPEN:
            from synthaug.features import pretrained

            return pretrained.load(prefix, rest, device=device, **given)
        from synthaug.features import torchscript

        return torchscript.load(Path(name), device=device)
