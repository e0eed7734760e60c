"""Calibration: how confidence agrees with the IoU of the masks (Guo et al., arXiv:1706.04599).

A confidence is read as an estimate of the sample's IoU. Samples are put in bins of equal width by
confidence; the expected calibration error is the mean over samples of the gap between the mean
confidence and the mean IoU of their bin.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unigeoseg.evaluate.score import ScoredSample
from unigeoseg.report.document import Part, Table
from unigeoseg.report.figure import new_figure, save_figure

BINS = 15
_DOT_AREA, _DOT_GROWTH = 10, 400  # of the plot, in square points: least, and for all samples


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """A bin of a reliability diagram: the samples of one range of confidence, at least one.

    Attributes:
        low: Least confidence of the range.
        high: Its end, which belongs to the last range alone.
        samples: How many there are.
        mean_confidence: Of these samples.
        mean_iou: Of these samples.
    """

    low: float
    high: float
    samples: int
    mean_confidence: float
    mean_iou: float


def reliability_bins(scored: Iterable[ScoredSample]) -> list[ReliabilityBin]:
    """The bins that have samples, by rising confidence; only confidences in [0, 1] count."""
    groups: defaultdict[int, list[ScoredSample]] = defaultdict(list)
    for sample in scored:
        if 0 <= sample.confidence <= 1:
            groups[min(int(sample.confidence * BINS), BINS - 1)].append(sample)
    return [
        ReliabilityBin(
            low=index / BINS,
            high=(index + 1) / BINS,
            samples=len(members),
            mean_confidence=math.fsum(sample.confidence for sample in members) / len(members),
            mean_iou=math.fsum(sample.overlap.iou for sample in members) / len(members),
        )
        for index, members in sorted(groups.items())
    ]


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Expected calibration error, from 0 to 1; NaN without samples."""
    total = sum(group.samples for group in bins)
    gaps = math.fsum(group.samples * abs(group.mean_confidence - group.mean_iou) for group in bins)
    return gaps / total if total else math.nan


def calibration_parts(scored: Iterable[ScoredSample]) -> list[Part]:
    """The bins and the expected error as a table of a report."""
    bins = reliability_bins(scored)
    if not bins:
        return ["The predictions have no scores between 0 and 1."]
    rows = [
        (
            f"{group.low:.2f} to {group.high:.2f}",
            str(group.samples),
            f"{100 * group.mean_confidence:.1f}",
            f"{100 * group.mean_iou:.1f}",
        )
        for group in bins
    ]
    total = sum(group.samples for group in bins)
    error = f"{100 * expected_calibration_error(bins):.1f} points of IoU, over {total} samples"
    note = f"Expected calibration error: {error}."
    return [Table(("score", "samples", "mean score", "mean IoU"), rows, note)]


def save_reliability_plot(scored: Iterable[ScoredSample], path: Path) -> None:
    """A reliability diagram as an image: mean IoU over mean confidence, dots by number of samples.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputUnwritableError: If it cannot be written.
    """
    bins = reliability_bins(scored)
    total = max(sum(group.samples for group in bins), 1)
    figure = new_figure("a reliability plot", 4.2, 4.2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    confidences = [group.mean_confidence for group in bins]
    ious = [group.mean_iou for group in bins]
    axes.plot(confidences, ious, linewidth=1)
    axes.scatter(
        confidences, ious, [_DOT_AREA + _DOT_GROWTH * group.samples / total for group in bins]
    )
    title = f"expected calibration error {expected_calibration_error(bins):.3f}, {total} samples"
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="IoU")
    axes.set_title(title, fontsize=10)
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    save_figure(figure, path)
