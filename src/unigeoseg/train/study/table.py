"""The table of an ablation study: each row against the full one, and against the paper."""

import math
import statistics
from collections.abc import Mapping, Sequence

from unigeoseg.prompt import Task
from unigeoseg.report.document import Table
from unigeoseg.train.study.ablations import ABLATIONS
from unigeoseg.train.study.study import BASELINE, Score

_NONE = "-"
_NOISE_ERRORS = 2  # standard errors within which a mean difference is noise
_NOTE = (
    "gIoU in percent on views of val groups: mean and standard deviation over seeds. Difference: "
    "the mean of those to the row full with the same seed, and their standard deviation; within "
    "noise if the mean is no more than two of its standard errors from zero. The paper's "
    "difference is Base's, on its own benchmark."
)

_BySeed = Mapping[int, float]
"""gIoU in percent by seed."""


def ablation_table(scores: Sequence[Score]) -> Table:
    """Scores of a study, a line per row and task, in the order of `ABLATIONS`."""
    scores_by_seed: dict[tuple[str, Task], dict[int, float]] = {}
    for score in scores:
        key = score.run.row, score.task
        scores_by_seed.setdefault(key, {})[score.run.seed] = 100 * score.giou
    lines = [
        _line(row, task, scores_by_seed[row, task], scores_by_seed.get((BASELINE, task), {}))
        for row in ABLATIONS
        for task in Task
        if (row, task) in scores_by_seed
    ]
    head = ("row", "task", "seeds", "gIoU", "difference", "paper's difference", "the sign")
    return Table(head, lines, _NOTE)


def _line(row: str, task: Task, values: _BySeed, baseline: _BySeed) -> tuple[str, ...]:
    scores = list(values.values())
    cells = (row, task.value, str(len(scores)), _mean_and_deviation(scores, ".1f"))
    if row == BASELINE:
        return (*cells, _NONE, _NONE, _NONE)
    differences = [values[seed] - baseline[seed] for seed in values if seed in baseline]
    expected = ABLATIONS[row].expected
    paper = None if expected is None else expected[task]
    return (
        *cells,
        _mean_and_deviation(differences, "+z.1f"),
        _NONE if paper is None else f"{paper:+.2f}",
        _compared_sign(differences, paper),
    )


def _mean_and_deviation(values: Sequence[float], form: str) -> str:
    if not values:
        return _NONE
    mean = format(statistics.fmean(values), form)
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def _compared_sign(differences: Sequence[float], paper: float | None) -> str:
    """Whether the mean difference has the sign of the paper's, or is within noise."""
    if len(differences) < 2:
        return _NONE
    mean = statistics.fmean(differences)
    standard_error = statistics.stdev(differences) / math.sqrt(len(differences))
    if abs(mean) <= _NOISE_ERRORS * standard_error:
        return "within noise"
    if paper is None:
        return "lower" if mean < 0 else "higher"
    return "agrees" if (mean < 0) == (paper < 0) else "opposite"
