"""Inception-v3, the net of the FID literature: torch-fidelity's port of the 2015 TensorFlow weights, 2048 features.

Needs `pip install synthaug[inception]` and, once, a network for the weights (91 MB). Without torch-fidelity it falls
back to torchvision's Inception-v3, whose scores differ from those of the literature; the report gives the net's name.
The net enlarges images to 299 px as TensorFlow 1 did, so that scores can be compared with published ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from synthaug.device import resolve_device
from synthaug.features.base import TorchFeatureNet, hash_weights
from synthaug.features.pretrained import cannot_download
from synthaug.features.pretrained import load as load_pretrained


class _TakesGreyLevels(nn.Module):
    """Adapts torch-fidelity's extractor, which takes uint8 images and returns a tuple."""

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.extractor(x.round().to(torch.uint8))[0]
        return features


def load(device: str = "auto") -> TorchFeatureNet:
    """Load the net.

    Raises:
        SynthaugError: the weights are not in the cache and cannot be downloaded.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        return replace(load_pretrained("torchvision", "inception_v3", device=device), name="inception-torchvision")
    try:
        extractor = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    except (OSError, RuntimeError) as error:
        raise cannot_download("inception", error) from error
    head = nn.Linear(2048, extractor.fc.out_features, bias=False)  # the Inception score is defined without the bias
    head.weight = extractor.fc.weight
    return TorchFeatureNet(
        name="inception", sha256=hash_weights(extractor.state_dict()), dim=2048, module=_TakesGreyLevels(extractor),
        mean=(0.0, 0.0, 0.0),
        std=(1 / 255, 1 / 255, 1 / 255),  # back to grey levels
        device=resolve_device(device), head=head,
    )  # fmt: skip
