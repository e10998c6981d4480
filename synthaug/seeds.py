"""Random streams, and seeds that are derived from other seeds. Each use has its own stream.

Runs, exports and verdicts depend on these numbers, so the formulas must never change.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

# The purpose of a stream: an argument of `stream`.
AGREEMENT_FOLDS = 1
CLASSIFIER_DRAWS = 0x0D
AUGMENTED_VIEWS = 0x0E
MIXING = 0x3D
MIXING_PARTNERS = 0x3E
SELF_TRAINED_FEATURES = 0x0F
FEWER_REAL_IMAGES = 0x1C
SYNTHETIC_POOL = 0x5E
TEST_GROUPS = 0xB0
TEST_GROUPS_OF_AN_ARM = 0xB1
LEARNING_CURVE = 0xC0
DETECTABLE = 0xD7
SOURCES = 0x50C
ATTRIBUTES = 0xA77
SPLIT = 0x5E11


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """A NumPy generator that depends on a seed and a purpose.

    >>> stream(0, SPLIT).random() == stream(0, SPLIT).random()
    True
    >>> stream(0, SPLIT).random() == stream(0, LEARNING_CURVE).random()
    False
    """
    return np.random.default_rng([seed, *purpose])


def named_stream(seed: int, name: str) -> np.random.Generator:
    """A NumPy generator that depends on a seed and a name, such as that of a metric."""
    return stream(seed, zlib.crc32(name.encode()))


def step_generator(seed: int, *purpose: int | str) -> torch.Generator:
    """The CPU generator of a training step, which depends on a seed and a purpose."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return _torch_generator(int.from_bytes(digest[:7], "little"))


def attempt_seed(seed: int, attempt: int) -> int:
    """The seed of the training steps, 31 bits: the run's seed at first, and a new one after each rollback.

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

    Torch's CPU generator uses 32 of its 63 bits: among 100,000 images of a class, about one pair has the same noise.

    >>> image_seed(0, 1, 2) != image_seed(0, 2, 1)
    True
    """
    return _blake2b(f"synthaug noise {seed} {class_index} {index}".encode(), 8) >> 1


def look_draw(seed: int, class_index: int, index: int) -> int:
    """The random number that selects the look of an exported image, independent of its noise."""
    return image_seed(seed, class_index, index) // 7


def pilot_seed(seed: int) -> int:
    """The seed of the samples on which rejection sampling is calibrated. No exported image uses it."""
    return image_seed(seed, -1, 0)


def check_seed(seed: int) -> int:
    """The seed of the images that `check` generates, unlike those of an export or of the monitor. 31 bits."""
    return _blake2b(f"check {seed}".encode(), 4) >> 1


def evaluation_seed(seed: int) -> int:
    """The seed of the images that `evaluate` generates, unlike those of an export. 31 bits."""
    return _blake2b(f"evaluate {seed}".encode(), 4) >> 1


def augmentation_generator(seed: int) -> torch.Generator:
    """The generator for augmenting a classifier's training images. Its weights and draws have other streams."""
    return _torch_generator(seed ^ 0x5EED)


def copy_generator(image: NDArray[np.uint8], copy: int) -> torch.Generator:
    """The generator for augmenting one copy of an image; depends on the pixels and the copy's number (1 to 255)."""
    return _torch_generator(_blake2b(image.tobytes() + bytes([copy, 0xA6]), 8) >> 1)


def coin(image: NDArray[np.uint8]) -> float:
    """A uniform random number in [0, 1) that depends on an image's pixels only."""
    return _blake2b(image.tobytes(), 8, person=b"synthaug coin") / 2**64


def subset_order(seed: int, path: str) -> bytes:
    """A sort key: the first n images are a random subset, which other images that come or go change little."""
    return hashlib.sha256(f"{seed} {path}".encode()).digest()


def _blake2b(data: bytes, size: int, person: bytes = b"") -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=size, person=person).digest(), "big")


def _torch_generator(seed: int) -> torch.Generator:
    import torch  # scans and splits need no torch, and it takes seconds to import

    return torch.Generator().manual_seed(seed)
