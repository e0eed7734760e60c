"""Overlays: outlines of masks, points and boxes drawn on pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray

from unigeoseg.prompt import Prompt
from unigeoseg.sample import Sample

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

YELLOW: Colour = (255, 225, 25)
BLUE: Colour = (60, 120, 255)
_RED, _BLACK = (230, 25, 75), (0, 0, 0)
_PIXELS_PER_LINE_PX = 256  # a picture of this side gets lines of one pixel
_BORDER_PX = 2  # by how much the black line below an outline is wider


def draw_sample(pixels: NDArray[np.uint8], sample: Sample) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with a sample's mask outlined, and the points and the box of its prompt."""
    return draw_prompt(draw_outline(pixels, sample.mask(), YELLOW), sample.prompt)


def draw_outline(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_], colour: Colour
) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with the outline of a mask (H, W), a black line on both of its sides."""
    bordered = draw_contour(pixels, mask, _BLACK, extra_px=_BORDER_PX)
    return draw_contour(bordered, mask, colour)


def draw_contour(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_], colour: Colour, *, extra_px: int = 0
) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with the contour of a mask (H, W), holes included.

    Args:
        pixels: RGB; not changed.
        mask: What is outlined.
        colour: Of the line.
        extra_px: Added to the line's width, which follows the size of the picture.
    """
    canvas = pixels.copy()
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, _line_width(canvas) + extra_px)
    return canvas


def draw_prompt(pixels: NDArray[np.uint8], prompt: Prompt) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with the points and the box of a prompt in red."""
    canvas, width, box = pixels.copy(), _line_width(pixels), prompt.box
    if box:
        end = (int(np.ceil(box.x1)), int(np.ceil(box.y1)))
        cv2.rectangle(canvas, (int(box.x0), int(box.y0)), end, _RED, width)
    for point in prompt.points:
        cv2.circle(canvas, (int(point.x), int(point.y)), 3 * width, _RED, -1)
    return canvas


def _line_width(pixels: NDArray[np.uint8]) -> int:
    return max(1, int(min(pixels.shape[:2])) // _PIXELS_PER_LINE_PX)
