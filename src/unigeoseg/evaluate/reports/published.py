"""Published numbers, with where they stand, to be put beside a new one."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from unigeoseg.evaluate.metrics import metric_named
from unigeoseg.evaluate.score import Outcome
from unigeoseg.report.document import Bold, Table


@dataclass(frozen=True)
class PublishedTable:
    """One table of a publication, in percent.

    Attributes:
        suite: Name of the suite.
        source: Where it stands.
        mode: How its masks were compared: "native", "released", or empty if nobody says.
        note: What to know about it.
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
    text = (files("unigeoseg.evaluate.reports") / "published.json").read_text("utf-8")
    return tuple(
        PublishedTable(**entry | {"columns": tuple(map(tuple, entry["columns"]))})
        for entry in json.loads(text)
    )


def published_comparison(outcome: Outcome, name: str) -> list[Table]:
    """The published tables of a suite with the new system's row below, and what differs."""
    return [
        _beside(each, outcome, name)
        for each in published_tables()
        if each.suite == outcome.suite.name
    ]


def _beside(table: PublishedTable, outcome: Outcome, name: str) -> Table:
    head = ("", *(f"{group} {metric}".strip() for group, metric in table.columns))
    rows = [(method, *map(_cell, numbers)) for method, numbers in table.rows.items()]
    ours = tuple(_cell(_number(outcome, group, wanted)) for group, wanted in table.columns)
    different = protocol_differences(table, outcome)
    mark = " †" if different else ""
    notes = [f"Source: {table.source}.", table.note, *(f"† {each}" for each in different)]
    return Table(head, (*rows, (Bold(name + mark), *ours)), "\n".join(filter(None, notes)))


def protocol_differences(table: PublishedTable, outcome: Outcome) -> list[str]:
    """In what the new number's protocol differs from the published one, or may."""
    found = []
    if not table.mode:
        found.append("How masks were scaled for these numbers is not stated.")
    elif table.mode != outcome.mode:
        found.append(f"Published in {table.mode} mode, this one is in {outcome.mode} mode.")
    if outcome.suite.samples not in (0, outcome.total):
        found.append(f"Published on {outcome.suite.samples} samples, this one has {outcome.total}.")
    if outcome.problems:
        found.append(f"Partial: {outcome.problems}.")
    return found


def _number(outcome: Outcome, group: str, wanted: str) -> float | None:
    facets = ({"task": group}, {"family": group}) if group else ({},)
    scores = max((outcome.scores(**facet) for facet in facets), key=len)
    return 100 * scores.value(metric_named(wanted)) if len(scores) else None


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"
