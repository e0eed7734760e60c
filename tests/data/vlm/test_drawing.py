import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unigeoseg.data.vlm.drawing import COLOURS, WIDTH_PX, draw_outlines
from unigeoseg.errors import OptionError

GREY = np.full((40, 40, 3), 128, np.uint8)


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((40, 40), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_a_line_runs_just_outside_the_region():
    mask = box(10, 12, 30, 28)
    drawn, (name,) = draw_outlines(GREY, [mask])
    changed = (drawn != GREY).any(axis=2)
    assert np.array_equal(np.unique(drawn[changed], axis=0), [COLOURS[name]])
    assert changed[12 - WIDTH_PX : 12, 10:30].all()
    assert changed[28 : 28 + WIDTH_PX, 10:30].all()
    assert not changed[: 12 - WIDTH_PX].any()
    assert not changed[mask].any()


@given(
    arrays(np.uint8, (12, 12, 3)),
    st.lists(arrays(np.bool_, (12, 12)), max_size=len(COLOURS)),
)
def test_pixels_of_regions_and_far_from_them_stay(pixels, masks):
    before = pixels.copy()
    drawn, names = draw_outlines(pixels, masks)
    assert np.array_equal(pixels, before)
    assert len(set(names)) == len(masks)
    inside = np.logical_or.reduce(masks) if masks else np.zeros((12, 12), bool)
    assert np.array_equal(drawn[inside], pixels[inside])
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    far = (distance > WIDTH_PX + 1) | (not inside.any())
    assert np.array_equal(drawn[far], pixels[far])


@pytest.mark.parametrize("name", COLOURS)
def test_the_colour_is_never_that_of_the_ground(name):
    ground = np.full((40, 40, 3), COLOURS[name], np.uint8)
    _, names = draw_outlines(ground, [box(5, 5, 15, 15), box(20, 20, 30, 30)])
    assert name not in names


def test_a_region_without_pixels_or_one_that_fills_the_image_has_no_line():
    for mask in (box(0, 0, 0, 0), box(0, 0, 40, 40)):
        drawn, names = draw_outlines(GREY, [mask])
        assert np.array_equal(drawn, GREY)
        assert len(names) == 1


def test_more_regions_than_colours_are_an_error():
    with pytest.raises(OptionError, match="7 regions are to be outlined, 6 can be"):
        draw_outlines(GREY, [box(0, 0, 5, 5)] * 7)
