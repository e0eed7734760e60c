"""What needs no learning."""

import numpy as np
import pytest

from unigeoseg.evaluate.systems.baselines import fill_box, grab_cut, region_grow
from unigeoseg.prompt import Box, Point, Prompt

ROOF = (slice(60, 100), slice(70, 110))


@pytest.fixture
def pixels() -> np.ndarray:
    """Noisy ground with one bright roof at `ROOF`."""
    drawn = np.random.default_rng(0).integers(50, 90, (128, 128, 3), dtype=np.uint8)
    drawn[ROOF] = 210
    return drawn


def test_baselines_find_a_bright_roof(pixels):
    truth, box = np.zeros((128, 128), bool), Prompt.from_box(Box(64, 54, 116, 106))
    truth[ROOF] = True
    filled = fill_box(pixels, box)
    assert filled.sum() == 52 * 52 and filled[54:106, 64:116].all()
    for found in (
        grab_cut(pixels, box),
        region_grow(pixels, Prompt.from_points([Point(90, 80)])),
    ):
        assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_grab_cut_fills_what_it_cannot_cut(pixels):
    assert grab_cut(pixels, Prompt.from_box(Box(0, 0, 128, 128))).all()
