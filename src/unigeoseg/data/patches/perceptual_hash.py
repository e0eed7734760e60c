"""Perceptual hashing of images (pHash): near-duplicates have hashes that differ in few bits."""

import cv2
import numpy as np
from numpy.typing import NDArray

_FLAT = 2.0  # standard deviation in grey levels; what is flatter has no picture to compare
_SIDE = 32  # pixels a side of the picture that is transformed
_FREQUENCIES = 8  # lowest frequencies on either axis that are hashed


def perceptual_hash(pixels: NDArray[np.uint8]) -> int | None:
    """The perceptual hash of an image (H, W, 3) RGB, 64 bits.

    The signs, against their median, of the 8 x 8 lowest frequencies of a 32 x 32 picture in grey
    (a discrete cosine transform). Brightness, contrast, scale and compression hardly change it;
    rotation and mirroring do.

    Returns:
        The hash, or None for an image that is nearly of one grey, such as open water.
    """
    grey = cv2.resize(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    if grey.std() < _FLAT:
        return None
    low = cv2.dct(grey)[:_FREQUENCIES, :_FREQUENCIES].ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
