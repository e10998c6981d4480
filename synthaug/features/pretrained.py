"""Any classification net of timm (`timm:NAME`) or torchvision (`torchvision:NAME`) as a feature net.

Its default weights are downloaded on first use into the cache of the Hugging Face hub or of torch.hub.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import timm
import torch
import torchvision
from torch import nn

from synthaug.device import resolve_device
from synthaug.errors import SynthaugError, suggest
from synthaug.features import weights_file
from synthaug.features.base import TorchFeatureNet, hash_weights


def load(library: str, name: str, *, device: str = "auto", weights: Path | None = None) -> TorchFeatureNet:
    """Load `name` from `library` ("timm" or "torchvision") without its classifier.

    Small images are enlarged to 96 px or, for nets that accept one size only (transformers), to that size. `weights` is
    a file of the user's weights in place of the default ones.

    Raises:
        SynthaugError: the library has no such net, or its weights cannot be downloaded or do not fit.
    """
    return _from_timm(name, device, weights) if library == "timm" else _from_torchvision(name, device, weights)


def _from_timm(name: str, device: str, weights: Path | None) -> TorchFeatureNet:
    if not timm.is_model(name.partition(".")[0]):
        raise SynthaugError(f"timm has no net {name!r}", suggest(name, timm.list_models(pretrained=True)))
    with _offline_without_network():
        try:
            net: Any = timm.create_model(name, pretrained=weights is None, num_classes=0)
        except Exception as error:  # the hub's and timm's own errors have no common base
            raise cannot_download(f"timm:{name}", error) from error
    if weights is not None:
        weights_file.put_into(net, weights_file.read(weights), weights, f"timm:{name}")
    resolve: Any = timm.data.resolve_model_data_config  # type: ignore[attr-defined]  # timm's __init__ lists no names
    data = resolve(net)
    fixed = bool(data.get("fixed_input_size")) or hasattr(net, "patch_embed")
    channels, side = int(data["input_size"][0]), int(data["input_size"][1])
    return TorchFeatureNet(
        name=f"timm:{name}", sha256=hash_weights(net.state_dict()), dim=int(net.num_features), module=net,
        channels=channels, mean=tuple(data["mean"]), std=tuple(data["std"]), min_side=min(96, side),
        exact_side=side if fixed else None, device=resolve_device(device),
    )  # fmt: skip


def _from_torchvision(name: str, device: str, file: Path | None) -> TorchFeatureNet:
    names = torchvision.models.list_models(module=torchvision.models)
    if name.lower() not in names:
        raise SynthaugError(f"torchvision has no classification net {name!r}", suggest(name, names))
    weights = torchvision.models.get_model_weights(name)["DEFAULT"]
    try:
        net = torchvision.models.get_model(name, weights=weights if file is None else None)
    except (OSError, RuntimeError) as error:
        raise cannot_download(f"torchvision:{name}", error) from error
    take_off_head(net, name)
    if file is not None:
        weights_file.put_into(net, weights_file.read(file), file, f"torchvision:{name}")
    preset = weights.transforms()
    side = int(preset.crop_size[0])
    fixed = name.lower().startswith(("vit", "swin", "maxvit", "inception"))
    with torch.inference_mode():
        dim = int(net.eval()(torch.zeros(1, 3, side, side)).shape[1])
    return TorchFeatureNet(
        name=f"torchvision:{name}", sha256=hash_weights(net.state_dict()), dim=dim, module=net,
        mean=tuple(preset.mean), std=tuple(preset.std), min_side=min(96, side), exact_side=side if fixed else None,
        device=resolve_device(device),
    )  # fmt: skip


def take_off_head(net: nn.Module, name: str) -> None:
    """Remove the last linear layer, which is the classifier; its name differs between nets.

    Raises:
        SynthaugError: the net does not end in a linear layer.
    """
    linear = [path for path, m in net.named_modules() if isinstance(m, nn.Linear) and "aux" not in path.lower()]
    if not linear:
        raise SynthaugError(f"{name!r} does not end in a linear layer", "choose another feature net")
    parent, _, last = linear[-1].rpartition(".")
    setattr(net.get_submodule(parent), last, nn.Identity())


def cannot_download(name: str, error: BaseException) -> SynthaugError:
    """The error for weights that are in no cache and cannot be downloaded."""
    cause = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
    return SynthaugError(
        f"the weights of {name!r} cannot be downloaded: {cause}",
        "use efficientnet_lite0, which needs no network, or run once on a machine with a network and copy "
        "~/.cache/torch or ~/.cache/huggingface",
    )


@contextmanager
def _offline_without_network() -> Iterator[None]:
    """Without a network, let the hub use its cache only: its retries take a minute and print a page of warnings."""
    from huggingface_hub import constants

    logger = logging.getLogger("huggingface_hub")
    level, offline = logger.level, constants.HF_HUB_OFFLINE
    proxied = any(os.environ.get(key) for key in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"))
    if not proxied:
        try:
            socket.getaddrinfo(urlparse(constants.ENDPOINT).hostname, 443)
        except OSError:
            constants.HF_HUB_OFFLINE = True
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        constants.HF_HUB_OFFLINE = offline
