"""Distances, contact and rings against their definitions, pixel by pixel."""

from math import isqrt

import numpy as np
import pytest

from unigeoseg.data.programs.outlines import Outlines
from unigeoseg.geo.masks import tight_box


def labels(seed: int) -> np.ndarray:
    """Two or three scattered regions on 24 by 20 pixels."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((20, 24), np.int32)
    for label in (1, 2, 3):
        for _ in range(3):
            x, y = int(rng.integers(0, 20)), int(rng.integers(0, 16))
            drawn[y : y + int(rng.integers(1, 5)), x : x + int(rng.integers(1, 5))] = label
    for label in (1, 2, 3):  # none is covered by the others
        drawn[0, 8 * label - 1] = label
    return drawn


def squares(drawn: np.ndarray, one: int, other: int) -> np.ndarray:
    """Squared distances of each pixel of one to each of other."""
    apart = np.argwhere(drawn == one)[:, None] - np.argwhere(drawn == other)[None]
    return (apart**2).sum(axis=-1)


def outline(drawn: np.ndarray, label: int) -> np.ndarray:
    """Rows and columns of outline pixels."""
    found = []
    for row, column in np.argwhere(drawn == label).tolist():
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        within = [(y, x) for y, x in around if 0 <= y < drawn.shape[0] and 0 <= x < drawn.shape[1]]
        if any(drawn[place] != label for place in within):
            found.append((row, column))
    return np.array(found)


@pytest.mark.parametrize("seed", range(12))
def test_distance_is_the_smallest_between_pixel_centres(seed):
    drawn = labels(seed)
    outlines = Outlines(drawn, 3)
    for one, other in ((1, 2), (2, 3), (3, 1)):
        expected = isqrt(10_000 * int(squares(drawn, one, other).min()))
        assert outlines.distance(one, other) == expected
        assert outlines.distance(other, one) == expected


@pytest.mark.parametrize("seed", range(12))
def test_contact_and_surroundings(seed):
    drawn = labels(seed)
    outlines = Outlines(drawn, 3)
    pixels = np.argwhere(drawn == 1)
    edge = outline(drawn, 2)
    near = ((edge[:, None] - pixels[None]) ** 2).sum(axis=-1).min(axis=1) <= 9
    assert outlines.contact(1, 2) == near.sum()
    ring = np.zeros(drawn.shape, bool)
    for row, column in pixels.tolist():
        ring[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4] = True
    ring &= drawn != 1
    found = outlines.surroundings(1, tight_box(drawn == 1))
    assert found.tolist() == np.bincount(drawn[ring], minlength=4).tolist()


def test_touching_regions_are_one_pixel_apart():
    drawn = np.zeros((8, 8), np.int32)
    drawn[2:4, 0:4], drawn[2:4, 4:8], drawn[4:6, 7:8] = 1, 2, 3
    outlines = Outlines(drawn, 3)
    assert outlines.distance(1, 2) == 100
    assert outlines.distance(2, 3) == 100
    drawn[4:6, 7:8], drawn[4:6, 4:5], drawn[2:4, 4:8] = 0, 3, 0
    assert Outlines(np.where(drawn == 3, 2, drawn), 2).distance(1, 2) == 141
