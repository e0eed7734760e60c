"""A perceptual hash of pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

_FLAT = 2.0  # standard deviation in grey levels; what is flatter has no picture to compare
_SIDE, _KEPT = 32, 8


def perceptual_hash(pixels: NDArray[np.uint8]) -> int | None:
    """64 bits of what a picture (H, W, 3) RGB shows.

    The signs, against their median, of the 8 x 8 lowest frequencies of a 32 x 32 picture in grey
    (a cosine transform). Brightness, contrast, scale and compression hardly change it; turning
    and mirroring do. None for a picture that is nearly of one grey, such as open water.
    """
    grey = cv2.resize(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    if grey.std() < _FLAT:
        return None
    low = cv2.dct(grey)[:_KEPT, :_KEPT].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
