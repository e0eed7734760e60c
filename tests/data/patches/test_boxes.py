"""Masks made from boxes, and when they are believed."""

from dataclasses import replace

import numpy as np
import pytest

from unigeoseg.data.patches.boxes import segment_boxes
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.sources.annotated import LabelledBox
from unigeoseg.errors import OptionError


def corners(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def patch(*boxes: LabelledBox) -> Patch:
    return Patch(
        source="made",
        key="a.png",
        x=100,
        y=0,
        group="made/a",
        licence="CC0-1.0",
        gsd_m=None,
        grid=None,
        pixels=np.zeros((40, 40, 3), np.uint8),
        regions=np.zeros((40, 40), np.uint16),
        categories={},
        labelled=frozenset({2, 20}),
        boxes=boxes,
    )


def filler(pixels, boxes):
    """A segmenter that fills each box."""
    masks = np.zeros((len(boxes), *pixels.shape[:2]), bool)
    for mask, box in zip(masks, boxes, strict=True):
        mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
    return list(masks)


def test_masks_become_regions_small_over_large():
    boxed = patch(
        LabelledBox(3, corners(14, 14, 18, 18)),
        LabelledBox(2, corners(10, 10, 30, 30)),
    )
    filled = segment_boxes(boxed, filler, pytest.fail)
    assert filled.categories[filled.regions[15, 15]] == 3
    assert filled.categories[filled.regions[12, 12]] == 2
    assert filled.boxes == () and (filled.regions > 0).sum() == 400
    assert not boxed.regions.any()


def test_regions_that_are_there_stay():
    boxed = patch(LabelledBox(2, corners(10, 10, 30, 30)))
    boxed.regions[:20] = 7
    filled = segment_boxes(replace(boxed, categories={7: 9}), filler, pytest.fail)
    assert (filled.regions[:20] == 7).all()
    assert filled.categories[filled.regions[25, 25]] == 2


@pytest.mark.parametrize(
    ("segment", "rule"),
    [
        (None, "no_segmenter"),
        (lambda pixels, boxes: [np.zeros((40, 40), bool)], "box_empty"),
        (lambda pixels, boxes: [np.ones((40, 40), bool)], "box_iou"),
    ],
)
def test_where_no_mask_agrees_nobody_knows(segment, rule):
    noted = []
    filled = segment_boxes(patch(LabelledBox(2, corners(10, 10, 30, 30))), segment, noted.append)
    assert [(rejection.stage, rejection.rule) for rejection in noted] == [("box", rule)]
    assert noted[0].detail == "box 110.0,10.0,130.0,30.0 of the image"
    assert (filled.regions[10:30, 10:30] == UNKNOWN_REGION).all()
    assert (filled.regions == UNKNOWN_REGION).sum() == 400
    assert filled.categories == {}
    assert filled.labelled == {20}


def test_a_mask_outside_the_rotated_box_or_too_thin_is_refused():
    diamond = np.array([[20, 5], [35, 20], [20, 35], [5, 20]], np.float32)
    noted = []
    segment_boxes(patch(LabelledBox(2, diamond)), filler, noted.append)

    def cross(pixels, boxes):
        mask = np.zeros((40, 40), bool)
        mask[20, 5:35] = mask[5:35, 20] = True
        return [mask]

    segment_boxes(patch(LabelledBox(2, diamond)), cross, noted.append)
    assert [rejection.rule for rejection in noted] == ["box_inside", "box_fill"]
    assert noted[0].value == pytest.approx(0.5, abs=0.05)
    assert noted[1].limit == 0.2


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([], r"gave 0 for 1 boxes of made: a.png; expected one of bool \(40, 40\)"),
        ([np.ones((40, 40), bool)] * 2, "gave 2 for 1 boxes"),
        ([np.ones((20, 40), bool)], r"one of them bool \(20, 40\)"),
        ([np.ones((40, 40), np.uint8)], r"one of them uint8 \(40, 40\)"),
    ],
)
def test_a_segmenter_that_gives_other_masks_than_asked_for(masks, message):
    boxed = patch(LabelledBox(2, corners(10, 10, 30, 30)))
    with pytest.raises(OptionError, match=message):
        segment_boxes(boxed, lambda pixels, boxes: masks, pytest.fail)
