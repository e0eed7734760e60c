"""Segmentation metrics: gIoU, cIoU and Pr@t, as ratios of sums over samples.

A metric is a sum over samples divided by another one, so parts merge in any order:

- gIoU, also called mIoU over samples: the sum of IoUs over the number of samples.
- cIoU, also called oIoU: the sum of intersections over the sum of unions.
- Pr@t: the number of samples whose IoU is strictly above t over the number of samples.

Empty masks: an empty prediction of an empty truth has IoU 1; one of them empty, 0. In cIoU both
add what they are: nothing to the intersection, their pixels to the union; where all masks are
empty it is 1. (Paper section 3.)
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from unigeoseg.errors import DataError, OptionError
from unigeoseg.evaluate.bootstrap import ratio_interval
from unigeoseg.geo.masks import Rle, label_components, rle_area, tight_box

PixelBox = tuple[int, int, int, int]
"""Half-open x0, y0, x1, y1 in whole pixels."""


class Overlap(NamedTuple):
    """Pixels in both masks, and in either."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 if both masks are empty."""
        return self.intersection / self.union if self.union else 1.0


def overlap(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Overlap:
    """Compare two masks (H, W) bool."""
    if mask.shape != truth.shape:
        raise ValueError(f"the mask is {mask.shape}, the truth {truth.shape}: they must be equal")
    return Overlap(int((mask & truth).sum()), int((mask | truth).sum()))


def overlap_of_runs(mask: Rle, truth: Rle) -> Overlap:
    """Compare two masks by their run-lengths, without a pixel.

    Raises:
        DataError: If their sizes differ.
    """
    if list(mask["size"]) != list(truth["size"]):
        raise DataError(f"the mask is {mask['size']}, the truth {truth['size']}: give equal sizes")
    packed = [
        {"size": rle["size"], "counts": rle["counts"].encode("ascii")} for rle in (mask, truth)
    ]
    intersection = int(coco.area(coco.merge(packed, intersect=True)))
    return Overlap(intersection, rle_area(mask) + rle_area(truth) - intersection)


def largest_box(mask: NDArray[np.bool_]) -> PixelBox | None:
    """The tight box of the largest 8-connected region of a mask (H, W); None if it is empty."""
    labels = label_components(mask)
    sizes = np.bincount(labels.ravel())[1:]
    return tight_box(labels == sizes.argmax() + 1) if sizes.size else None


def overlap_of_boxes(box: PixelBox | None, truth: PixelBox | None) -> Overlap:
    """Compare two boxes; None is an empty one."""
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in filter(None, (box, truth))]
    intersection = 0
    if box and truth:
        width = min(box[2], truth[2]) - max(box[0], truth[0])
        height = min(box[3], truth[3]) - max(box[1], truth[1])
        intersection = max(width, 0) * max(height, 0)
    return Overlap(intersection, sum(areas) - intersection)


@dataclass(frozen=True)
class Metric:
    """A metric: a sum over samples divided by another.

    Attributes:
        name: As reports print it.
        definition: In words.
        terms: A sample's terms of the numerator and of the denominator.
        empty: The metric's value where the denominator is zero.
    """

    name: str
    definition: str
    terms: Callable[[Overlap], tuple[float, float]]
    empty: float = math.nan


GIOU = Metric(
    "gIoU",
    "mean over samples of the IoU of the foreground, 1 for empty on empty; also called mIoU",
    lambda pixels: (pixels.iou, 1),
)
CIOU = Metric(
    "cIoU",
    "sum of intersections over sum of unions, over all samples; also called oIoU",
    lambda pixels: pixels,
    empty=1.0,
)


def precision_above(threshold: float) -> Metric:
    """Pr@t for a threshold t of at least 0 and below 1."""
    if not 0 <= threshold < 1:
        raise OptionError(f"Pr@{threshold:g} makes no sense; give a threshold from 0 to below 1")
    return Metric(
        f"Pr@{threshold:g}",
        f"share of samples with IoU strictly above {threshold:g}",
        lambda pixels: (float(pixels.iou > threshold), 1),
    )


DEFAULT = (GIOU, CIOU, *(precision_above(tenths / 10) for tenths in range(5, 10)))
"""What reports print."""

_NAMES = {"giou": GIOU, "miou": GIOU, "ciou": CIOU, "oiou": CIOU}
_PRECISION = re.compile(r"(?:pr|p|precision|acc)@(\d*\.?\d+)")


def metric_named(name: str) -> Metric:
    """The metric that a name or an alias means: gIoU, mIoU, cIoU, oIoU, Pr@0.5, P@0.5 ...

    Raises:
        OptionError: If it means none.
    """
    alias = name.strip().lower()
    threshold = _PRECISION.fullmatch(alias)
    if threshold:
        return precision_above(float(threshold[1]))
    if alias not in _NAMES:
        raise OptionError(f"{name!r} is no metric; give gIoU (mIoU), cIoU (oIoU) or Pr@0.5")
    return _NAMES[alias]


@dataclass(frozen=True)
class Scores:
    """The overlaps of a set of samples. Adding two gives the scores of both sets together.

    Attributes:
        overlaps: One per sample.
        clusters: The scene of each sample, because the bootstrap resamples whole scenes. Without
            any, samples are resampled.
    """

    overlaps: tuple[Overlap, ...] = ()
    clusters: tuple[str, ...] = ()

    @classmethod
    def of(cls, overlaps: Iterable[Overlap], clusters: Iterable[str] = ()) -> "Scores":
        """Scores of samples in any order."""
        return cls(tuple(overlaps), tuple(clusters))

    def __add__(self, more: "Scores") -> "Scores":
        """Scores of both sets."""
        return Scores(self.overlaps + more.overlaps, self.clusters + more.clusters)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.overlaps)

    def value(self, metric: Metric) -> float:
        """A metric; gIoU and Pr@t are NaN without samples."""
        numerator, denominator = (math.fsum(column) for column in self._columns(metric))
        if denominator:
            return numerator / denominator
        return metric.empty if len(self) else math.nan

    def interval(self, metric: Metric) -> tuple[float, float]:
        """95 % bootstrap interval of a metric; NaN without samples."""
        numerators, denominators = self._columns(metric)
        clusters = self.clusters or tuple(map(str, range(len(self))))
        return ratio_interval(numerators, denominators, clusters, metric.empty)

    def _columns(self, metric: Metric) -> Sequence[tuple[float, ...]]:
        return tuple(zip(*map(metric.terms, self.overlaps), strict=True)) or ((), ())

    @property
    def giou(self) -> float:
        """Mean IoU over samples; NaN without samples."""
        return self.value(GIOU)

    @property
    def ciou(self) -> float:
        """Sum of intersections over sum of unions; NaN without samples, 1 if all are empty."""
        return self.value(CIOU)

    def precision_at(self, threshold: float) -> float:
        """Share of samples with IoU strictly above `threshold`; NaN without samples."""
        return self.value(precision_above(threshold))
