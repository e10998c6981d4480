"""The size of an evaluation in words."""

from __future__ import annotations

from synthaug.data.enlargement import NOTICED
from synthaug.documents import EvaluatedSize, VerdictDocument


def with_size(verdict: VerdictDocument, size: EvaluatedSize) -> VerdictDocument:
    """The verdict, whose sentence begins with the size, and with a caveat if a larger size was left open."""
    said, sentence = in_words(size), verdict.sentence
    caveats = list(verdict.caveats)
    if size.asked == "model" and size.enlarged > NOTICED:
        caveats.append(
            f"classifiers saw images of {size.pixels} px, the generator's size. The real images have about {size.real} "
            f"px, and `export` enlarges synthetic ones {size.enlarged:.1f} times. "
            "To judge them at that size: --size native"
        )
    if size.upscaler is not None and not size.upscaler.used:
        caveats.append(size.upscaler.text())
    sentence = f"{said[0].upper()}{said[1:]}, {sentence[:1].lower()}{sentence[1:]}"
    return verdict.model_copy(update={"sentence": sentence, "caveats": caveats})


def in_words(size: EvaluatedSize) -> str:
    """
    >>> in_words(EvaluatedSize(asked="model", pixels=32, generator=32, real=240, enlarged=7.5))
    "at 32 px, the generator's size"
    >>> in_words(EvaluatedSize(asked="native", pixels=64, generator=32, real=240, enlarged=7.5))
    'at native size (synthetic images of 32 px enlarged 7.5 times, all read at 64 px)'
    """
    if size.asked == "model":
        return f"at {size.pixels} px, the generator's size"
    name = "native size" if size.asked == "native" else f"{size.pixels} px"
    return f"at {name} (synthetic images of {size.generator} px {times(size)}, all read at {size.pixels} px)"


def times(size: EvaluatedSize) -> str:
    """How much images are enlarged or reduced, and by what upscaler."""
    by = f" with the upscaler {size.upscaler.name}" if size.upscaler is not None and size.upscaler.used else ""
    if size.enlarged >= 1:
        return f"enlarged {size.enlarged:.1f} times{by}"
    return f"reduced {1 / size.enlarged:.1f} times"
