"""Results as Markdown tables, each with what its numbers mean."""

from collections.abc import Iterator, Sequence

from unigeoseg.bench.metrics import DEFAULT, Metric, Scores
from unigeoseg.bench.score import FACETS, Outcome


def problem_lines(outcome: Outcome) -> Iterator[str]:
    """What was scored, under which protocol, and everything that is wrong."""
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


def overall(outcome: Outcome, metrics: Sequence[Metric] = DEFAULT) -> str:
    """All samples, then each task and family; below it the definitions."""
    rows = [("all", outcome.scores())]
    rows += [(name, scores) for name, scores in outcome.by("task").items()]
    rows += [(name, scores) for name, scores in outcome.by("family").items() if name]
    head = "PARTIAL: scores of the samples that have a usable prediction\n\n"
    marked = head if outcome.problems else ""
    return f"{marked}{table(rows, metrics)}\n\n{definitions(outcome, metrics)}"


def breakdown(outcome: Outcome, metrics: Sequence[Metric] = DEFAULT) -> str:
    """A table per facet beyond the task."""
    parts = []
    for facet in FACETS[1:]:
        rows = [(name or "not stated", scores) for name, scores in outcome.by(facet).items()]
        parts.append(f"### By {facet}\n\n{table(rows, metrics)}")
    return "\n\n".join(parts)


def table(rows: Sequence[tuple[str, Scores]], metrics: Sequence[Metric]) -> str:
    """A row per name: number of samples, each metric in percent with its 95 % interval."""
    lines = [
        f"| | samples | {' | '.join(each.name for each in metrics)} |",
        f"|---|---|{'---|' * len(metrics)}",
    ]
    for name, scores in rows:
        cells = " | ".join(_cell(scores, each) for each in metrics)
        lines.append(f"| {plain(name)} | {len(scores)} | {cells} |")
    return "\n".join(lines)


def definitions(outcome: Outcome, metrics: Sequence[Metric]) -> str:
    """What the numbers mean."""
    of = "boxes of the masks' largest regions" if outcome.suite.boxes else "masks"
    lines = [f"In percent, of {of}; in brackets the 95 % bootstrap interval over images."]
    lines += [f"{each.name}: {each.definition}." for each in metrics]
    return "\n".join(lines)


def plain(text: str) -> str:
    """A text that cannot break out of a cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _cell(scores: Scores, metric: Metric) -> str:
    low, high = scores.interval(metric)
    return f"{100 * scores.value(metric):.2f} [{100 * low:.1f}, {100 * high:.1f}]"
