"""Box-prompted masks: boxes become regions where a segmenter's mask agrees (section 2, SAMRS)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.sources.annotated import LabelledBox
from unigeoseg.data.taxonomy.confusable import confusable
from unigeoseg.errors import OptionError
from unigeoseg.geo.masks import Rle, decode_mask, tight_box
from unigeoseg.prompt import Box

BoxSegmenter = Callable[[NDArray[np.uint8], list[Box]], Sequence[NDArray[np.bool_]]]
"""A promptable segmenter: from pixels (H, W, 3) and boxes a mask (H, W) for each box, in order."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """When a mask may stand for the box that prompted it.

    Attributes:
        iou: Least IoU of the mask's tight box and the upright box round the prompt.
        inside: Least share of the mask that lies in the prompt, a possibly rotated box.
        fill: Least and largest area of the mask as a share of the prompt's. An aeroplane
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
    """A patch whose boxes became regions.

    Smaller objects lie over larger ones; existing regions stay. Where a box's mask is not good
    enough, the free pixels of the box become unknown, and its category no longer counts as labelled
    wherever it occurs in this patch: no instruction may call one of its regions the only one.

    Args:
        patch: Its `boxes` are used up.
        segment: Makes the masks; without it no box has one.
        reject: Records boxes without a mask.
        agreement: The limits that a mask has to meet.

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
    incomplete: set[int] = set()
    regions = patch.regions.copy()
    free = regions == 0
    for box, edges, mask in zip(patch.boxes, upright, masks, strict=True):
        disagreement = _disagreement(mask, box, edges, agreement)
        if disagreement:
            incomplete.add(box.category)
            regions[_box_mask(box, free.shape) & free] = UNKNOWN_REGION
            reject(_rejection(patch, edges, disagreement))
        elif mask is not None:
            agreed.append((box.category, mask))
    categories = dict(patch.categories)
    for category, mask in sorted(agreed, key=lambda pair: -int(pair[1].sum())):
        region = max(categories, default=0) + 1
        regions[mask & free] = region
        categories[region] = category
    visible = visible_categories(regions, categories)
    labelled = completely_labelled(patch.labelled, incomplete)
    return replace(patch, regions=regions, categories=visible, boxes=(), labelled=labelled)


def _segmented(patch: Patch, boxes: list[Box], segment: BoxSegmenter) -> Sequence[Mask]:
    masks = segment(patch.pixels, boxes)
    shape = patch.regions.shape
    wrong = [f"{mask.dtype} {mask.shape}" for mask in masks if not _is_mask(mask, shape)]
    if wrong or len(masks) != len(boxes):
        example = f", one of them {wrong[0]}" if wrong else ""
        raise OptionError(
            f"what turns boxes into masks gave {len(masks)} for {len(boxes)} boxes of "
            f"{patch.source}: {patch.key}{example}; expected one of bool {shape} for each: give "
            "another system"
        )
    return masks


def _is_mask(mask: Mask, shape: tuple[int, ...]) -> bool:
    return mask.shape == shape and mask.dtype == np.bool_


def labels_in(labels: NDArray[np.uint16]) -> list[int]:
    """Labels that occur in a map (H, W), in order."""
    labels_present: list[int] = np.flatnonzero(np.bincount(labels.ravel())).tolist()
    return labels_present


def visible_categories(
    regions: NDArray[np.uint16], categories: Mapping[int, int]
) -> dict[int, int]:
    """Category of each region that still has a pixel in a map (H, W), in order of the ids."""
    return {region: categories[region] for region in labels_in(regions) if region in categories}


def completely_labelled(labelled: frozenset[int], incomplete: Iterable[int]) -> frozenset[int]:
    """Labelled categories that none of the incomplete ones may be taken for.

    Args:
        labelled: Categories that were labelled wherever they occur.
        incomplete: Categories of objects whose labels were dropped.
    """
    return frozenset(
        category
        for category in labelled
        if all(confusable(category, gap) is False for gap in incomplete)
    )


Disagreement = tuple[str, float | None, float | None]
"""The rule that a mask breaks, what was measured, and the limit."""


def _disagreement(
    mask: Mask | None, box: LabelledBox, edges: Box, agreement: Agreement
) -> Disagreement | None:
    """The first rule that a mask breaks; None if it breaks none."""
    if mask is None:
        return "no_segmenter", None, None
    tight = tight_box(mask)
    if tight is None:
        return "box_empty", 0.0, None
    return next(_disagreements(mask, tight, (box, edges), agreement), None)


def _disagreements(
    mask: Mask, tight: tuple[int, int, int, int], prompt: tuple[LabelledBox, Box], limit: Agreement
) -> Iterator[Disagreement]:
    box, edges = prompt
    iou = _iou(tight, (edges.x0, edges.y0, edges.x1, edges.y1))
    if iou < limit.iou:
        yield "box_iou", iou, limit.iou
    area = int(mask.sum())
    box_mask = _box_mask(box, mask.shape)
    inside = int((mask & box_mask).sum()) / area
    if inside < limit.inside:
        yield "box_inside", inside, limit.inside
    fill = area / max(int(box_mask.sum()), 1)
    low, high = limit.fill
    if not low <= fill <= high:
        yield "box_fill", fill, low if fill < low else high


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return float(intersection / (areas - intersection))


def _upright(box: LabelledBox, shape: tuple[int, ...]) -> Box:
    """The upright box round a box, within the pixels and at least one pixel a side."""
    height, width = shape[:2]
    x0, y0 = (float(edge) for edge in box.corners.min(axis=0))
    x1, y1 = (float(edge) for edge in box.corners.max(axis=0))
    x0, y0 = min(max(x0, 0.0), width - 1.0), min(max(y0, 0.0), height - 1.0)
    return Box(x0, y0, max(min(x1, width), x0 + 1), max(min(y1, height), y0 + 1))


def _box_mask(box: LabelledBox, shape: tuple[int, ...]) -> Mask:
    """(H, W) bool, the pixels of the box."""
    outline = coco.frPyObjects([box.corners.ravel().tolist()], *shape)
    return decode_mask(Rle(size=list(shape), counts=coco.merge(outline)["counts"].decode("ascii")))


def _rejection(patch: Patch, edges: Box, disagreement: Disagreement) -> Rejection:
    rule, value, limit = disagreement
    x0, y0 = edges.x0 + patch.x, edges.y0 + patch.y
    x1, y1 = edges.x1 + patch.x, edges.y1 + patch.y
    detail = f"box {x0:.1f},{y0:.1f},{x1:.1f},{y1:.1f} of the image"
    return Rejection("box", rule, patch.source, patch.key, detail, value, limit)
