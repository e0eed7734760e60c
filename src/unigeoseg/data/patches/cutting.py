"""Cutting images into patches, and their labels into regions (paper section 2, stages 1, 3)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.patches.boxes import completely_labelled, labels_in, visible_categories
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.patches.perceptual_hash import perceptual_hash
from unigeoseg.data.sources.annotated import (
    UNKNOWN,
    AnnotatedImage,
    LabelledBox,
    LabelledObject,
    larger_first,
)
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.masks import label_components
from unigeoseg.geo.tiling import plan_tiles

PATCH_SIZE, PATCH_STRIDE = 512, 256
"""Side of a patch and step between patches in pixels (paper section 2, stage 1)."""

_MOST_REGIONS = int(UNKNOWN_REGION) - 1
_BOX_SHARE = 0.5  # of a box's area that must lie in the patch
_ROUNDING = 1e-4  # share of a box's area that may be lost to rounding
_UPRIGHT_PX = 1e-3  # deviation from an axis up to which a side is parallel to it


def cut_patches(
    image: AnnotatedImage,
    reject: RejectionHandler,
    *,
    size: int = PATCH_SIZE,
    stride: int = PATCH_STRIDE,
) -> Iterator[Patch]:
    """The patches of an image, in sliding windows, with their labels.

    The last patch of a row or column is shifted back to the image's edge; an image that is
    smaller than a patch stays as it is. A box is clipped and goes with every patch that holds at
    least half of its area.

    An instruction of the source refers to the whole image ("at the top"), so it goes with the
    whole image: where that is more than one patch, as a patch of its own that carries nothing
    but the instructions.

    Args:
        image: An image as a reader gives it.
        reject: Records boxes that are cut, and patches with too many regions.
        size: Side of a patch in pixels.
        stride: Step between patches in pixels, at most `size`.

    Raises:
        OptionError: If size or stride is out of range.
    """
    height, width = image.pixels.shape[:2]
    windows = plan_tiles(width, height, size, size - stride)
    is_one_patch = len(windows) == 1
    if image.texts and not is_one_patch:
        texts_alone = replace(image, classes=None, objects=(), boxes=())
        yield from _patches(texts_alone, [Window(0, 0, width, height)], reject, texts=True)
        if image.classes is None and not image.objects and not image.boxes:
            return  # its windows would have no label at all
    yield from _patches(image, windows, reject, texts=is_one_patch)


def _patches(
    image: AnnotatedImage, windows: list[Window], reject: RejectionHandler, *, texts: bool
) -> Iterator[Patch]:
    objects, phash = larger_first(image.objects), perceptual_hash(image.pixels)
    for window in windows:
        region_map = _regions(image, objects, window)
        if region_map is None:
            reject(_rejection(image, "too_many_regions", _place(window), limit=_MOST_REGIONS))
            continue
        regions, categories = region_map
        boxes, incomplete = _boxes(image, window, reject)
        yield Patch(
            source=image.source,
            key=image.key,
            x=window.col_off,
            y=window.row_off,
            group=image.group,
            licence=image.licence,
            gsd_m=image.gsd_m,
            grid=_grid(image.grid, window),
            pixels=np.ascontiguousarray(image.pixels[window.toslices()]),
            regions=regions,
            categories=categories,
            labelled=completely_labelled(image.labelled, incomplete),
            boxes=boxes,
            texts=image.texts if texts else (),
            split=image.split,
            image_phash=phash,
        )


def _grid(grid: Grid | None, window: Window) -> Grid | None:
    return grid and grid.for_window(window)


RegionMap = tuple[NDArray[np.uint16], dict[int, int]]
"""Region ids (h, w), 0 where none, and the category of each visible region."""


def _regions(
    image: AnnotatedImage, objects: Sequence[LabelledObject], window: Window
) -> RegionMap | None:
    """The regions of a window; None if there are more than ids.

    Objects, larger ones first, are regions as they are, smaller ones over larger ones. Pixels of a
    class are regions by their 8-connected pieces; where the source tells objects of that class
    apart, its pixels outside of every object belong to an object that nobody knows.
    """
    regions = np.zeros((window.height, window.width), np.int64)
    categories: dict[int, int] = {}
    if image.classes is not None:
        classes = image.classes[window.toslices()]
        object_categories = {item.category for item in objects}
        for category in labels_in(classes):
            if category == UNKNOWN or category in object_categories:
                regions[classes == category] = UNKNOWN_REGION
            elif category:
                _add_pieces(classes == category, category, regions, categories)
    for item in objects:
        _draw_object(item, window, regions, categories)
    if len(categories) > _MOST_REGIONS:
        return None
    region_ids = regions.astype(np.uint16)
    return region_ids, visible_categories(region_ids, categories)


def _add_pieces(
    mask: NDArray[np.bool_], category: int, regions: NDArray[np.int64], categories: dict[int, int]
) -> None:
    first = len(categories)
    labels = label_components(mask)
    regions[mask] = labels[mask] + first
    categories.update(dict.fromkeys(range(first + 1, first + int(labels.max()) + 1), category))


def _draw_object(
    item: LabelledObject, window: Window, regions: NDArray[np.int64], categories: dict[int, int]
) -> None:
    left, top = item.x - window.col_off, item.y - window.row_off
    height, width = item.mask.shape
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, window.width), min(top + height, window.height)
    if x0 >= x1 or y0 >= y1:
        return
    part = item.mask[y0 - top : y1 - top, x0 - left : x1 - left]
    region = len(categories) + 1
    regions[y0:y1, x0:x1][part] = region
    categories[region] = item.category


def _boxes(
    image: AnnotatedImage, window: Window, reject: RejectionHandler
) -> tuple[tuple[LabelledBox, ...], set[int]]:
    """Boxes in pixels of the patch, and the categories of those that it cuts too much of."""
    boxes: list[LabelledBox] = []
    incomplete: set[int] = set()
    frame = np.array(
        [[0, 0], [window.width, 0], [window.width, window.height], [0, window.height]], np.float32
    )
    for box in image.boxes:
        corners = box.corners - np.array([window.col_off, window.row_off], np.float32)
        area, shared = cv2.intersectConvexConvex(corners, frame)
        full_area = cv2.contourArea(corners)
        if area == 0 or full_area == 0:
            continue
        share = float(area / full_area)
        if share < _BOX_SHARE:
            reject(_rejection(image, "box_share", _place(window), share, _BOX_SHARE))
            incomplete.add(box.category)
        elif share > 1 - _ROUNDING:
            boxes.append(LabelledBox(box.category, corners))
        else:
            part = _clipped(corners, np.asarray(shared[:, 0], np.float32))
            boxes.append(LabelledBox(box.category, part))
    return tuple(boxes), incomplete


def _clipped(corners: NDArray[np.float32], shared: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part of a box in a patch as a box: upright if the box was, else the least rotated."""
    steps = np.abs(np.roll(corners, -1, axis=0) - corners)
    if (steps.min(axis=1) < _UPRIGHT_PX).all():
        (x0, y0), (x1, y1) = shared.min(axis=0), shared.max(axis=0)
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
    return np.asarray(cv2.boxPoints(cv2.minAreaRect(shared)), np.float32)


def _place(window: Window) -> str:
    return f"patch at x {window.col_off}, y {window.row_off}"


def _rejection(
    image: AnnotatedImage,
    rule: str,
    detail: str,
    value: float | None = None,
    limit: float | None = None,
) -> Rejection:
    return Rejection("patch", rule, image.source, image.key, detail, value, limit)
