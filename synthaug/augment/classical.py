"""TrivialAugment on batches of tensors: the classical augmentation of the controls.

Every image gets one operation, drawn uniformly, at a strength drawn uniformly [arXiv:2103.10158, Müller & Hutter 2021].
Operations and ranges are the paper's "RA" space. Lengths are relative to the image's side, so that a strength has the
same effect at 16 px and at 128 px. There are no flips, because a mirrored image may belong to another class; where the
generator mirrors images, `evaluation.mirrors` does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from synthaug.data.colour import LUMINANCE

OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast",
    "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
_SHEAR = 0.3
_TRANSLATE = 10 / 32  # of the side: the paper's 10 pixels of CIFAR
_ROTATE = math.radians(30)
_ENHANCE = 0.9
_MIN_BITS = 4
_GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")


def trivial_augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Augment a batch.

    Args:
        pixels: uint8 [N, C, H, W], C 1 or 3.
        generator: a CPU generator; three numbers are drawn for each image.

    Returns:
        float32 [N, C, H, W] in [0, 255], on the device of `pixels`.
    """
    n, device = len(pixels), pixels.device
    operation = torch.randint(len(OPERATIONS), (n,), generator=generator)
    strength = torch.rand(n, generator=generator)
    sign = torch.rand(n, generator=generator).round() * 2 - 1
    images = _warp(pixels.float(), operation, (strength * sign).to(device))
    for index, name in enumerate(OPERATIONS):
        if name in _PHOTOMETRIC:
            chosen = (operation == index).nonzero()[:, 0]
            if len(chosen):
                rows = chosen.to(device)
                level = strength[chosen].view(-1, 1, 1, 1).to(device)
                factor = 1 + _ENHANCE * (strength * sign)[chosen].view(-1, 1, 1, 1).to(device)
                images[rows] = _PHOTOMETRIC[name](images[rows], factor if name in _ENHANCERS else level).clamp_(0, 255)
    return images


def _warp(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Shear, shift or rotate the images with such an operation, in one resampling; border pixels are repeated."""
    chosen = torch.isin(operation, torch.tensor([OPERATIONS.index(name) for name in _GEOMETRIC])).nonzero()[:, 0]
    if not len(chosen):
        return images
    rows = chosen.to(images.device)
    drawn, amount = operation.to(images.device)[rows], amount[rows]

    def of(name: str, size: float) -> Tensor:
        return torch.where(drawn == OPERATIONS.index(name), amount * size, torch.zeros_like(amount))

    angle = of("rotate", _ROTATE)
    matrix = torch.zeros(len(rows), 2, 3, device=images.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 0, 1] = of("shear_x", _SHEAR) - angle.sin()
    matrix[:, 1, 0] = of("shear_y", _SHEAR) + angle.sin()
    matrix[:, 0, 2] = of("translate_x", 2 * _TRANSLATE)  # the sampling grid's side is 2
    matrix[:, 1, 2] = of("translate_y", 2 * _TRANSLATE)
    picked = images[rows]
    grid = functional.affine_grid(matrix, list(picked.shape), align_corners=False)
    images[rows] = functional.grid_sample(picked, grid, padding_mode="border", align_corners=False)
    return images


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(LUMINANCE, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def _brightness(images: Tensor, factor: Tensor) -> Tensor:
    return images * factor


def _color(images: Tensor, factor: Tensor) -> Tensor:
    return images.lerp(_grey(images).expand_as(images), 1 - factor)


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    return images.lerp(_grey(images).mean((1, 2, 3), keepdim=True).expand_as(images), 1 - factor)


def _sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed copy (PIL's SMOOTH kernel); the border is not smoothed."""
    channels = images.shape[1]
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5
    kernel = (kernel / kernel.sum()).expand(channels, 1, 3, 3)
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = functional.conv2d(images, kernel, groups=channels)
    return images.lerp(smooth, 1 - factor)


def _posterize(images: Tensor, level: Tensor) -> Tensor:
    step = 2 ** ((8 - _MIN_BITS) * level).round()
    return (images / step).floor() * step


def _solarize(images: Tensor, level: Tensor) -> Tensor:
    return torch.where(images >= 256 * (1 - level), 255 - images, images)


def _autocontrast(images: Tensor, level: Tensor) -> Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) * (255 / (high - low).clamp_min(1e-6)), images)


def _equalize(images: Tensor, level: Tensor) -> Tensor:
    """Give each channel a flat histogram (PIL's `ImageOps.equalize`: the lookup skips the brightest level's pixels)."""
    n, c, h, w = images.shape
    flat = images.round().clamp(0, 255).long().view(n * c, h * w)
    ones = torch.ones_like(flat, dtype=torch.float32)
    histogram = torch.zeros(n * c, 256, device=images.device).scatter_add_(1, flat, ones)
    brightest = histogram.gather(1, flat.amax(1, keepdim=True))
    step = ((h * w - brightest) / 255).floor()
    table = ((histogram.cumsum(1) - histogram + (step / 2).floor()) / step.clamp_min(1)).floor().clamp_(0, 255)
    equal = table.gather(1, flat)
    return torch.where(step > 0, equal, flat.float()).view(n, c, h, w)


_ENHANCERS = ("brightness", "color", "contrast", "sharpness")
_PHOTOMETRIC = {
    "brightness": _brightness, "color": _color, "contrast": _contrast, "sharpness": _sharpness, "posterize": _posterize,
    "solarize": _solarize, "autocontrast": _autocontrast, "equalize": _equalize,
}  # fmt: skip
