"""Random crops: a view is a window of a patch, resized, rotated or flipped, with its regions."""

from dataclasses import replace

import cv2
import numpy as np

from unigeoseg.data.patches.patch import Patch
from unigeoseg.model.processor import letterbox

Window = tuple[int, int, int, int]
"""Left column, top row, width and height in pixels of a patch."""

SCALES = (0.4, 2.5)
"""Smallest and largest magnification of a view at a random place."""

_OBJECT_CONTEXT = (1.2, 6.0)  # side of a view round one object, as a multiple of the object's
_MIN_SIDE = 48  # of a window, in pixels


def crop_view(patch: Patch, window: Window, size: int, symmetry: int = 0) -> Patch:
    """Crop a window, letterbox it to a square, and apply one of the square's eight symmetries.

    What the letterbox adds is black and holds no region.

    Args:
        patch: The patch.
        window: Inside the patch.
        size: Side of the view in pixels.
        symmetry: 0 to 7: the number of quarter turns, from 4 on after a horizontal flip.

    Returns:
        The view as a patch of (size, size) without georeference, boxes and texts.
    """
    x, y, width, height = window
    pixels = patch.pixels[y : y + height, x : x + width]
    regions = patch.regions[y : y + height, x : x + width]
    interpolation = cv2.INTER_AREA if max(width, height) > size else cv2.INTER_LINEAR
    pixels = letterbox(pixels, size, interpolation=interpolation)
    regions = letterbox(regions, size, interpolation=cv2.INTER_NEAREST_EXACT)
    if symmetry >= 4:
        pixels, regions = pixels[:, ::-1], regions[:, ::-1]
    pixels, regions = np.rot90(pixels, symmetry % 4), np.rot90(regions, symmetry % 4)
    visible = np.flatnonzero(np.bincount(regions.ravel()))
    gsd_m = patch.gsd_m and patch.gsd_m * max(width, height) / size
    return replace(
        patch,
        x=patch.x + x,
        y=patch.y + y,
        gsd_m=gsd_m,
        grid=None,
        pixels=np.ascontiguousarray(pixels),
        regions=np.ascontiguousarray(regions),
        categories={r: patch.categories[r] for r in visible.tolist() if r in patch.categories},
        boxes=(),
        texts=(),
    )


def full_window(patch: Patch) -> Window:
    """The window that is all of a patch."""
    return 0, 0, patch.regions.shape[1], patch.regions.shape[0]


def random_window(patch: Patch, size: int, rng: np.random.Generator) -> Window:
    """A square window at a uniform place, at a log-uniform scale (`SCALES`) in a view of `size`."""
    height, width = patch.regions.shape
    low, high = np.log(SCALES)
    side = round(size / float(np.exp(rng.uniform(low, high))))
    side = max(min(side, height, width), min(_MIN_SIDE, height, width))
    return int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1)), side, side


def object_window(patch: Patch, size: int, rng: np.random.Generator) -> Window:
    """A square window round a random object, scaled to the object; random if there is none."""
    if not patch.categories:
        return random_window(patch, size, rng)
    height, width = patch.regions.shape
    region = list(patch.categories)[int(rng.integers(len(patch.categories)))]
    rows, columns = np.nonzero(patch.regions == region)
    extent = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    side = round(extent * float(np.exp(rng.uniform(*np.log(_OBJECT_CONTEXT)))))
    side = min(max(side, _MIN_SIDE), height, width)
    slack = max(side - extent, 0) / 2 + 1
    x = (columns.min() + columns.max() - side) / 2 + rng.uniform(-slack, slack)
    y = (rows.min() + rows.max() - side) / 2 + rng.uniform(-slack, slack)
    return int(np.clip(x, 0, width - side)), int(np.clip(y, 0, height - side)), side, side
