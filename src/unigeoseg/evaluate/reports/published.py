"""Published results with their sources, and tables that put a new result beside them."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from unigeoseg.evaluate.metrics import metric_named
from unigeoseg.evaluate.score import Outcome
from unigeoseg.report.document import Bold, Table
from unigeoseg.runtime.records import record_from_json


@dataclass(frozen=True)
class PublishedTable:
    """A table of a publication, in percent.

    Attributes:
        suite: Name of the suite.
        source: The publication.
        mode: How its masks were compared: "native", "released", or empty if not stated.
        note: Remarks on its numbers, or empty.
        columns: Task or family (empty for all samples), and metric.
        rows: Method -> a number per column, None where none was published.
    """

    suite: str
    source: str
    mode: str
    note: str
    columns: tuple[tuple[str, str], ...]
    rows: dict[str, list[float | None]]


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """All tables, read once from the package."""
    path = files("unigeoseg.evaluate.reports") / "published.json"
    return record_from_json(tuple[PublishedTable, ...], path.read_bytes(), "published.json")


def published_comparison(outcome: Outcome, name: str) -> list[Table]:
    """The published tables of a suite with the new system's row below, and what differs."""
    return [
        _with_result(table, outcome, name)
        for table in published_tables()
        if table.suite == outcome.suite.name
    ]


def _with_result(table: PublishedTable, outcome: Outcome, name: str) -> Table:
    head = ("", *(f"{group} {metric}".strip() for group, metric in table.columns))
    rows = [(method, *map(_cell, numbers)) for method, numbers in table.rows.items()]
    result = tuple(_cell(_score_of(outcome, *column)) for column in table.columns)
    differences = protocol_differences(table, outcome)
    mark = " †" if differences else ""
    notes = [f"Source: {table.source}.", table.note, *(f"† {line}" for line in differences)]
    return Table(head, (*rows, (Bold(name + mark), *result)), "\n".join(filter(None, notes)))


def protocol_differences(table: PublishedTable, outcome: Outcome) -> list[str]:
    """How the protocol of a new result differs from the published one, or may differ."""
    differences = []
    if not table.mode:
        differences.append("How masks were scaled for these numbers is not stated.")
    elif table.mode != outcome.mode:
        differences.append(f"Published in {table.mode} mode, this one is in {outcome.mode} mode.")
    if outcome.suite.samples not in (0, outcome.total):
        differences.append(
            f"Published on {outcome.suite.samples} samples, this one has {outcome.total}."
        )
    if outcome.problems:
        differences.append(f"Partial: {outcome.problems}.")
    return differences


def _score_of(outcome: Outcome, group: str, metric: str) -> float | None:
    """A metric in percent over a task or a family, over all samples without one."""
    facets = ({"task": group}, {"family": group}) if group else ({},)
    scores = max((outcome.scores(**facet) for facet in facets), key=len)
    return 100 * scores.value(metric_named(metric)) if len(scores) else None


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"
