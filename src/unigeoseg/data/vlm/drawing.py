"""Thin outlines round regions, as a model is shown them (paper section 2, stage 5).

A filled overlay hides texture and a mask on its own loses context, so a line of 2 pixels runs
round the region, outside it; its pixels stay as they are.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from unigeoseg.errors import OptionError

WIDTH_PX = 2

COLOURS = {
    "red": (255, 0, 0),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
}
"""Names that a prompt may call an outline, and their RGB."""

_NEAREST_PERCENT = 10  # the share of the pixels that a colour has to differ from
_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * WIDTH_PX + 1, 2 * WIDTH_PX + 1))


def draw_outlines(
    pixels: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]]
) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw a line round each region, each in another colour.

    No pixel of any region changes. Each line takes the colour, of those left, that differs most
    from what lies under and beside it.

    Args:
        pixels: (H, W, 3) uint8 RGB; not changed.
        masks: Regions, (H, W) bool each.

    Returns:
        The drawn copy (H, W, 3) uint8 and the colours' names in the order of the regions.

    Raises:
        OptionError: If there are more regions than colours.
    """
    if len(masks) > len(COLOURS):
        raise OptionError(f"{len(masks)} regions are to be outlined, {len(COLOURS)} can be")
    canvas = pixels.copy()
    free_colours = dict(COLOURS)
    names = []
    in_any_region = np.logical_or.reduce(masks) if masks else np.zeros(pixels.shape[:2], np.bool_)
    for mask in masks:
        around = cv2.dilate(mask.astype(np.uint8), _DISC).astype(np.bool_)
        line = around & ~in_any_region
        name = _contrasting_colour(pixels[around], free_colours)
        canvas[line] = free_colours.pop(name)
        names.append(name)
    return canvas, names


def _contrasting_colour(
    background: NDArray[np.uint8], colours: dict[str, tuple[int, int, int]]
) -> str:
    """The colour farthest, in CIELAB, from the tenth of the pixels that come nearest to it."""
    if not len(background):
        return next(iter(colours))
    lab = _lab(background)
    palette = _lab(np.array(list(colours.values()), np.uint8))
    distance = np.linalg.norm(lab[None] - palette[:, None], axis=2)  # (colours, pixels)
    return list(colours)[int(np.percentile(distance, _NEAREST_PERCENT, axis=1).argmax())]


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 3) uint8 RGB as (N, 3) float32 CIELAB."""
    lab = cv2.cvtColor(rgb[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    return np.asarray(lab, np.float32)
