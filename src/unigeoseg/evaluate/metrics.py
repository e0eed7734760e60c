"""What is counted per sample, and the metrics that are ratios of such counts.

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
        {"size": each["size"], "counts": each["counts"].encode("ascii")} for each in (mask, truth)
    ]
    both = int(coco.area(coco.merge(packed, intersect=True)))
    return Overlap(both, rle_area(mask) + rle_area(truth) - both)


def largest_box(mask: NDArray[np.bool_]) -> PixelBox | None:
    """The tight box of the largest 8-connected region of a mask (H, W); None if it is empty."""
    labels = label_components(mask)
    sizes = np.bincount(labels.ravel())[1:]
    return tight_box(labels == sizes.argmax() + 1) if sizes.size else None


def overlap_of_boxes(box: PixelBox | None, truth: PixelBox | None) -> Overlap:
    """Compare two boxes; None is an empty one."""
    areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (box, truth) if each]
    both = 0
    if box and truth:
        width = min(box[2], truth[2]) - max(box[0], truth[0])
        both = max(width, 0) * max(min(box[3], truth[3]) - max(box[1], truth[1]), 0)
    return Overlap(both, sum(areas) - both)


@dataclass(frozen=True)
class Metric:
    """A sum over samples divided by another.

    Attributes:
        name: As reports print it.
        definition: In words.
        terms: What a sample adds above and below the line.
        empty: Its value where nothing lies below the line.
    """

    name: str
    definition: str
    terms: Callable[[Overlap], tuple[float, float]]
    empty: float = math.nan


GIOU = Metric(
    "gIoU",
    "mean over samples of the IoU of the foreground, 1 for empty on empty; also called mIoU",
    lambda each: (each.iou, 1),
)
CIOU = Metric(
    "cIoU",
    "sum of intersections over sum of unions, over all samples; also called oIoU",
    lambda each: each,
    empty=1.0,
)


def precision_above(threshold: float) -> Metric:
    """Pr@t for a threshold t of at least 0 and below 1."""
    if not 0 <= threshold < 1:
        raise OptionError(f"Pr@{threshold:g} makes no sense; give a threshold from 0 to below 1")
    return Metric(
        f"Pr@{threshold:g}",
        f"share of samples with IoU strictly above {threshold:g}",
        lambda each: (float(each.iou > threshold), 1),
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
    said = name.strip().lower()
    found = _PRECISION.fullmatch(said)
    if found:
        return precision_above(float(found[1]))
    if said not in _NAMES:
        raise OptionError(f"{name!r} is no metric; give gIoU (mIoU), cIoU (oIoU) or Pr@0.5")
    return _NAMES[said]


@dataclass(frozen=True)
class Scores:
    """The overlaps of a set of samples. Adding two gives the scores of both sets together.

    Attributes:
        overlaps: One per sample.
        clusters: Samples of one scene share a name here: the bootstrap draws whole scenes. Without
            names each sample is drawn on its own.
    """

    overlaps: tuple[Overlap, ...] = ()
    clusters: tuple[str, ...] = ()

    @classmethod
    def of(cls, overlaps: Iterable[Overlap], clusters: Iterable[str] = ()) -> "Scores":
        """Scores of samples in any order."""
        return cls(tuple(overlaps), tuple(clusters))

    def __add__(self, other: "Scores") -> "Scores":
        """Scores of both sets."""
        return Scores(self.overlaps + other.overlaps, self.clusters + other.clusters)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.overlaps)

    def value(self, metric: Metric) -> float:
        """A metric; gIoU and Pr@t are NaN without samples."""
        above, below = (math.fsum(column) for column in self._columns(metric))
        return above / below if below else metric.empty if len(self) else math.nan

    def interval(self, metric: Metric) -> tuple[float, float]:
        """95 % bootstrap interval of a metric; NaN without samples."""
        above, below = self._columns(metric)
        return ratio_interval(above, below, self.clusters or _alone(len(self)), metric.empty)

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


def _alone(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))
