"""A system and the baselines on a held-out split: run, scored, and told as tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import fsum, isfinite, nan
from pathlib import Path
from types import MappingProxyType

from unigeoseg.evaluate import calibration, no_target
from unigeoseg.evaluate.metrics import CIOU, GIOU, precision
from unigeoseg.evaluate.paired import Comparison, as_table, compare_pairs
from unigeoseg.evaluate.predictions import PredictionFile
from unigeoseg.evaluate.reports.tables import PARTIAL, definitions, problem_lines, table
from unigeoseg.evaluate.run import Progress, Run
from unigeoseg.evaluate.run import run as run_suite
from unigeoseg.evaluate.score import Outcome, score
from unigeoseg.evaluate.score import as_json as outcome_json
from unigeoseg.evaluate.suites.held_out import FAMILIES, TASKS, UNSEEN, WORDS, HeldOut
from unigeoseg.evaluate.systems.baselines import BASELINES
from unigeoseg.report.document import Part, Section, Table, write_report
from unigeoseg.runtime.atomic import write_json

ANSWERS = "predictions.jsonl"
"""The file of the system's predictions."""

METRICS = (GIOU, CIOU, precision(0.5), precision(0.7), precision(0.9))


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        model: Name of the system.
        layout: The split.
        outcome: The system's result.
        baselines: Results of the baselines, each on its family alone.
    """

    model: str
    layout: HeldOut
    outcome: Outcome
    baselines: Mapping[str, Outcome]


def measure(
    layout: HeldOut,
    model: str,
    folder: Path,
    *,
    baselines: bool = True,
    progress: Progress = lambda done, total: None,
) -> Measured:
    """Run a system, and the baselines, and score them.

    Args:
        layout: The split.
        model: The system, as `predictors` names them.
        folder: Where the files of predictions are written; without any yet.
        baselines: Whether to run the baselines too.
        progress: Called as samples are done, from the start for each system.

    Raises:
        CheckpointError: If there are no weights of that name.
        DataError: If the dataset cannot be read.
        OutputUnwritableError: If predictions cannot be written.
    """
    outcome = _scored(layout, model, folder / ANSWERS, progress)
    there = {sample.family for sample in layout.samples()}
    beside = {
        name: _scored(layout, name, folder / f"{name}.jsonl", progress, (baseline.family,))
        for name, baseline in BASELINES.items()
        if baselines and baseline.family in there
    }
    return Measured(model, layout, outcome, MappingProxyType(beside))


def _scored(
    layout: HeldOut, system: str, out: Path, progress: Progress, families: tuple[str, ...] = ()
) -> Outcome:
    run_suite(layout, out, Run(layout.suite.name, system), progress=progress)
    return score(layout, PredictionFile.open(out), families=families)


def sections(found: Measured) -> list[Section]:
    """All tables."""
    outcome = found.outcome
    return [
        Section("Scores", [*_head(found), by_family(found)]),
        Section("Unseen words", _unseen(found)),
        Section("No target", [no_target.table(outcome.scored)]),
        Section("By source", [breakdown(outcome, "source")]),
        Section("By category", [breakdown(outcome, "category")]),
        Section("Calibration", calibration.table_parts(outcome.scored)),
    ]


def _head(found: Measured) -> Iterator[Part]:
    lines = list(problem_lines(found.outcome))
    if found.layout.asked.left_out:
        lines.append(f"left out: {found.layout.asked.left_out} images with pixels nobody knows")
    if found.layout.boxes != "none":
        lines.append(f"masks of objects that are labelled by boxes alone: {found.layout.boxes}'s")
    yield "\n".join(lines)
    if found.outcome.problems:
        yield PARTIAL


def by_family(found: Measured) -> Table:
    """A row per family of the system, and below it those of the baselines that can answer it."""
    families = found.outcome.by("family")
    rows = {}
    for family in FAMILIES:
        if family in families:
            rows[family] = families[family]
            rows |= {
                f"{family}, {name}": outcome.scores()
                for name, outcome in found.baselines.items()
                if BASELINES[name].family == family
            }
    return table(rows, METRICS, f"{_mean_line(found)}\n{definitions(found.outcome, METRICS)}")


def _mean_line(found: Measured) -> str:
    there = [family for family in TASKS if family in found.outcome.by("family")]
    return f"Mean gIoU of {', '.join(there)}: {100 * mean_of_tasks(found.outcome):.2f}."


def mean_of_tasks(outcome: Outcome) -> float:
    """Mean gIoU over the paper's families that have samples; NaN without any."""
    families = outcome.by("family")
    values = [families[family].giou for family in TASKS if family in families]
    return fsum(values) / len(values) if values else nan


def _unseen(found: Measured) -> list[Part]:
    compared = unseen_words(found)
    if not compared:
        return ["No target was asked for in both."]
    return [as_table(compared, "seen", "unseen")]


def unseen_words(found: Measured) -> list[Comparison]:
    """Words kept from every generator against words of training, on the same targets."""
    by_id = {each.id: each for each in found.outcome.scored}
    pairs = [
        (by_id[seen], by_id[unseen])
        for seen, unseen in found.layout.asked.pairs
        if seen in by_id and unseen in by_id
    ]
    groups = {
        family: [pair for pair in pairs if pair[1].family == family + UNSEEN] for family in WORDS
    }
    return [compare_pairs(name, group, GIOU) for name, group in groups.items() if group]


def breakdown(outcome: Outcome, facet: str) -> Table:
    """A row per value of a facet, a column per family: gIoU and the number of samples."""
    families = [family for family in FAMILIES if family in outcome.by("family")]
    rows = []
    for name in outcome.by(facet):
        scores = [outcome.scores(**{facet: name, "family": family}) for family in families]
        cells = [f"{100 * each.giou:.1f} ({len(each)})" if len(each) else "" for each in scores]
        rows.append((name or "not stated", *cells))
    return Table(("", *families), rows, "gIoU in percent, in brackets the number of samples.")


def as_json(found: Measured) -> dict[str, object]:
    """Everything that was found, as JSON values."""
    scored = found.outcome.scored
    bins = calibration.bins(scored)
    return {
        "model": found.model,
        "scores": outcome_json(found.outcome, METRICS),
        "baselines": {
            name: outcome_json(outcome, METRICS) for name, outcome in found.baselines.items()
        },
        "images_left_out": found.layout.asked.left_out,
        "masks_of_boxes": found.layout.boxes,
        "mean_of_tasks": _number(mean_of_tasks(found.outcome)),
        "unseen_words": {each.group: _numbers(asdict(each)) for each in unseen_words(found)},
        "no_target": {
            name: _numbers(asdict(each)) for name, each in no_target.shares(scored).items()
        },
        "calibration": {
            "expected_error": _number(calibration.expected_error(bins)),
            "bins": [asdict(each) for each in bins],
        },
    }


def write(found: Measured, tables: Sequence[Section], folder: Path, title: str) -> None:
    """Write table.md, table.json and reliability.png.

    Args:
        found: What was found.
        tables: The same as tables.
        folder: Where to.
        title: Of the tables.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputUnwritableError: If one cannot be written.
    """
    plot = Section("Reliability", ["![confidence and IoU](reliability.png)"])
    write_report(folder / "table.md", title, [*tables, plot])
    write_json(folder / "table.json", as_json(found))
    calibration.draw(found.outcome.scored, folder / "reliability.png")


def _numbers(values: Mapping[str, object]) -> dict[str, object]:
    return {
        name: _number(value) for name, value in values.items() if isinstance(value, int | float)
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
