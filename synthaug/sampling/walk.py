"""Walks through the inputs of a generator: from one noise to another, and from one class to another."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from synthaug.errors import SynthaugError
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Generator


def slerp(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """Spherical interpolation, float[T, d]: (sin((1 − t) Ω) start + sin(t Ω) end) / sin Ω (1609.04468, after Shoemake).

    Ω is the angle between start and end, float[d] each; t are the shares of the way, float[T]. Noise of many dimensions
    lies near a sphere; a straight line would leave it.

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.5, 1.0]))
    tensor([[1.0000, 0.0000],
            [0.7071, 0.7071],
            [0.0000, 1.0000]])
    """
    one, other, t = start.double(), end.double(), shares.double()[:, None]
    angle = torch.arccos((one @ other / (one.norm() * other.norm())).clamp(-1, 1))
    if angle.sin() < 1e-6:  # both on one line through the centre: there is no shortest arc
        return torch.lerp(one, other, t).to(start.dtype)
    path = ((1 - t) * angle).sin() / angle.sin() * one + (t * angle).sin() / angle.sin() * other
    return path.to(start.dtype)


def between(network: Generator, one: int, other: int, shares: Sequence[float]) -> Generator:
    """A copy of a generator with new classes: class k is at the share `shares[k]` of the way from `one` to `other`.

    Classes differ by their embeddings alone. So the new class k has, in every embedding of the network, a row between
    the two rows. This works for any family.

    Raises:
        SynthaugError: the network embeds no classes.
    """
    mixed = copy.deepcopy(network)
    embeddings = [(name, module) for name, module in mixed.named_modules() if isinstance(module, nn.Embedding)]
    if not embeddings:
        raise SynthaugError("this family has no class embeddings to walk between", "walk through noise: --along noise")
    for name, module in embeddings:
        weight = module.weight.detach()
        t = torch.tensor(shares, dtype=weight.dtype, device=weight.device)[:, None]
        rows = torch.lerp(weight[one].expand(len(shares), -1), weight[other].expand(len(shares), -1), t)
        embedding = ClassEmbedding(len(rows), rows.shape[1], rows).requires_grad_(False)
        if isinstance(module, ClassEmbedding):
            embedding.attributes = module.attributes
        parent, _, attribute = name.rpartition(".")
        setattr(mixed.get_submodule(parent), attribute, embedding)
    return mixed
