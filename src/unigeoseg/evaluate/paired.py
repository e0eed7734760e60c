"""Paired comparison of two systems on the same samples, with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from unigeoseg.errors import OptionError
from unigeoseg.evaluate.bootstrap import difference_interval
from unigeoseg.evaluate.metrics import DEFAULT, Metric
from unigeoseg.evaluate.score import Outcome, ScoredSample
from unigeoseg.report.document import Table


@dataclass(frozen=True)
class Comparison:
    """One metric of two systems on one group of samples.

    Attributes:
        group: Name of the group.
        metric: The metric.
        samples: How many samples both have.
        first: Value of the first system.
        second: Value of the second.
        low: Lower end of the 95 % interval of the difference, second minus first.
        high: Its upper end.
    """

    group: str
    metric: Metric
    samples: int
    first: float
    second: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Which one is better, if the interval does not hold zero."""
        if self.low > 0:
            return "second is better"
        return "first is better" if self.high < 0 else "not told apart"


def compare_outcomes(
    first: Outcome, second: Outcome, metrics: tuple[Metric, ...] = DEFAULT
) -> list[Comparison]:
    """Compare two results on the samples that both have, all of them and by task and family.

    Raises:
        OptionError: If they are of different protocols, or share no sample.
    """
    if first.protocol != second.protocol:
        raise OptionError(
            f"the protocols differ ({first.protocol} and {second.protocol}): the results cannot be "
            "compared; score both on the same suite, families and mode"
        )
    by_id = {sample.id: sample for sample in second.scored}
    pairs = [(sample, by_id[sample.id]) for sample in first.scored if sample.id in by_id]
    if not pairs:
        raise OptionError("the two files share no sample that can be scored; look at each alone")
    groups = {"all": pairs}
    for facet in ("task", "family"):
        for name in sorted({getattr(sample, facet) for sample, _ in pairs} - {""}):
            groups[name] = [pair for pair in pairs if getattr(pair[0], facet) == name]
    return [
        compare_pairs(name, group, metric) for name, group in groups.items() for metric in metrics
    ]


def compare_pairs(
    group: str, pairs: Sequence[tuple[ScoredSample, ScoredSample]], metric: Metric
) -> Comparison:
    """Compare the second of each pair with the first.

    Args:
        group: Name of the group.
        pairs: At least one, each of one scene.
        metric: The metric.
    """
    columns = []
    for side in (0, 1):
        terms = [metric.terms(pair[side].overlap) for pair in pairs]
        columns.append(([term for term, _ in terms], [term for _, term in terms]))
    scenes = [sample.group for sample, _ in pairs]
    values = [
        sum(numerators) / sum(denominators) if sum(denominators) else metric.empty
        for numerators, denominators in columns
    ]
    low, high = difference_interval(columns[0], columns[1], scenes, metric.empty)
    return Comparison(group, metric, len(pairs), values[0], values[1], low, high)


def comparison_table(comparisons: list[Comparison], first: str, second: str) -> Table:
    """A row per group and metric, in percent."""
    rows = [
        (
            row.group,
            row.metric.name,
            str(row.samples),
            f"{100 * row.first:.2f}",
            f"{100 * row.second:.2f}",
            f"{100 * (row.second - row.first):+.2f} [{100 * row.low:+.2f}, {100 * row.high:+.2f}]",
            row.verdict,
        )
        for row in comparisons
    ]
    head = ("", "metric", "samples", first, second, "second - first", "")
    note = "In percent. In brackets the 95 % bootstrap interval of the difference, over scenes."
    return Table(head, rows, note)
