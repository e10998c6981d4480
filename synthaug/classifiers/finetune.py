"""A pretrained net as the classifier, as users have one: a layer trained on its frozen features, or all of it trained.

The net is `efficientnet_lite0` or another one, as in `finetune:mobilenet_v2`, with its own weights or a user's file. It
sees images at their side, enlarged to 96 px or reduced to 224 px if they are outside of that range.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from typing_extensions import Self

from synthaug.classifiers.base import Ability, Augment, Labels, Pixels, Probabilities, Weights, check_training_input
from synthaug.classifiers.logistic import RememberedFeatures
from synthaug.classifiers.losses import LOSSES, Loss, priors_of
from synthaug.classifiers.smote import interpolate, require_smote
from synthaug.classifiers.steps import (
    BATCH_SIZE,
    Logits,
    StepClassifier,
    check_steps,
    draws,
    initialise,
    rates,
)
from synthaug.classifiers.weights import copies
from synthaug.device import has_bf16, resolve_device
from synthaug.errors import SynthaugError
from synthaug.features import load_features
from synthaug.features.base import TorchFeatureNet
from synthaug.features.standardised import Standardiser
from synthaug.progress import Progress
from synthaug.seeds import AUGMENTED_VIEWS, stream

NET = "efficientnet_lite0"
SMALLEST_SIDE, NATIVE_SIDE = 96, 224
"""The last layers of such nets have 3 × 3 positions at 96 px; most are made for 224 px."""
Floats = npt.NDArray[np.float32]


def feature_net(
    net: str = NET, weights: Path | None = None, *, side: int, device: str = "auto", bf16: bool = True
) -> TorchFeatureNet:
    """The net, for square images of `side` px.

    Args:
        net: as for `load_features`.
        weights: a file of the user's weights in place of the net's own.
        side: of the images; they are resized if it is outside of 96 to 224 px, or if the net accepts one size only.
        device: where it runs.
        bf16: compute in bfloat16 where that is faster.

    Raises:
        SynthaugError: there is no such net, or its weights are missing or do not fit.
    """
    found = load_features(net, device=device, weights=weights)
    if not isinstance(found, TorchFeatureNet):
        raise SynthaugError(f"the feature net {net!r} is no torch module, and cannot be fine-tuned", "use another net")
    exact = found.exact_side or min(max(side, SMALLEST_SIDE), NATIVE_SIDE)
    return replace(found, exact_side=exact, bf16=bf16 and has_bf16(found.device))


class Finetune:
    """A linear layer on the frozen features of a pretrained net: fast, and strong on little data.

    The features of each image are computed once, and so are those of its augmented copies (`copies`), which stand for
    augmentation in each step.

    Args:
        device: where it runs.
        net: the pretrained net.
        weights: a file of the user's weights in place of the net's own.
        side: of the net's input, in pixels; None: that of the images, from 96 to 224.
        features: a net to use instead of loading one (shared between trials).
    """

    uses_steps: ClassVar[bool] = True
    native_side: ClassVar[int] = NATIVE_SIDE
    supports: ClassVar[frozenset[Ability]] = frozenset({"smote", "logit-adjusted", "focal"})
    learning_rate: ClassVar[float] = 3e-4

    def __init__(
        self, *, device: str = "auto", net: str = NET, weights: Path | None = None, side: int | None = None,
        features: RememberedFeatures | None = None,
    ) -> None:  # fmt: skip
        self.device, self.net, self.weights, self.side, self.features = device, net, weights, side, features

    def remembered(self, side: int, progress: Progress | None = None) -> RememberedFeatures:
        """The net for images of `side` px, for all trials on them."""
        net = feature_net(self.net, self.weights, side=self.side or side, device=self.device)
        return RememberedFeatures(net, progress)

    def fit(
        self, pixels: Pixels, labels: Labels, draw_weights: Weights, *, num_classes: int,
        loss_weights: Weights | None = None, steps: int = 600, seed: int = 0, augment: Augment = "none",
        groups: Labels | None = None, loss: Loss = "cross-entropy", smote: bool = False,
    ) -> Self:  # fmt: skip
        check_training_input(pixels, labels, draw_weights, num_classes)
        check_steps(steps)
        if smote:
            require_smote()
        if self.features is None:
            self.features = self.remembered(pixels.shape[2])
        groups = np.arange(len(pixels)) if groups is None else groups
        rows = self.features(pixels)
        real = rows[(groups >= 0) & (draw_weights > 0)]
        self._scaler = Standardiser().fit(real)
        if augment == "classical":
            copied = copies(np.asarray(draw_weights, np.float64), labels, groups)
            rows = np.concatenate([rows, self.features.of_copies(pixels, copied)])
        else:
            copied = np.zeros(0, np.int64)
        rows, targets = self._scaled(rows), np.concatenate([labels, labels[copied]])
        if smote:
            used = draw_weights > 0
            rows, targets = interpolate(rows[used], labels[used], seed)
            picked = draws(np.ones(len(rows)), steps, BATCH_SIZE, seed)
        else:
            picked = one_view(draws(draw_weights, steps, BATCH_SIZE, seed), copied, len(pixels), seed)
        priors = priors_of(labels, draw_weights, num_classes)
        self._head = train_head(
            rows, targets, picked, priors, loss_weights, loss, self.learning_rate, resolve_device(self.device)
        )
        return self

    def predict_proba(self, pixels: Pixels) -> Probabilities:
        if self.features is None:
            raise RuntimeError("predict_proba before fit")
        rows = torch.from_numpy(self._scaled(self.features(pixels)))
        with torch.inference_mode():
            given: Probabilities = self._head(rows).softmax(1).numpy()
        return given

    def _scaled(self, rows: Floats) -> Floats:
        scaled: Floats = self._scaler.transform(rows)
        return scaled


def one_view(drawn: Labels, copied: Labels, images: int, seed: int) -> Labels:
    """Replace each drawn image by itself or one of its augmented copies, all equally often.

    Args:
        drawn: indices of images.
        copied: the image of each copy. Row `images` + i of the features is copy i.
        images: their number.
        seed: equal seeds choose the same, for any images.

    Returns:
        Rows of the features, of the shape of `drawn`.
    """
    image_of = np.concatenate([np.arange(images), copied])
    rows = np.argsort(image_of, kind="stable")
    views = np.bincount(image_of, minlength=images)
    first = np.cumsum(views) - views
    chance = stream(seed, AUGMENTED_VIEWS).random(drawn.shape)
    chosen: Labels = rows[first[drawn] + (chance * views[drawn]).astype(np.int64)]
    return chosen


def train_head(
    rows: Floats, labels: Labels, picked: Labels, priors: Weights, loss_weights: Weights | None, loss: Loss,
    learning_rate: float, device: torch.device,
) -> nn.Linear:  # fmt: skip
    """A linear layer, from zero: AdamW without weight decay, cosine decay to zero. It is returned on the CPU.

    Args:
        rows: features [R, d], standardised.
        labels: [R].
        picked: [steps, B], rows of each step.
        priors: [K], share of the draws of each class.
        loss_weights: [K], factor of each class's loss; None: all 1.
        loss: an entry of `LOSSES`.
        learning_rate: the highest.
        device: where it is trained.
    """
    with torch.device("meta"):  # a module's own initialisation would draw from the global state
        head = nn.Linear(rows.shape[1], len(priors))
    head = head.to_empty(device=device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    inputs, targets, batches = (torch.from_numpy(array).to(device) for array in (rows, labels, picked))
    weight = None if loss_weights is None else torch.tensor(loss_weights, dtype=torch.float32, device=device)
    shares = torch.tensor(priors, dtype=torch.float32, device=device)
    optimiser = torch.optim.AdamW(
        head.parameters(), lr=learning_rate, weight_decay=0.0, fused=device.type in ("cpu", "cuda")
    )
    for batch, rate in zip(batches, rates(len(batches)), strict=True):
        optimiser.param_groups[0]["lr"] = learning_rate * rate
        error = LOSSES[loss](head(inputs[batch]), targets[batch], shares, weight)
        optimiser.zero_grad(set_to_none=True)
        error.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return head.cpu().requires_grad_(False)


class FinetuneFull(StepClassifier):
    """All layers of a pretrained net trained, the pretrained ones at a tenth of the new layer's rate: slow on a CPU.

    Args:
        device: where it runs.
        net: the pretrained net.
        weights: a file of the user's weights in place of the net's own.
        side: of the net's input, in pixels; None: that of the images, from 96 to 224.
    """

    native_side: ClassVar[int] = 128  # what a CPU can afford
    learning_rate = 1e-3

    def __init__(
        self, *, device: str = "auto", net: str = NET, weights: Path | None = None, side: int | None = None
    ) -> None:
        super().__init__(device=device)
        self.net, self.weights, self.side = net, weights, side

    def _build(self, channels: int, resolution: int, num_classes: int, seed: int) -> nn.Module:
        net = feature_net(self.net, self.weights, side=self.side or resolution, device=self.device, bf16=False)
        return _Trainable(net, num_classes, seed)


class _Trainable(nn.Module):
    """A pretrained trunk with a new last layer, for images in [-1, 1]."""

    def __init__(self, net: TorchFeatureNet, num_classes: int, seed: int) -> None:
        super().__init__()
        self._net = net
        self.trunk = copy.deepcopy(net.module).requires_grad_(True)
        depthwise = any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in net.module.modules())
        self._float32 = depthwise and net.device.type == "cpu"  # their gradients take twice as long in bfloat16 there
        with torch.device("meta"):
            self.head = Logits(net.dim, num_classes)
        self.head.to_empty(device="cpu")
        initialise(self.head, torch.Generator().manual_seed(seed))

    def train(self, mode: bool = True) -> Self:
        """Batch norms keep the statistics of the pretraining: those of 64 images at a time are noisier."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        inputs = self._net.normalised((images + 1) / 2)
        with torch.autocast(images.device.type, enabled=torch.is_autocast_enabled() and not self._float32):
            features = self.trunk(inputs)
        logits: Tensor = self.head(features)
        return logits
