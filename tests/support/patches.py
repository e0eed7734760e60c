"""Small patches drawn with numpy: rectangles of categories on a ground without any."""

import numpy as np

from unigeoseg.data.patches.patch import Patch
from unigeoseg.geo.grid import Grid

SIDE = 256
ROAD, BUILDING, POND, WATER, CAR, FOREST = 9, 25, 23, 5, 63, 4

Rectangle = tuple[int, tuple[int, int, int, int]]


def patch(
    rectangles: dict[int, Rectangle],
    *,
    colours: dict[int, tuple[int, int, int]] | None = None,
    grid: Grid | None = None,
    **changes: object,
) -> Patch:
    """A patch of SIDE pixels; later rectangles (category, (x0, y0, x1, y1)) lie on top."""
    regions = np.zeros((SIDE, SIDE), np.uint16)
    pixels = np.full((SIDE, SIDE, 3), (120, 130, 90), np.uint8)
    for region, (category, (x0, y0, x1, y1)) in rectangles.items():
        regions[y0:y1, x0:x1] = region
        pixels[y0:y1, x0:x1] = (colours or {}).get(region, (category * 7 % 256, 90, 140))
    values: dict[str, object] = {
        "source": "made",
        "key": "scene.png",
        "x": 0,
        "y": 0,
        "group": "made/scene",
        "licence": "CC0-1.0",
        "gsd_m": None,
        "grid": grid,
        "pixels": pixels,
        "regions": regions,
        "categories": {region: category for region, (category, _) in rectangles.items()},
        "labelled": frozenset({ROAD, BUILDING, POND, WATER, CAR, FOREST}),
    }
    return Patch(**{**values, **changes})


def random_patch(seed: int) -> Patch:
    """A patch of up to a dozen rectangles of few categories."""
    rng = np.random.default_rng(seed)
    rectangles: dict[int, Rectangle] = {}
    for region in range(1, int(rng.integers(4, 13))):
        x0, y0 = (int(value) for value in rng.integers(0, SIDE - 24, 2))
        width, height = (int(value) for value in rng.integers(20, 70, 2))
        category = int(rng.choice([ROAD, BUILDING, POND, FOREST]))
        rectangles[region] = (category, (x0, y0, x0 + width, y0 + height))
    return patch(rectangles)
