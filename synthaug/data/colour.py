"""Luminance and chroma of RGB images: the weights of ITU-R BT.601, full range, as JPEG has them."""

LUMINANCE = (0.299, 0.587, 0.114)
CHROMA = ((-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Cb and Cr, each from -128 to 127."""
