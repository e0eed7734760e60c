"""A system and the baselines on a held-out split: run, scored, and told as tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import fsum, isfinite, nan
from pathlib import Path
from types import MappingProxyType

from unigeoseg.evaluate import calibration, no_target
from unigeoseg.evaluate.metrics import CIOU, GIOU, precision_above
from unigeoseg.evaluate.paired import Comparison, compare_pairs, comparison_table
from unigeoseg.evaluate.predictions import PredictionFile
from unigeoseg.evaluate.reports.score_tables import (
    PARTIAL,
    metric_definitions,
    problem_lines,
    score_table,
)
from unigeoseg.evaluate.run import Progress, RunCard, run_suite
from unigeoseg.evaluate.score import Outcome, outcome_values, score_predictions
from unigeoseg.evaluate.suites.held_out import FAMILIES, TASKS, UNSEEN, WORDS, HeldOutLayout
from unigeoseg.evaluate.systems.baselines import BASELINES
from unigeoseg.report.document import ImageFile, Part, Section, Table, write_report
from unigeoseg.runtime.atomic import write_json

ANSWERS = "predictions.jsonl"
"""The file of the system's predictions."""

METRICS = (GIOU, CIOU, precision_above(0.5), precision_above(0.7), precision_above(0.9))


@dataclass(frozen=True)
class HeldOutResult:
    """What was found.

    Attributes:
        model: Name of the system.
        layout: The split.
        outcome: The system's result.
        baselines: Results of the baselines, each on its family alone.
    """

    model: str
    layout: HeldOutLayout
    outcome: Outcome
    baselines: Mapping[str, Outcome]


def measure_held_out(
    layout: HeldOutLayout,
    model: str,
    folder: Path,
    *,
    baselines: bool = True,
    progress: Progress = lambda done, total: None,
) -> HeldOutResult:
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
    return HeldOutResult(model, layout, outcome, MappingProxyType(beside))


def _scored(
    layout: HeldOutLayout,
    system: str,
    out: Path,
    progress: Progress,
    families: tuple[str, ...] = (),
) -> Outcome:
    run_suite(layout, out, RunCard(layout.suite.name, system), progress=progress)
    return score_predictions(layout, PredictionFile.open(out), families=families)


def held_out_sections(found: HeldOutResult) -> list[Section]:
    """All tables."""
    outcome = found.outcome
    return [
        Section("Scores", [*_head(found), family_table(found)]),
        Section("Unseen words", _unseen(found)),
        Section("No target", [no_target.no_target_table(outcome.scored)]),
        Section("By source", [breakdown_table(outcome, "source")]),
        Section("By category", [breakdown_table(outcome, "category")]),
        Section("Calibration", calibration.calibration_parts(outcome.scored)),
    ]


def _head(found: HeldOutResult) -> Iterator[Part]:
    lines = list(problem_lines(found.outcome))
    if found.layout.asked.left_out:
        lines.append(f"left out: {found.layout.asked.left_out} images with pixels nobody knows")
    if found.layout.boxes != "none":
        lines.append(f"masks of objects that are labelled by boxes alone: {found.layout.boxes}'s")
    yield "\n".join(lines)
    if found.outcome.problems:
        yield PARTIAL


def family_table(found: HeldOutResult) -> Table:
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
    return score_table(
        rows, METRICS, f"{_mean_line(found)}\n{metric_definitions(found.outcome, METRICS)}"
    )


def _mean_line(found: HeldOutResult) -> str:
    there = [family for family in TASKS if family in found.outcome.by("family")]
    return f"Mean gIoU of {', '.join(there)}: {100 * mean_of_tasks(found.outcome):.2f}."


def mean_of_tasks(outcome: Outcome) -> float:
    """Mean gIoU over the paper's families that have samples; NaN without any."""
    families = outcome.by("family")
    values = [families[family].giou for family in TASKS if family in families]
    return fsum(values) / len(values) if values else nan


def _unseen(found: HeldOutResult) -> list[Part]:
    compared = compare_unseen_words(found)
    if not compared:
        return ["No target was asked for in both."]
    return [comparison_table(compared, "seen", "unseen")]


def compare_unseen_words(found: HeldOutResult) -> list[Comparison]:
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


def breakdown_table(outcome: Outcome, facet: str) -> Table:
    """A row per value of a facet, a column per family: gIoU and the number of samples."""
    families = [family for family in FAMILIES if family in outcome.by("family")]
    rows = []
    for name in outcome.by(facet):
        scores = [outcome.scores(**{facet: name, "family": family}) for family in families]
        cells = [f"{100 * each.giou:.1f} ({len(each)})" if len(each) else "" for each in scores]
        rows.append((name or "not stated", *cells))
    return Table(("", *families), rows, "gIoU in percent, in brackets the number of samples.")


def held_out_values(found: HeldOutResult) -> dict[str, object]:
    """Everything that was found, as JSON values."""
    scored = found.outcome.scored
    bins = calibration.reliability_bins(scored)
    return {
        "model": found.model,
        "scores": outcome_values(found.outcome, METRICS),
        "baselines": {
            name: outcome_values(outcome, METRICS) for name, outcome in found.baselines.items()
        },
        "images_left_out": found.layout.asked.left_out,
        "masks_of_boxes": found.layout.boxes,
        "mean_of_tasks": _number(mean_of_tasks(found.outcome)),
        "unseen_words": {
            each.group: _numbers(asdict(each)) for each in compare_unseen_words(found)
        },
        "no_target": {
            name: _numbers(asdict(each))
            for name, each in no_target.no_target_ratios(scored).items()
        },
        "calibration": {
            "expected_error": _number(calibration.expected_calibration_error(bins)),
            "bins": [asdict(each) for each in bins],
        },
    }


def write_held_out_report(
    found: HeldOutResult, tables: Sequence[Section], folder: Path, title: str
) -> None:
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
    plot = Section("Reliability", [ImageFile("reliability.png", "confidence and IoU")])
    write_report(folder / "table.md", title, [*tables, plot])
    write_json(folder / "table.json", held_out_values(found))
    calibration.save_reliability_plot(found.outcome.scored, folder / "reliability.png")


def _numbers(values: Mapping[str, object]) -> dict[str, object]:
    return {
        name: _number(value) for name, value in values.items() if isinstance(value, int | float)
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
