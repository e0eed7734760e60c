"""Score tables and bars of an outcome, with the definitions of their numbers."""

from collections.abc import Iterator, Mapping, Sequence

from unigeoseg.evaluate.metrics import DEFAULT, GIOU, Metric, Scores
from unigeoseg.evaluate.score import Outcome
from unigeoseg.report.document import Bars, Table

PARTIAL = "PARTIAL: scores of the samples that have a usable prediction"


def problem_lines(outcome: Outcome) -> Iterator[str]:
    """A line for the suite, one for the protocol, and one for each problem."""
    families = f", {', '.join(outcome.families)} alone" if outcome.families else ""
    yield f"{outcome.suite.title}{families}: {outcome.total} samples, {len(outcome.scored)} scored"
    yield f"protocol {outcome.protocol}: {outcome.mode} size; {outcome.suite.protocol}"
    published = outcome.suite.samples
    if published and not outcome.families and published != outcome.total:
        yield f"its publisher counts {published} samples"
    for name, count in outcome.problems.counts.items():
        if count:
            yield f"{name}: {count}"
    yield from filter(None, (outcome.problems.example, outcome.problems.suite))


def overall_table(outcome: Outcome, metrics: Sequence[Metric] = DEFAULT) -> Table:
    """All samples, then each task and family; below it the definitions."""
    rows = {"all": outcome.scores(), **outcome.by("task")}
    rows |= {name: scores for name, scores in outcome.by("family").items() if name}
    return score_table(rows, metrics, metric_definitions(outcome, metrics))


def score_table(rows: Mapping[str, Scores], metrics: Sequence[Metric], note: str = "") -> Table:
    """A row per name: number of samples, each metric in percent with its 95 % interval."""
    head = ("", "samples", *(metric.name for metric in metrics))
    cells = [
        (name or "not stated", str(len(scores)), *(_cell(scores, metric) for metric in metrics))
        for name, scores in rows.items()
    ]
    return Table(head, cells, note)


def giou_bars(rows: Mapping[str, Scores]) -> Bars:
    """GIoU per name, the best first."""
    ranked = sorted(rows.items(), key=lambda pair: (-pair[1].giou, pair[0]))
    return Bars(
        [
            (name or "not stated", scores.giou, f"{_cell(scores, GIOU)}, {len(scores)} samples")
            for name, scores in ranked
        ]
    )


def metric_definitions(outcome: Outcome, metrics: Sequence[Metric]) -> str:
    """The units of the numbers, and a line per metric."""
    compared = "boxes of the masks' largest regions" if outcome.suite.boxes else "masks"
    lines = [f"In percent, of {compared}; in brackets the 95 % bootstrap interval over scenes."]
    lines += [f"{metric.name}: {metric.definition}." for metric in metrics]
    return "\n".join(lines)


def _cell(scores: Scores, metric: Metric) -> str:
    low, high = scores.interval(metric)
    return f"{100 * scores.value(metric):.2f} [{100 * low:.1f}, {100 * high:.1f}]"
