"""Overlays on pixels."""

import cv2
import numpy as np
import pytest

from unigeoseg.geo.masks import encode_mask
from unigeoseg.prompt import Box, Point, Prompt
from unigeoseg.report.overlay import YELLOW, draw_contour, draw_outline, draw_prompt, draw_sample
from unigeoseg.sample import Sample


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[12:50, 10:44] = True
    return mask


GREY = np.full((64, 64, 3), 128, np.uint8)


def changed(drawn: np.ndarray) -> np.ndarray:
    return (drawn != GREY).any(axis=2)


def test_an_outline_lies_on_the_edge_of_the_mask_between_black_lines(mask: np.ndarray):
    drawn = draw_outline(GREY, mask, YELLOW)
    near = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7)))
    inner = cv2.erode(mask.astype(np.uint8), np.ones((7, 7)), borderValue=0)
    assert changed(drawn).any()
    assert not changed(drawn)[near == 0].any() and not changed(drawn)[inner > 0].any()
    assert (drawn == YELLOW).all(axis=2).any() and (drawn == 0).all(axis=2).any()


def test_a_contour_is_wider_by_the_extra_pixels(mask: np.ndarray):
    thin, thick = (draw_contour(GREY, mask, YELLOW, extra_px=extra) for extra in (0, 4))
    assert changed(thick).sum() > 2 * changed(thin).sum()


def test_points_and_boxes_are_drawn_where_they_are(mask: np.ndarray):
    point = draw_prompt(GREY, Prompt.from_points([Point(20.5, 30.5)]))
    assert tuple(point[30, 20]) == (230, 25, 75) and changed(point).sum() < 64
    box = draw_prompt(GREY, Prompt.from_box(Box(4, 6, 40, 50)))
    assert changed(box)[6, 4:41].all() and changed(box)[6:51, 40].all()
    assert not changed(box)[10:40, 10:30].any()
    sample = Sample(
        image="a",
        width=64,
        height=64,
        prompt=Prompt.from_box(Box(4, 6, 40, 50)),
        rle=encode_mask(mask),
        category="",
        source="s",
        licence="CC0-1.0",
        group="g",
    )
    assert changed(draw_sample(GREY, sample))[changed(box)].all()
    assert not changed(GREY).any()
