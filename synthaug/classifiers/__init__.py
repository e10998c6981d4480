"""Classifiers that judge whether synthetic images help: the table behind `--classifier`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthaug.errors import SynthaugError
from synthaug.registry import Registry

if TYPE_CHECKING:
    from synthaug.classifiers.base import Ability, Classifier

CLASSIFIERS: Registry[type[Classifier]] = Registry(
    "classifiers",
    {
        "cnn": "synthaug.classifiers.cnn:Cnn",
        "finetune": "synthaug.classifiers.finetune:Finetune",
        "finetune-full": "synthaug.classifiers.finetune:FinetuneFull",
        "logistic": "synthaug.classifiers.logistic:Logistic",
        "resnet18": "synthaug.classifiers.resnet:ResNet18",
    },
)
FEATURE_SPACE = ("finetune", "logistic")
"""The entries that learn on frozen features. Their trials share these and run in one process."""
PRETRAINED = ("finetune", "finetune-full")
"""The entries that take the name of a net (`finetune:NET`) and a file of weights (`finetune:NET@FILE`)."""
_OLD_NAMES = {"resnet18-imagenet": "finetune-full:torchvision:resnet18"}


def is_file(name: str) -> bool:
    """Whether a classifier's name means a file rather than an entry of the table."""
    return entry(name) not in PRETRAINED and (name.endswith(".py") or "/" in name or "\\" in name)


def entry(name: str) -> str:
    """The entry of the table that a name begins with.

    >>> entry("finetune:timm:resnet18@weights.pth"), entry("cnn")
    ('finetune', 'cnn')
    """
    return name.partition("@")[0].partition(":")[0]


def full_name(name: str, weights: Path | None = None) -> str:
    """Return a classifier's name with its file of weights. Only names are checked: this imports no torch.

    Raises:
        SynthaugError: there is no such entry or net, or `weights` are given to a classifier that takes none.
    """
    from synthaug.features import check_features, takes_weights

    name = _OLD_NAMES.get(name, name)
    if not is_file(name):
        CLASSIFIERS.check(entry(name) if ":" in name else name)
        if ":" in name and entry(name) not in PRETRAINED:
            raise SynthaugError(f"the classifier {entry(name)!r} takes no net: {name!r}", f"use {entry(name)}")
    net = net_of(name)
    if net is not None and check_features(net) == "own":
        raise SynthaugError(f"{name!r} names a net that belongs to a run", "use logistic, or another net")
    if weights is None:
        return name
    if entry(name) not in PRETRAINED or (net is not None and not takes_weights(net)):
        raise SynthaugError(
            f"--weights {str(weights)!r} was given, and the classifier {name!r} takes none",
            "use --classifier finetune, or name a net: finetune:timm:NAME, finetune:torchvision:NAME",
        )
    return f"{name}@{weights}"


def net_of(name: str) -> str | None:
    """The net that a full name gives; None: the classifier's own."""
    return name.partition("@")[0].partition(":")[2] or None


def weights_of(name: str) -> Path | None:
    """The file of weights that a full name gives."""
    file = name.partition("@")[2]
    return Path(file) if file and entry(name) in PRETRAINED else None


def check_classifier(name: str, weights: Path | None = None) -> str:
    """Return a classifier's full name: with a file's full path, and with its weights.

    A pretrained net is loaded, so that weights that are missing are noticed before anything slow begins.

    Raises:
        SynthaugError: there is no such entry or net, or a file is missing, fails, or holds no classifier or weights.
    """
    if weights is not None:
        from synthaug.features.weights_file import check_file as check_weights

        weights = check_weights(weights)
    name = full_name(name, weights)
    if is_file(name):
        from synthaug.classifiers.user_file import check_file  # imports torch, which a misspelt name must not wait for

        return str(check_file(name))
    if entry(name) in PRETRAINED:
        from synthaug.classifiers.finetune import NET
        from synthaug.features import load_features

        load_features(net_of(name) or NET, device="cpu", weights=weights_of(name))
    return name


def make_classifier(name: str) -> Callable[..., Classifier]:
    """A function of `device` that makes a classifier; `name` comes from `check_classifier`."""
    if is_file(name):
        from synthaug.classifiers.user_file import factory

        return factory(Path(name))
    kind = CLASSIFIERS.get(entry(name))
    if entry(name) not in PRETRAINED:
        return kind
    options: dict[str, Any] = {"net": net_of(name), "weights": weights_of(name)}
    return partial(kind, **{option: value for option, value in options.items() if value is not None})


def in_feature_space(name: str) -> bool:
    """Whether the classifier learns on frozen features, which its trials share."""
    return entry(name) in FEATURE_SPACE


def supported(name: str) -> frozenset[Ability]:
    """What the classifier can do beside weighing and augmenting images; nothing if it does not say so."""
    return frozenset() if is_file(name) else getattr(CLASSIFIERS.get(entry(name)), "supports", frozenset())


def takes_steps(name: str) -> bool:
    """Whether the classifier trains for a number of optimiser steps."""
    return not is_file(name) and CLASSIFIERS.get(entry(name)).uses_steps


def native_side(name: str) -> int:
    """The side of the images that the classifier is given at native size (`Classifier.native_side`)."""
    if not is_file(name):
        return CLASSIFIERS.get(entry(name)).native_side
    from synthaug.classifiers.user_file import FileClassifier

    return FileClassifier.native_side
