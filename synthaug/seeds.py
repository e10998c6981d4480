"""Random streams, and seeds that are derived from other seeds; no two uses share a stream.

Runs, exports and verdicts depend on these numbers, so a formula here must never change.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

# What a stream is for: the last argument of `stream`.
AGREEMENT_FOLDS = 1
CLASSIFIER_DRAWS = 0x0D
SELF_TRAINED_FEATURES = 0x0F
FEWER_REAL_IMAGES = 0x1C
SYNTHETIC_POOL = 0x5E
TEST_GROUPS = 0xB0
TEST_GROUPS_OF_AN_ARM = 0xB1
LEARNING_CURVE = 0xC0
SPLIT = 0x5E11


def stream(seed: int, *what: int) -> np.random.Generator:
    """A NumPy generator that depends on a seed and on what it is for.

    >>> stream(0, SPLIT).random() == stream(0, SPLIT).random()
    True
    >>> stream(0, SPLIT).random() == stream(0, LEARNING_CURVE).random()
    False
    """
    return np.random.default_rng([seed, *what])


def named_stream(seed: int, name: str) -> np.random.Generator:
    """A NumPy generator that depends on a seed and on a name, such as that of a metric."""
    return stream(seed, zlib.crc32(name.encode()))


def step_generator(seed: int, *what: int | str) -> torch.Generator:
    """A CPU generator whose draws depend on (seed, what) alone: what a training step draws from."""
    digest = hashlib.sha256(repr((seed, *what)).encode()).digest()
    return _torch_generator(int.from_bytes(digest[:7], "little"))


def attempt_seed(seed: int, attempt: int) -> int:
    """The seed of the training steps, 31 bits: the run's own until the first rollback, another one after each.

    >>> attempt_seed(7, 0)
    7
    >>> attempt_seed(7, 1) == attempt_seed(7, 2)
    False
    """
    if attempt == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed} attempt {attempt}".encode()).digest()[:4], "little") >> 1


def image_seed(seed: int, class_index: int, index: int) -> int:
    """The seed of one image's noise, hashed so that neighbouring seeds, classes and indices are unrelated.

    Of its 63 bits torch's CPU generator uses 32: of 100,000 images of a class about one pair has the same noise.

    >>> image_seed(0, 1, 2) != image_seed(0, 2, 1)
    True
    """
    return _blake2b(f"synthaug noise {seed} {class_index} {index}".encode(), 8) >> 1


def look_draw(seed: int, class_index: int, index: int) -> int:
    """The number by which an exported image chooses its look; unrelated to its noise."""
    return image_seed(seed, class_index, index) // 7


def pilot_seed(seed: int) -> int:
    """The seed of the samples on which rejection sampling is calibrated; no exported image shares it."""
    return image_seed(seed, -1, 0)


def check_seed(seed: int) -> int:
    """The seed of the images that `check` generates: not those of an export or of the monitor. 31 bits."""
    return _blake2b(f"check {seed}".encode(), 4) >> 1


def evaluation_seed(seed: int) -> int:
    """The seed of the images that `evaluate` generates: not those of an export. 31 bits."""
    return _blake2b(f"evaluate {seed}".encode(), 4) >> 1


def augmentation_generator(seed: int) -> torch.Generator:
    """Augmentation of a classifier's training images; its weights and its draws have other streams."""
    return _torch_generator(seed ^ 0x5EED)


def copy_generator(image: NDArray[np.uint8], copy: int) -> torch.Generator:
    """Augmentation of one copy of an image; depends on the pixels and on the number of the copy (1 to 255)."""
    return _torch_generator(_blake2b(image.tobytes() + bytes([copy, 0xA6]), 8) >> 1)


def coin(image: NDArray[np.uint8]) -> float:
    """A number in [0, 1) that depends on an image's pixels alone; uniform over images."""
    return _blake2b(image.tobytes(), 8, person=b"synthaug coin") / 2**64


def subset_order(seed: int, path: str) -> bytes:
    """A sort key: the first n images in its order are a random subset, which stays when other images come or go."""
    return hashlib.sha256(f"{seed} {path}".encode()).digest()


def _blake2b(data: bytes, size: int, person: bytes = b"") -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=size, person=person).digest(), "big")


def _torch_generator(seed: int) -> torch.Generator:
    import torch  # scans and splits need no torch, and it takes seconds to import

    return torch.Generator().manual_seed(seed)
