"""Many small images as one picture, with the class of each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_GAP = 2
_SMALLEST = 64
_TEXT = 14
_WIDEST = 160
"""Pixels that a label may take; longer ones are cut."""
_FONTS = ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf", "NotoSansCJK-Regular.ttc", "msyh.ttc")
"""Fonts of the system, for names that Pillow's own font, which has ASCII only, cannot write."""
_IN_NO_FONT = "\U000f0000"


def grid(rows: Sequence[NDArray[np.uint8]], columns: int, labels: Sequence[str] = ()) -> Image.Image:
    """Lay out images, uint8 [n, C, H, W] in `rows`. Each element begins a new line, wrapped after `columns`.

    Images smaller than 64 px are enlarged by whole factors, so that their pixels can be seen. With `labels`, one for
    each element, a text stands to the left of its first line.
    """
    parts = [[row[start : start + columns] for start in range(0, len(row), columns)] for row in rows]
    lines = [line for part in parts for line in part]
    channels, height, width = lines[0].shape[1:]
    factor = max(1, -(-_SMALLEST // max(height, width)))
    tile_h, tile_w = height * factor + _GAP, width * factor + _GAP
    most = max(len(line) for line in lines)
    texts = [_written(label) for label in labels]
    margin = max((round(font.getlength(text)) + 3 * _GAP for text, font in texts if text), default=0)
    canvas = np.full((len(lines) * tile_h + _GAP, margin + most * tile_w + _GAP, channels), 255, np.uint8)
    for i, line in enumerate(lines):
        for j, image in enumerate(line):
            large = image.repeat(factor, axis=1).repeat(factor, axis=2).transpose(1, 2, 0)
            top, left = _GAP + i * tile_h, margin + _GAP + j * tile_w
            canvas[top : top + height * factor, left : left + width * factor] = large
    picture = Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
    draw, first = ImageDraw.Draw(picture), 0
    for (text, font), part in zip(texts, parts, strict=bool(texts)):
        middle = _GAP + first * tile_h + height * factor // 2
        draw.text((2 * _GAP, middle), text, fill=0 if channels == 1 else (0, 0, 0), font=font, anchor="lm")
        first += len(part)
    return picture


def _font(text: str) -> Font:
    """The first font that has all characters of a text; else Pillow's own."""
    own = ImageFont.load_default(_TEXT)
    if not _missing(text, own):
        return own
    for name in _FONTS:
        try:
            font = ImageFont.truetype(name, _TEXT)
        except OSError:
            continue
        if not _missing(text, font):
            return font
    return own


def _missing(text: str, font: Font) -> set[str]:
    """The characters that a font draws as it draws one that no font has."""

    def drawn(character: str) -> tuple[tuple[int, int], bytes]:
        mask = font.getmask(character)
        return mask.size, bytes(mask)

    nothing = drawn(_IN_NO_FONT)
    return {character for character in set(text) - {" "} if drawn(character) == nothing}


def _written(label: str) -> tuple[str, Font]:
    """A label in one line, no wider than allowed, and its font; characters that it lacks become question marks."""
    font = _font(label)
    missing = _missing(label, font)
    text = "".join("?" if character in missing else character for character in label)
    if font.getlength(text) <= _WIDEST:
        return text, font
    while text and font.getlength(f"{text}...") > _WIDEST:
        text = text[:-1]
    return f"{text}...", font
