"""How well a system says that nothing answers: by an empty mask, where texts ask for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

from unigeoseg.evaluate.bootstrap import ratio_interval
from unigeoseg.evaluate.score import ScoredSample
from unigeoseg.evaluate.suites.held_out import ABSENT, WORDS
from unigeoseg.report.document import Table


@dataclass(frozen=True, slots=True)
class Ratio:
    """A share of samples.

    Attributes:
        hits: Samples that count.
        samples: All of them.
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
    """Precision and recall of "no target", over whole categories and what is absent.

    Precision: the share of empty masks where nothing is meant. Recall: the share of samples that
    mean nothing with an empty mask.
    """
    asked = [each for each in scored if each.family in (*WORDS, ABSENT)]
    said = [each for each in asked if each.found == 0]
    meant = [each for each in asked if each.truth == 0]
    return {
        "precision": _ratio([each.truth == 0 for each in said], said),
        "recall": _ratio([each.found == 0 for each in meant], meant),
    }


def _ratio(hits: Sequence[bool], among: Sequence[ScoredSample]) -> Ratio:
    scenes = [each.group for each in among]
    low, high = ratio_interval(hits, [1.0] * len(among), scenes, nan)
    return Ratio(sum(hits), len(among), sum(hits) / len(among) if among else nan, low, high)


def no_target_table(scored: Sequence[ScoredSample]) -> Table:
    """Precision and recall as a table of a report."""
    rows = [
        (
            name,
            f"{each.hits} of {each.samples}",
            f"{100 * each.value:.2f} [{100 * each.low:.1f}, {100 * each.high:.1f}]",
        )
        for name, each in no_target_ratios(scored).items()
        if each.samples
    ]
    note = (
        f"An empty mask says so. Over {', '.join(WORDS)} and {ABSENT}. Precision: of empty masks, "
        "those where nothing is meant. Recall: of samples that mean nothing, those with an empty "
        "mask."
    )
    return Table(("", "samples", "share"), rows, note)
