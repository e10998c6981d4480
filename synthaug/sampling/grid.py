"""Many small images as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_GAP = 2
_SMALLEST = 64


def grid(rows: Sequence[NDArray[np.uint8]], columns: int) -> Image.Image:
    """Lay out images, uint8 [n, C, H, W] in `rows`. Each element begins a new line, wrapped after `columns`.

    Images smaller than 64 px are enlarged by whole factors, so that their pixels can be seen.
    """
    lines = [row[start : start + columns] for row in rows for start in range(0, len(row), columns)]
    channels, height, width = lines[0].shape[1:]
    factor = max(1, -(-_SMALLEST // max(height, width)))
    tile_h, tile_w = height * factor + _GAP, width * factor + _GAP
    most = max(len(line) for line in lines)
    canvas = np.full((len(lines) * tile_h + _GAP, most * tile_w + _GAP, channels), 255, np.uint8)
    for i, line in enumerate(lines):
        for j, image in enumerate(line):
            large = image.repeat(factor, axis=1).repeat(factor, axis=2).transpose(1, 2, 0)
            top, left = _GAP + i * tile_h, _GAP + j * tile_w
            canvas[top : top + height * factor, left : left + width * factor] = large
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
