"""Baselines without learning: fill the box, GrabCut from the box, grow a region from the point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from unigeoseg.evaluate.systems.base import Answer, Pixels
from unigeoseg.prompt import Box, Point, Prompt

GROW_TOLERANCE = 48
"""Largest difference to the clicked pixel, per band of 8 bits; the best of 8, 16, 24, 32, 48, 64
and 80 on the val split."""


GRAB_CUT_ROUNDS = 5


def fill_box(pixels: NDArray[np.uint8], prompt: Prompt) -> NDArray[np.bool_]:
    """Everything in the box is the target; (H, W) bool for pixels (H, W, 3)."""
    mask = np.zeros(pixels.shape[:2], np.bool_)
    mask[_rows_columns(_box(prompt), mask.shape)] = True
    return mask


def grab_cut(pixels: NDArray[np.uint8], prompt: Prompt) -> NDArray[np.bool_]:
    """OpenCV's GrabCut, started from the box; fills a box that it cannot cut."""
    rows, columns = _rows_columns(_box(prompt), pixels.shape[:2])
    rectangle = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    labels = np.zeros(pixels.shape[:2], np.uint8)
    # models of the two colour mixtures, which OpenCV keeps in arrays of this shape
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    if rectangle[2] * rectangle[3] in (0, labels.size):
        return fill_box(pixels, prompt)
    cv2.grabCut(
        pixels, labels, rectangle, background, foreground, GRAB_CUT_ROUNDS, cv2.GC_INIT_WITH_RECT
    )
    mask: NDArray[np.bool_] = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return mask if mask.any() else fill_box(pixels, prompt)


def region_grow(
    pixels: NDArray[np.uint8], prompt: Prompt, *, tolerance: int = GROW_TOLERANCE
) -> NDArray[np.bool_]:
    """The connected pixels whose colour is like that of a positive point, for each point."""
    grown = np.zeros(pixels.shape[:2], np.bool_)
    for point in prompt.points:
        if point.positive:
            grown |= _flood(pixels, point, tolerance)
    return grown


def _flood(pixels: NDArray[np.uint8], point: Point, tolerance: int) -> NDArray[np.bool_]:
    height, width = pixels.shape[:2]
    mask = np.zeros((height + 2, width + 2), np.uint8)  # OpenCV wants a border of one pixel
    # 8 neighbours; grown pixels get the value 1; differences are to the first pixel
    flags = 8 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
    tolerances = (tolerance,) * 3
    cv2.floodFill(
        pixels.copy(), mask, (int(point.x), int(point.y)), (0, 0, 0), tolerances, tolerances, flags
    )
    return mask[1:-1, 1:-1] > 0


def _box(prompt: Prompt) -> Box:
    if prompt.box is None:
        raise ValueError("this baseline needs a prompt with a box")
    return prompt.box


def _rows_columns(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The pixels whose centre is nearest to lying in the box, at least one."""
    left, right = round(max(box.x0, 0)), round(min(box.x1, shape[1]))
    top, bottom = round(max(box.y0, 0)), round(min(box.y1, shape[0]))
    left, top = min(left, shape[1] - 1), min(top, shape[0] - 1)
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline without learning.

    Attributes:
        family: What it can answer: "point" or "box".
        segment: Gives the mask (H, W) bool.
    """

    family: str
    segment: Callable[[Pixels, Prompt], NDArray[np.bool_]]

    def __call__(self, pixels: Pixels, prompts: Sequence[Prompt]) -> list[Answer | None]:
        """Answer the prompts of its family."""
        return [
            Answer(self.segment(pixels, prompt)) if _family(prompt) == self.family else None
            for prompt in prompts
        ]


def _family(prompt: Prompt) -> str:
    return "box" if prompt.box else "point" if prompt.points else "text"


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "fill-box": Baseline("box", fill_box),
        "grab-cut": Baseline("box", grab_cut),
        "region-grow": Baseline("point", region_grow),
    }
)
