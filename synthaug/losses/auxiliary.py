"""What an auxiliary head is: it reads more from the discriminator's features than real or generated."""

from __future__ import annotations

from torch import Tensor, nn

from synthaug.models.codes import Codes


class AuxiliaryHead(nn.Module):
    """A head that both networks are trained to satisfy.

    The discriminator gets its loss, so that head and features learn. The generator gets it on generated images.

    Args:
        features: size of the discriminator's features.
        classes: number of classes.
        codes: what the first entries of z mean.
    """

    on_real: bool = False  # whether real images teach the head too
    conditional: bool = False  # whether its loss is about the class, and so fades in with the class condition

    def __init__(self, features: int, classes: int, codes: Codes) -> None:
        super().__init__()

    def loss(self, features: Tensor, y: Tensor, z: Tensor | None) -> Tensor:
        """Return a scalar.

        Args:
            features: float[B, F].
            y: the labels, int64[B].
            z: the noise that the images were made from, float[B, z_dim]; None for real images.
        """
        raise NotImplementedError
