"""Classifiers that judge whether synthetic images help: the table behind `--classifier`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from synthaug.registry import Registry

if TYPE_CHECKING:
    from synthaug.classifiers.base import Classifier

CLASSIFIERS: Registry[type[Classifier]] = Registry(
    "classifiers",
    {
        "cnn": "synthaug.classifiers.cnn:Cnn",
        "logistic": "synthaug.classifiers.logistic:Logistic",
        "resnet18": "synthaug.classifiers.resnet:ResNet18",
        "resnet18-imagenet": "synthaug.classifiers.resnet:ResNet18ImageNet",
    },
)
FEATURE_SPACE = "logistic"
"""The entry that learns on frozen features, and so can interpolate between images (the arm `smote`)."""


def is_file(name: str) -> bool:
    """Whether a classifier's name means a file rather than an entry of the table."""
    return name.endswith(".py") or "/" in name or "\\" in name


def check_classifier(name: str) -> str:
    """Return the name of an entry of the table as it is, and that of a Python file of the user's as a full path.

    Raises:
        SynthaugError: there is no such entry, or the file is missing, fails, or holds no classifier.
    """
    if not is_file(name):
        return CLASSIFIERS.check(name)
    from synthaug.classifiers.user_file import check_file  # imports torch, which a misspelt name must not wait for

    return str(check_file(name))


def make_classifier(name: str) -> Callable[..., Classifier]:
    """A function of `device` that makes a classifier; `name` comes from `check_classifier`."""
    if not is_file(name):
        return CLASSIFIERS.get(name)
    from synthaug.classifiers.user_file import factory

    return factory(Path(name))


def takes_steps(name: str) -> bool:
    """Whether the classifier trains for a number of optimiser steps."""
    return not is_file(name) and CLASSIFIERS.get(name).uses_steps


def native_side(name: str) -> int:
    """The side of the images that the classifier is given at native size (`Classifier.native_side`)."""
    if not is_file(name):
        return CLASSIFIERS.get(name).native_side
    from synthaug.classifiers.user_file import FileClassifier

    return FileClassifier.native_side
