"""Classifiers that judge whether synthetic images help: the table behind `--classifier`."""

from __future__ import annotations

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
