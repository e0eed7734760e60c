"""Distances, contact and rings against their definitions, pixel by pixel."""

from math import isqrt

import numpy as np
import pytest

from unigeoseg.data.programs.outlines import Outlines
from unigeoseg.geo.masks import tight_box


def labels(seed: int) -> np.ndarray:
    """Two or three scattered regions on 24 by 20 pixels."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((20, 24), np.int32)
    for label in (1, 2, 3):
        for _ in range(3):
            x, y = int(rng.integers(0, 20)), int(rng.integers(0, 16))
            canvas[y : y + int(rng.integers(1, 5)), x : x + int(rng.integers(1, 5))] = label
    for label in (1, 2, 3):  # none is covered by the others
        canvas[0, 8 * label - 1] = label
    return canvas


def squares(canvas: np.ndarray, source: int, target: int) -> np.ndarray:
    """Squared distances of each pixel of one to each of other."""
    offsets = np.argwhere(canvas == source)[:, None] - np.argwhere(canvas == target)[None]
    return (offsets**2).sum(axis=-1)


def outline(canvas: np.ndarray, label: int) -> np.ndarray:
    """Rows and columns of outline pixels."""
    pixels = []
    for row, column in np.argwhere(canvas == label).tolist():
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        within = [
            (y, x) for y, x in around if 0 <= y < canvas.shape[0] and 0 <= x < canvas.shape[1]
        ]
        if any(canvas[place] != label for place in within):
            pixels.append((row, column))
    return np.array(pixels)


@pytest.mark.parametrize("seed", range(12))
def test_distance_is_the_smallest_between_pixel_centres(seed):
    canvas = labels(seed)
    outlines = Outlines(canvas, 3)
    for source, target in ((1, 2), (2, 3), (3, 1)):
        expected = isqrt(10_000 * int(squares(canvas, source, target).min()))
        assert outlines.distance(source, target) == expected
        assert outlines.distance(target, source) == expected


@pytest.mark.parametrize("seed", range(12))
def test_contact_and_surroundings(seed):
    canvas = labels(seed)
    outlines = Outlines(canvas, 3)
    pixels = np.argwhere(canvas == 1)
    edge = outline(canvas, 2)
    near = ((edge[:, None] - pixels[None]) ** 2).sum(axis=-1).min(axis=1) <= 9
    assert outlines.contact(1, 2) == near.sum()
    ring = np.zeros(canvas.shape, bool)
    for row, column in pixels.tolist():
        ring[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4] = True
    ring &= canvas != 1
    surroundings = outlines.surroundings(1, tight_box(canvas == 1))
    assert surroundings.tolist() == np.bincount(canvas[ring], minlength=4).tolist()


def test_touching_regions_are_one_pixel_apart():
    canvas = np.zeros((8, 8), np.int32)
    canvas[2:4, 0:4], canvas[2:4, 4:8], canvas[4:6, 7:8] = 1, 2, 3
    outlines = Outlines(canvas, 3)
    assert outlines.distance(1, 2) == 100
    assert outlines.distance(2, 3) == 100
    canvas[4:6, 7:8], canvas[4:6, 4:5], canvas[2:4, 4:8] = 0, 3, 0
    assert Outlines(np.where(canvas == 3, 2, canvas), 2).distance(1, 2) == 141
