"""Texts as vectors by a pretrained encoder that works offline: words that no training image has mean something too."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.documents.conditions import PRETRAINED
from synthaug.errors import SynthaugError


@lru_cache(maxsize=4096)
def embedded(encoder: str, text: str) -> NDArray[np.float32]:
    """The vector of a text, of length 1; zeros if it has no letter.

    Args:
        encoder: a key of `documents.conditions.PRETRAINED`.
        text: in English.

    Raises:
        SynthaugError: the package is missing.
    """
    if not any(letter.isalnum() for letter in text):
        return np.zeros(PRETRAINED[encoder], np.float32)
    found: NDArray[np.float32] = _ENCODERS[encoder]().embed([text], norm=True)[0]
    return found


@lru_cache
def _wordllama() -> Any:
    """Token embeddings of language models, distilled to 256 numbers; the weights are in the package (MIT licence)."""
    try:
        import wordllama
    except ImportError:
        raise SynthaugError(
            "data.text_encoder = wordllama needs the package wordllama", "pip install 'synthaug[text]'"
        ) from None
    # The package looks for its own tokenizer in another folder than the one that it has.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


_ENCODERS = {"wordllama": _wordllama}
