"""How a system's confidence agrees with the IoU of its masks (Guo et al., arXiv:1706.04599).

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


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The samples of one range of confidence, at least one.

    Attributes:
        low: Least confidence of the range.
        high: Its end, which belongs to the last range alone.
        samples: How many there are.
        said: Their mean confidence.
        found: Their mean IoU.
    """

    low: float
    high: float
    samples: int
    said: float
    found: float


def reliability_bins(scored: Iterable[ScoredSample]) -> list[ReliabilityBin]:
    """The bins that have samples, from unsure to sure; without a confidence from 0 to 1, none."""
    groups: defaultdict[int, list[ScoredSample]] = defaultdict(list)
    for each in scored:
        if 0 <= each.score <= 1:
            groups[min(int(each.score * BINS), BINS - 1)].append(each)
    return [
        ReliabilityBin(
            low=at / BINS,
            high=(at + 1) / BINS,
            samples=len(members),
            said=math.fsum(each.score for each in members) / len(members),
            found=math.fsum(each.overlap.iou for each in members) / len(members),
        )
        for at, members in sorted(groups.items())
    ]


def expected_calibration_error(found: Sequence[ReliabilityBin]) -> float:
    """Expected calibration error, from 0 to 1; NaN without samples."""
    total = sum(each.samples for each in found)
    gaps = math.fsum(each.samples * abs(each.said - each.found) for each in found)
    return gaps / total if total else math.nan


def calibration_parts(scored: Iterable[ScoredSample]) -> list[Part]:
    """The bins and the expected error as a table of a report."""
    found = reliability_bins(scored)
    if not found:
        return ["The predictions have no scores between 0 and 1."]
    rows = [
        (
            f"{each.low:.2f} to {each.high:.2f}",
            str(each.samples),
            f"{100 * each.said:.1f}",
            f"{100 * each.found:.1f}",
        )
        for each in found
    ]
    total = sum(each.samples for each in found)
    error = f"{100 * expected_calibration_error(found):.1f} points of IoU, over {total} samples"
    note = f"Expected calibration error: {error}."
    return [Table(("score", "samples", "mean score", "mean IoU"), rows, note)]


def save_reliability_plot(scored: Iterable[ScoredSample], path: Path) -> None:
    """Draw the bins as an image: mean IoU over mean confidence, larger where there are more.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputUnwritableError: If it cannot be written.
    """
    found = reliability_bins(scored)
    total = max(sum(each.samples for each in found), 1)
    drawn = new_figure("a reliability plot", 4.2, 4.2)
    axes = drawn.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    said, reached = [each.said for each in found], [each.found for each in found]
    axes.plot(said, reached, linewidth=1)
    axes.scatter(said, reached, [10 + 400 * each.samples / total for each in found])
    title = f"expected calibration error {expected_calibration_error(found):.3f}, {total} samples"
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="IoU")
    axes.set_title(title, fontsize=10)
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    save_figure(drawn, path)
