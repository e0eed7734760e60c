"""Boxes turned into masks by a promptable segmenter, where both agree (paper section 2, SAMRS)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.sources.annotated import LabelledBox
from unigeoseg.data.taxonomy.confusable import confusable
from unigeoseg.errors import OptionError
from unigeoseg.geo.masks import Rle, decode, tight_box
from unigeoseg.prompt import Box

BoxSegmenter = Callable[[NDArray[np.uint8], list[Box]], Sequence[NDArray[np.bool_]]]
"""Takes pixels (H, W, 3) and boxes in them; gives a mask (H, W) for each box, in order."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """When a mask may stand for the box that it was made from.

    Attributes:
        iou: Least IoU of the mask's tight box and the upright box round the given one.
        inside: Least share of the mask that lies in the given, possibly rotated, box.
        fill: Least and largest area of the mask as a share of the given box's. An aeroplane
            fills about a third of its box; less is a part, more than the box a spill.
    """

    iou: float = 0.5
    inside: float = 0.8
    fill: tuple[float, float] = (0.2, 1.1)


AGREEMENT = Agreement()


def segment_boxes(
    patch: Patch,
    segment: BoxSegmenter | None,
    reject: RejectionHandler,
    agreement: Agreement = AGREEMENT,
) -> Patch:
    """Turn a patch's boxes into regions.

    Smaller objects lie over larger ones; regions that are there already stay. Where an object is
    but its mask is not good enough, the free pixels of its box become unknown, and its category
    no longer counts as labelled wherever it occurs in this patch: nothing may be said to be the
    only one.

    Args:
        patch: Its `boxes` are used up.
        segment: Makes the masks; without it no box has one.
        reject: Takes note of boxes without a mask.
        agreement: What a mask has to fulfil.

    Raises:
        OptionError: If the segmenter gives something else than a mask (H, W) bool for each box.
    """
    if not patch.boxes:
        return patch
    upright = [_upright(box, patch.pixels.shape) for box in patch.boxes]
    masks: Sequence[Mask | None] = (
        _segmented(patch, upright, segment) if segment else [None] * len(upright)
    )
    agreed: list[tuple[int, Mask]] = []
    refused: set[int] = set()
    regions = patch.regions.copy()
    free = regions == 0
    for box, edges, mask in zip(patch.boxes, upright, masks, strict=True):
        missed = _missed(mask, box, edges, agreement)
        if missed:
            refused.add(box.category)
            regions[_filled(box, free.shape) & free] = UNKNOWN_REGION
            reject(_rejection(patch, edges, missed))
        elif mask is not None:
            agreed.append((box.category, mask))
    categories = dict(patch.categories)
    for category, mask in sorted(agreed, key=lambda pair: -int(pair[1].sum())):
        region = max(categories, default=0) + 1
        regions[mask & free] = region
        categories[region] = category
    kept = {each: categories[each] for each in labels_in(regions) if each in categories}
    labelled = completely_labelled(patch.labelled, refused)
    return replace(patch, regions=regions, categories=kept, boxes=(), labelled=labelled)


def _segmented(patch: Patch, boxes: list[Box], segment: BoxSegmenter) -> Sequence[Mask]:
    masks = segment(patch.pixels, boxes)
    wanted = patch.regions.shape
    wrong = [f"{mask.dtype} {mask.shape}" for mask in masks if not _is_mask(mask, wanted)]
    if wrong or len(masks) != len(boxes):
        told = f", one of them {wrong[0]}" if wrong else ""
        raise OptionError(
            f"what turns boxes into masks gave {len(masks)} for {len(boxes)} boxes of "
            f"{patch.source}: {patch.key}{told}; expected one of bool {wanted} for each: give "
            "another system"
        )
    return masks


def _is_mask(mask: Mask, shape: tuple[int, ...]) -> bool:
    return mask.shape == shape and mask.dtype == np.bool_


def labels_in(labels: NDArray[np.uint16]) -> list[int]:
    """Labels that occur in a map (H, W), in order."""
    found: list[int] = np.flatnonzero(np.bincount(labels.ravel())).tolist()
    return found


def completely_labelled(labelled: frozenset[int], lost: Iterable[int]) -> frozenset[int]:
    """Categories that are still labelled wherever they occur after objects of some were lost."""
    return frozenset(
        each for each in labelled if all(confusable(each, category) is False for category in lost)
    )


Missed = tuple[str, float | None, float | None]


def _missed(mask: Mask | None, box: LabelledBox, edges: Box, agreement: Agreement) -> Missed | None:
    """The rule that a mask breaks, what was measured, and the limit; None if it breaks none."""
    if mask is None:
        return "no_segmenter", None, None
    tight = tight_box(mask)
    if tight is None:
        return "box_empty", 0.0, None
    return next(_checks(mask, tight, (box, edges), agreement), None)


def _checks(
    mask: Mask, tight: tuple[int, int, int, int], given: tuple[LabelledBox, Box], limit: Agreement
) -> Iterator[Missed]:
    box, edges = given
    iou = _iou(tight, (edges.x0, edges.y0, edges.x1, edges.y1))
    if iou < limit.iou:
        yield "box_iou", iou, limit.iou
    area = int(mask.sum())
    drawn = _filled(box, mask.shape)
    inside = int((mask & drawn).sum()) / area
    if inside < limit.inside:
        yield "box_inside", inside, limit.inside
    fill = area / max(int(drawn.sum()), 1)
    low, high = limit.fill
    if not low <= fill <= high:
        yield "box_fill", fill, low if fill < low else high


def _iou(one: Sequence[float], other: Sequence[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((each[2] - each[0]) * (each[3] - each[1]) for each in (one, other))
    return float(shared / (areas - shared))


def _upright(box: LabelledBox, shape: tuple[int, ...]) -> Box:
    """The upright box round a box, within the pixels and at least one pixel a side."""
    height, width = shape[:2]
    x0, y0 = (float(edge) for edge in box.corners.min(axis=0))
    x1, y1 = (float(edge) for edge in box.corners.max(axis=0))
    x0, y0 = min(max(x0, 0.0), width - 1.0), min(max(y0, 0.0), height - 1.0)
    return Box(x0, y0, max(min(x1, width), x0 + 1), max(min(y1, height), y0 + 1))


def _filled(box: LabelledBox, shape: tuple[int, ...]) -> Mask:
    """(H, W) bool, the pixels of the box."""
    outline = coco.frPyObjects([box.corners.ravel().tolist()], *shape)
    return decode(Rle(size=list(shape), counts=coco.merge(outline)["counts"].decode("ascii")))


def _rejection(patch: Patch, edges: Box, missed: Missed) -> Rejection:
    rule, value, limit = missed
    x0, y0 = edges.x0 + patch.x, edges.y0 + patch.y
    x1, y1 = edges.x1 + patch.x, edges.y1 + patch.y
    detail = f"box {x0:.1f},{y0:.1f},{x1:.1f},{y1:.1f} of the image"
    return Rejection("box", rule, patch.source, patch.key, detail, value, limit)
