"""No-target recognition: whether a mask is empty where nothing answers the instruction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

from unigeoseg.evaluate.bootstrap import ratio_interval
from unigeoseg.evaluate.score import ScoredSample
from unigeoseg.evaluate.suites.held_out import ABSENT, WORDS
from unigeoseg.report.document import Table


@dataclass(frozen=True, slots=True)
class Ratio:
    """A share of samples with its interval.

    Attributes:
        hits: Samples that count.
        samples: Samples of which it is the share.
        value: The share; NaN without samples.
        low: Lower end of its 95 % interval.
        high: Its upper end.
    """

    hits: int
    samples: int
    value: float
    low: float
    high: float


def no_target_ratios(scored: Sequence[ScoredSample]) -> Mapping[str, Ratio]:
    """Precision and recall of "no target", over whole categories and absent ones.

    Precision: of samples with an empty mask, the share whose truth is empty. Recall: of samples
    whose truth is empty, the share with an empty mask.
    """
    texts = [sample for sample in scored if sample.family in (*WORDS, ABSENT)]
    empty_masks = [sample for sample in texts if sample.predicted_px == 0]
    empty_truths = [sample for sample in texts if sample.truth_px == 0]
    return {
        "precision": _ratio([sample.truth_px == 0 for sample in empty_masks], empty_masks),
        "recall": _ratio([sample.predicted_px == 0 for sample in empty_truths], empty_truths),
    }


def _ratio(hits: Sequence[bool], samples: Sequence[ScoredSample]) -> Ratio:
    count = len(samples)
    low, high = ratio_interval(hits, [1.0] * count, [sample.group for sample in samples], nan)
    return Ratio(sum(hits), count, sum(hits) / count if count else nan, low, high)


def no_target_table(scored: Sequence[ScoredSample]) -> Table:
    """Precision and recall as a table of a report."""
    rows = [
        (
            name,
            f"{ratio.hits} of {ratio.samples}",
            f"{100 * ratio.value:.2f} [{100 * ratio.low:.1f}, {100 * ratio.high:.1f}]",
        )
        for name, ratio in no_target_ratios(scored).items()
        if ratio.samples
    ]
    note = (
        f"An empty mask says so. Over {', '.join(WORDS)} and {ABSENT}. Precision: of empty masks, "
        "those where nothing is meant. Recall: of samples that mean nothing, those with an empty "
        "mask."
    )
    return Table(("", "samples", "share"), rows, note)
