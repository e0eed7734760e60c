"""A candidate: a measured region that instructions may be written about (section 2, stage 3)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One region of a patch.

    Attributes:
        region: Its id in the patch's regions.
        category: Its taxonomy id.
        mask: (H, W) bool, the whole patch.
        area_px: Number of its pixels.
        box: x0, y0, x1, y1 in pixels, half-open.
        centre: x and y of its centroid in pixels, first pixel's centre at (0.5, 0.5).
        describable: Whether it also passes the rules for referring and reasoning.
    """

    region: int
    category: int
    mask: NDArray[np.bool_]
    area_px: int
    box: tuple[int, int, int, int]
    centre: tuple[float, float]
    describable: bool = False
