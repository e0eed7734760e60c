"""gIoU, cIoU and Pr@t, from integer sums per sample, so that parts merge in any order.

Definitions (paper section 3):

- gIoU, also called mIoU over samples: the mean over samples of the IoU of the foreground.
- cIoU, also called oIoU: the sum of intersections over the sum of unions.
- Pr@t: the share of samples whose IoU is strictly above t.

Empty masks: an empty prediction of an empty truth has IoU 1; one of them empty, 0. In cIoU both
add what they are: nothing to the intersection, their pixels to the union.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Overlap(NamedTuple):
    """Pixels in both masks, and in either."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 if both masks are empty."""
        return self.intersection / self.union if self.union else 1.0


def overlap(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None
) -> Overlap:
    """Compare two masks (H, W) bool, where `valid` (H, W) bool; everywhere without it."""
    if mask.shape != truth.shape:
        raise ValueError(f"the mask is {mask.shape}, the truth {truth.shape}: they must be equal")
    both, either = mask & truth, mask | truth
    if valid is not None:
        both, either = both & valid, either & valid
    return Overlap(int(both.sum()), int(either.sum()))


@dataclass(frozen=True)
class Scores:
    """The overlaps of a set of samples. Adding two gives the scores of both sets together."""

    overlaps: tuple[Overlap, ...] = ()

    @classmethod
    def of(cls, overlaps: Iterable[Overlap]) -> "Scores":
        """Scores of samples in any order."""
        return cls(tuple(overlaps))

    def __add__(self, other: "Scores") -> "Scores":
        """Scores of both sets."""
        return Scores(self.overlaps + other.overlaps)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.overlaps)

    @property
    def giou(self) -> float:
        """Mean IoU over samples; NaN without samples."""
        return math.fsum(each.iou for each in self.overlaps) / len(self) if len(self) else math.nan

    @property
    def ciou(self) -> float:
        """Sum of intersections over sum of unions; 1 if all masks are empty."""
        return Overlap(
            sum(each.intersection for each in self.overlaps),
            sum(each.union for each in self.overlaps),
        ).iou

    def precision_at(self, threshold: float) -> float:
        """Share of samples with IoU strictly above `threshold`; NaN without samples."""
        above = sum(each.iou > threshold for each in self.overlaps)
        return above / len(self) if len(self) else math.nan

    def giou_interval(self, *, rounds: int = 1000, seed: int = 0) -> tuple[float, float]:
        """95 % bootstrap interval of gIoU; NaN without samples."""
        if not len(self):
            return math.nan, math.nan
        ious = np.array([each.iou for each in self.overlaps])
        rng = np.random.default_rng(seed)
        means = [ious[rng.integers(len(ious), size=len(ious))].mean() for _ in range(rounds)]
        low, high = np.percentile(means, (2.5, 97.5))
        return float(low), float(high)
