"""Pictures as PNG."""

import numpy as np
import pytest

from unigeoseg.errors import DataError
from unigeoseg.geo.png import decode_png, encode_png


def test_pixels_come_back_as_they_were():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert np.array_equal(decode_png(encode_png(pixels), "a"), pixels)
    grey = pixels[..., 0].copy()
    assert np.array_equal(decode_png(encode_png(grey), "a"), np.dstack([grey] * 3))


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_damaged_picture_is_named(content: bytes):
    with pytest.raises(DataError, match="the picture of image a7 is damaged"):
        decode_png(content, "a7")
