"""A study as a table: each row against the full one, seed by seed, and against the paper."""

import math
import statistics
from collections.abc import Mapping, Sequence

from unigeoseg.prompt import Task
from unigeoseg.report.document import Table
from unigeoseg.train.study.ablations import ABLATIONS
from unigeoseg.train.study.study import BASELINE, Score

NONE = "-"
_NOTE = (
    "gIoU in percent on views of val groups: mean and standard deviation over seeds. Difference: "
    "the mean of those to the row full with the same seed, and their standard deviation; within "
    "noise if the mean is no more than two of its standard errors from zero. The paper's "
    "difference is Base's, on its own benchmark."
)

_BySeed = Mapping[int, float]


def table(scores: Sequence[Score]) -> Table:
    """A line per row and task, in the order of `ABLATIONS`."""
    found: dict[tuple[str, Task], dict[int, float]] = {}
    for score in scores:
        key = score.run.row, score.task
        found.setdefault(key, {})[score.run.seed] = 100 * score.giou
    lines = [
        _line(row, task, found[row, task], found.get((BASELINE, task), {}))
        for row in ABLATIONS
        for task in Task
        if (row, task) in found
    ]
    head = ("row", "task", "seeds", "gIoU", "difference", "paper's difference", "the sign")
    return Table(head, lines, _NOTE)


def _line(row: str, task: Task, values: _BySeed, baseline: _BySeed) -> tuple[str, ...]:
    mine = list(values.values())
    said = (row, task.value, str(len(mine)), _spread(mine, ".1f"))
    if row == BASELINE:
        return (*said, NONE, NONE, NONE)
    apart = [values[seed] - baseline[seed] for seed in values if seed in baseline]
    expected = ABLATIONS[row].expected
    paper = None if expected is None else expected[task]
    return (
        *said,
        _spread(apart, "+z.1f"),
        NONE if paper is None else f"{paper:+.2f}",
        _sign(apart, paper),
    )


def _spread(values: Sequence[float], form: str) -> str:
    if not values:
        return NONE
    mean = format(statistics.fmean(values), form)
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def _sign(apart: Sequence[float], paper: float | None) -> str:
    """Whether differences go the way of the paper's, as far as their noise lets that be said."""
    if len(apart) < 2:
        return NONE
    mean = statistics.fmean(apart)
    if abs(mean) <= 2 * statistics.stdev(apart) / math.sqrt(len(apart)):
        return "within noise"
    if paper is None:
        return "lower" if mean < 0 else "higher"
    return "agrees" if (mean < 0) == (paper < 0) else "opposite"
