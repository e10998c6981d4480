"""The embedding of a class, and of what else a network is told about an image: the attributes of `fit --condition`."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm


class ClassEmbedding(nn.Embedding):
    """The embedding of the class, float[B, features], plus that of the attributes of a run with conditions.

    y is int64[B]; after `add_attributes`, float[B, 1 + A]: the class, then the attributes. In a projection (1802.05637)
    a sum of embeddings is a sum of projections.
    """

    attributes: nn.Sequential | None

    def __init__(self, classes: int, features: int, weight: Tensor | None = None) -> None:
        super().__init__(classes, features, _weight=weight)
        self.register_module("attributes", None)

    def add_attributes(self, count: int) -> None:
        """Embed so many attributes as well, by two layers; under spectral norm if the classes are."""
        layers = [nn.Linear(count, self.embedding_dim), nn.Linear(self.embedding_dim, self.embedding_dim)]
        nn.init.normal_(layers[0].weight)  # one entry of 1 gives features of unit variance, as a class does
        nn.init.kaiming_normal_(layers[1].weight)
        for layer in layers:
            nn.init.zeros_(layer.bias)
            if parametrize.is_parametrized(self, "weight"):
                spectral_norm(layer)
        self.attributes = nn.Sequential(layers[0], nn.ReLU(), layers[1])

    def forward(self, y: Tensor) -> Tensor:
        if self.attributes is None:
            return super().forward(y)
        embedded: Tensor = super().forward(classes_of(y)) + self.attributes(y[:, 1:])
        return embedded


def classes_of(y: Tensor) -> Tensor:
    """The classes int64[B] in y: int64[B], or float[B, 1 + A] with attributes."""
    return y if y.ndim == 1 else y[:, 0].long()


def add_attributes(networks: Iterable[nn.Module], count: int) -> None:
    """Let all class embeddings of some networks embed so many attributes as well."""
    for network in networks:
        for module in network.modules():
            if isinstance(module, ClassEmbedding):
                module.add_attributes(count)
