"""Images and labels cut alike."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from unigeoseg.data.patches.cutting import cut_patches
from unigeoseg.data.patches.patch import UNKNOWN_REGION
from unigeoseg.data.patches.perceptual_hash import perceptual_hash
from unigeoseg.data.sources.annotated import (
    UNKNOWN,
    AnnotatedImage,
    LabelledBox,
    LabelledObject,
    LabelledText,
)
from unigeoseg.errors import OptionError
from unigeoseg.geo.grid import Grid
from unigeoseg.prompt import Task


def image(height: int = 40, width: int = 56, **labels) -> AnnotatedImage:
    ramp = np.arange(height * width * 3) % 251
    return AnnotatedImage(
        source="made",
        key="a/b.png",
        group="made/a",
        licence="CC0-1.0",
        gsd_m=0.5,
        grid=labels.pop("grid", None),
        pixels=ramp.astype(np.uint8).reshape(height, width, 3),
        **labels,
    )


def box(x0: float, y0: float, x1: float, y1: float, category: int = 9) -> LabelledBox:
    return LabelledBox(category, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32))


def test_windows_cover_the_image_and_keep_their_place():
    grid = Grid(56, 40, Affine(0.5, 0, 1000, 0, -0.5, 2000), CRS.from_epsg(32650))
    full_image = image(grid=grid)
    patches = list(cut_patches(full_image, pytest.fail, size=32, stride=16))
    assert [(patch.x, patch.y) for patch in patches] == [
        (0, 0), (16, 0), (24, 0), (0, 8), (16, 8), (24, 8)
    ]  # fmt: skip
    for patch in patches:
        assert (
            patch.pixels == full_image.pixels[patch.y : patch.y + 32, patch.x : patch.x + 32]
        ).all()
        assert patch.grid.to_map(0, 0) == grid.to_map(patch.x, patch.y)
        assert patch.grid.shape == (32, 32)
    assert len({patch.id for patch in patches}) == 6


def test_a_small_image_is_one_patch_as_it_is():
    (patch,) = cut_patches(image(20, 30), pytest.fail, size=32, stride=16)
    assert patch.pixels.shape == (20, 30, 3)


def test_class_pixels_are_8_connected_pieces_within_the_patch():
    classes = np.zeros((40, 56), np.uint16)
    classes[2, 2] = classes[3, 3] = 5  # touch at a corner: one piece
    classes[10, 2:30] = 5
    classes[20:24] = 7
    classes[30:] = UNKNOWN
    patches = list(cut_patches(image(classes=classes), pytest.fail, size=32, stride=16))
    first, last = patches[0], patches[-1]
    assert sorted(first.categories.values()) == [5, 5, 7]
    assert first.regions[2, 2] == first.regions[3, 3] != first.regions[10, 5]
    assert (first.regions[30:] == UNKNOWN_REGION).all()
    assert sorted(last.categories.values()) == [5, 7]
    assert UNKNOWN_REGION not in first.categories


def test_small_objects_lie_over_large_ones_and_the_rest_of_their_class_is_unknown():
    large = LabelledObject(5, 0, 0, np.ones((20, 20), bool))
    small = LabelledObject(6, 4, 4, np.ones((3, 3), bool))
    classes = np.zeros((40, 56), np.uint16)
    classes[:25, :25] = 5
    classes[30:, 30:] = 7
    (patch,) = cut_patches(image(objects=(small, large), classes=classes), pytest.fail)
    assert patch.categories[patch.regions[5, 5]] == 6
    assert patch.categories[patch.regions[0, 0]] == 5
    assert patch.regions[22, 22] == UNKNOWN_REGION
    assert patch.categories[patch.regions[35, 35]] == 7


def test_an_object_keeps_only_what_the_patch_shows_of_it():
    objects = (LabelledObject(5, 20, 4, np.ones((10, 20), bool)),)
    patches = list(cut_patches(image(objects=objects), pytest.fail, size=32, stride=32))
    areas = [int((patch.regions > 0).sum()) for patch in patches]
    assert areas == [10 * 12, 10 * 16, 6 * 12, 6 * 16]


def test_a_box_goes_where_half_of_it_is():
    noted = []
    boxes = (box(20, 4, 40, 8), box(0, 0, 4, 4))
    patches = list(cut_patches(image(32, 56, boxes=boxes), noted.append, size=32, stride=24))
    assert [[item.corners.tolist() for item in patch.boxes] for patch in patches] == [
        [[[20, 4], [32, 4], [32, 8], [20, 8]], [[0, 0], [4, 0], [4, 4], [0, 4]]],
        [[[0, 4], [16, 4], [16, 8], [0, 8]]],
    ]
    assert noted == []
    left, right = cut_patches(
        image(32, 56, boxes=(box(28, 4, 40, 8),), labelled=frozenset({9, 20})),
        noted.append,
        size=32,
        stride=24,
    )
    assert left.labelled == {20} and right.labelled == {9, 20}
    assert [(item.stage, item.rule, item.limit) for item in noted] == [("patch", "box_share", 0.5)]
    assert noted[0].value == pytest.approx(1 / 3)


def test_a_rotated_box_stays_rotated_where_it_is_cut():
    corners = np.array([[26, 10], [34, 18], [26, 26], [18, 18]], np.float32)
    turned = LabelledBox(3, corners)
    first = next(cut_patches(image(32, 56, boxes=(turned,)), lambda _: None, size=32, stride=24))
    sides = np.linalg.norm(np.roll(first.boxes[0].corners, -1, axis=0) - first.boxes[0].corners)
    assert sides > 0
    steps = np.abs(np.roll(first.boxes[0].corners, -1, axis=0) - first.boxes[0].corners)
    assert (steps > 1).all()


def test_texts_go_with_the_whole_image():
    target = LabelledObject(5, 3, 3, np.ones((4, 4), bool))
    text = LabelledText("the tank at the top", Task.REFERRING, target, 5)
    (only,) = cut_patches(image(20, 30, texts=(text,)), pytest.fail, size=32, stride=16)
    assert only.texts == (text,)
    full_patch, *parts = cut_patches(
        image(texts=(text,), objects=(target,)), pytest.fail, size=32, stride=16
    )
    assert (
        full_patch.texts == (text,)
        and full_patch.pixels.shape == (40, 56, 3)
        and not full_patch.categories
    )
    assert len(parts) == 6 and not any(part.texts for part in parts)
    (texts_patch,) = cut_patches(image(texts=(text,)), pytest.fail, size=32, stride=16)
    assert texts_patch.pixels.shape == (40, 56, 3)  # windows without any label would say nothing


def test_every_patch_knows_what_the_whole_image_shows():
    parts = list(cut_patches(image(), pytest.fail, size=32, stride=16))
    full_hash = perceptual_hash(image().pixels)
    assert full_hash is not None and {part.image_phash for part in parts} == {full_hash}


def test_more_pieces_than_ids_drop_the_patch():
    classes = np.zeros((520, 520), np.uint16)
    classes[::2, ::2] = 4
    noted = []
    assert (
        list(cut_patches(image(520, 520, classes=classes), noted.append, size=520, stride=520))
        == []
    )
    assert [rejection.rule for rejection in noted] == ["too_many_regions"]


def test_sizes_out_of_range_are_refused():
    with pytest.raises(OptionError, match="tile must be >= 1"):
        list(cut_patches(image(), pytest.fail, size=0, stride=0))
    with pytest.raises(OptionError, match="overlap must be >= 0"):
        list(cut_patches(image(), pytest.fail, size=32, stride=64))
