"""Pictures as PNG, lossless: the pixels that are read are the pixels that were written."""

import cv2
import numpy as np
from numpy.typing import NDArray

from unigeoseg.errors import DataError

_COMPRESSION = 1  # a fifth smaller than OpenCV's default; higher levels gain 1 % and take longer


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG of uint8 pixels, (H, W, 3) RGB or (H, W)."""
    bgr_or_grey = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    succeeded, content = cv2.imencode(
        ".png", bgr_or_grey, [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION]
    )
    assert succeeded, "OpenCV writes every 8-bit image as PNG"
    return content.tobytes()


def decode_png(content: bytes, name: str) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) uint8 RGB of the image of this name.

    Raises:
        DataError: If the picture is damaged.
    """
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if bgr is None:
        raise DataError(f"the picture of image {name} is damaged; build the dataset again")
    return np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)
