"""What a training ran with and on."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from synthaug.registry import plug_ins
from synthaug.version import __version__


def environment(device: torch.device, precision: str) -> dict[str, Any]:
    """Versions, plug-ins, device and command, for `environment.json`."""
    packages = {}
    for package in ("torch", "torchvision", "lightning-fabric", "numpy", "pillow", "scikit-learn", "timm", "wordllama"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "not installed"
    return {
        "synthaug": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": sys.argv,
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor(),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "packages": packages,
        "plug_ins": plug_ins(),
    }
