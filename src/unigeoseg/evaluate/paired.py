"""Two systems on the same samples: how far apart they are, and whether that is more than chance."""

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
        one: Value of the first system.
        other: Value of the second.
        low: Lower end of the 95 % interval of the difference, second minus first.
        high: Its upper end.
    """

    group: str
    metric: Metric
    samples: int
    one: float
    other: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Which one is better, if the interval does not hold zero."""
        if self.low > 0:
            return "second is better"
        return "first is better" if self.high < 0 else "not told apart"


def compare_outcomes(
    one: Outcome, other: Outcome, metrics: tuple[Metric, ...] = DEFAULT
) -> list[Comparison]:
    """Compare two results on the samples that both have, all of them and by task and family.

    Raises:
        OptionError: If they are of different protocols, or share no sample.
    """
    if one.protocol != other.protocol:
        raise OptionError(
            f"the protocols differ ({one.protocol} and {other.protocol}): the results cannot be "
            "compared; score both on the same suite, families and mode"
        )
    second = {each.id: each for each in other.scored}
    pairs = [(each, second[each.id]) for each in one.scored if each.id in second]
    if not pairs:
        raise OptionError("the two files share no sample that can be scored; look at each alone")
    groups = {"all": pairs}
    for facet in ("task", "family"):
        for name in sorted({getattr(each, facet) for each, _ in pairs} - {""}):
            groups[name] = [pair for pair in pairs if getattr(pair[0], facet) == name]
    return [compare_pairs(name, group, each) for name, group in groups.items() for each in metrics]


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
        columns.append(([above for above, _ in terms], [below for _, below in terms]))
    scenes = [first.group for first, _ in pairs]
    values = [sum(above) / sum(below) if sum(below) else metric.empty for above, below in columns]
    low, high = difference_interval(columns[0], columns[1], scenes, metric.empty)
    return Comparison(group, metric, len(pairs), values[0], values[1], low, high)


def comparison_table(found: list[Comparison], first: str, second: str) -> Table:
    """A row per group and metric, in percent."""
    rows = [
        (
            each.group,
            each.metric.name,
            str(each.samples),
            f"{100 * each.one:.2f}",
            f"{100 * each.other:.2f}",
            f"{100 * (each.other - each.one):+.2f} [{100 * each.low:+.2f}, {100 * each.high:+.2f}]",
            each.verdict,
        )
        for each in found
    ]
    head = ("", "metric", "samples", first, second, "second - first", "")
    note = "In percent. In brackets the 95 % bootstrap interval of the difference, over scenes."
    return Table(head, rows, note)
