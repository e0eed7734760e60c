"""The held-out report: a system and the baselines on a held-out split, run, scored, as tables."""

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
    """Results on a held-out split.

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
    progress: Progress = lambda count, total: None,
) -> HeldOutResult:
    """Run a system, and the baselines, and score them.

    Args:
        layout: The split.
        model: The system, as `systems.registry` names them.
        folder: Directory for the files of predictions; it has none yet.
        baselines: Whether to run the baselines too.
        progress: Called as samples are predicted, from 0 for each system.

    Raises:
        CheckpointError: If there are no weights of that name.
        DataError: If the dataset cannot be read.
        OutputUnwritableError: If predictions cannot be written.
    """
    outcome = _run_and_score(layout, model, folder / ANSWERS, progress)
    families = {sample.family for sample in layout.samples()}
    baseline_outcomes = {
        name: _run_and_score(layout, name, folder / f"{name}.jsonl", progress, (baseline.family,))
        for name, baseline in BASELINES.items()
        if baselines and baseline.family in families
    }
    return HeldOutResult(model, layout, outcome, MappingProxyType(baseline_outcomes))


def _run_and_score(
    layout: HeldOutLayout,
    system: str,
    out: Path,
    progress: Progress,
    families: tuple[str, ...] = (),
) -> Outcome:
    run_suite(layout, out, RunCard(layout.suite.name, system), progress=progress)
    return score_predictions(layout, PredictionFile.open(out), families=families)


def held_out_sections(result: HeldOutResult) -> list[Section]:
    """All tables."""
    outcome = result.outcome
    return [
        Section("Scores", [*_head(result), family_table(result)]),
        Section("Unseen words", _unseen(result)),
        Section("No target", [no_target.no_target_table(outcome.scored)]),
        Section("By source", [breakdown_table(outcome, "source")]),
        Section("By category", [breakdown_table(outcome, "category")]),
        Section("Calibration", calibration.calibration_parts(outcome.scored)),
    ]


def _head(result: HeldOutResult) -> Iterator[Part]:
    lines = list(problem_lines(result.outcome))
    if result.layout.selection.left_out:
        lines.append(
            f"left out: {result.layout.selection.left_out} images with pixels nobody knows"
        )
    if result.layout.boxes != "none":
        lines.append(f"masks of objects that are labelled by boxes alone: {result.layout.boxes}'s")
    yield "\n".join(lines)
    if result.outcome.problems:
        yield PARTIAL


def family_table(result: HeldOutResult) -> Table:
    """A row per family of the system, and below it those of the baselines that can answer it."""
    families = result.outcome.by("family")
    rows = {}
    for family in FAMILIES:
        if family in families:
            rows[family] = families[family]
            rows |= {
                f"{family}, {name}": outcome.scores()
                for name, outcome in result.baselines.items()
                if BASELINES[name].family == family
            }
    return score_table(
        rows, METRICS, f"{_mean_line(result)}\n{metric_definitions(result.outcome, METRICS)}"
    )


def _mean_line(result: HeldOutResult) -> str:
    families = result.outcome.by("family")
    names = ", ".join(family for family in TASKS if family in families)
    return f"Mean gIoU of {names}: {100 * mean_of_tasks(result.outcome):.2f}."


def mean_of_tasks(outcome: Outcome) -> float:
    """Mean gIoU over the paper's families that have samples; NaN without any."""
    families = outcome.by("family")
    values = [families[family].giou for family in TASKS if family in families]
    return fsum(values) / len(values) if values else nan


def _unseen(result: HeldOutResult) -> list[Part]:
    comparisons = compare_unseen_words(result)
    if not comparisons:
        return ["No target was asked for in both."]
    return [comparison_table(comparisons, "seen", "unseen")]


def compare_unseen_words(result: HeldOutResult) -> list[Comparison]:
    """Words kept from every generator against words of training, on the same targets."""
    by_id = {sample.id: sample for sample in result.outcome.scored}
    pairs = [
        (by_id[trained], by_id[held_out])
        for trained, held_out in result.layout.selection.pairs
        if trained in by_id and held_out in by_id
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
        cells = [f"{100 * cell.giou:.1f} ({len(cell)})" if len(cell) else "" for cell in scores]
        rows.append((name or "not stated", *cells))
    return Table(("", *families), rows, "gIoU in percent, in brackets the number of samples.")


def held_out_values(result: HeldOutResult) -> dict[str, object]:
    """The results as JSON values."""
    scored = result.outcome.scored
    bins = calibration.reliability_bins(scored)
    return {
        "model": result.model,
        "scores": outcome_values(result.outcome, METRICS),
        "baselines": {
            name: outcome_values(outcome, METRICS) for name, outcome in result.baselines.items()
        },
        "images_left_out": result.layout.selection.left_out,
        "masks_of_boxes": result.layout.boxes,
        "mean_of_tasks": _number(mean_of_tasks(result.outcome)),
        "unseen_words": {
            comparison.group: _comparison_values(comparison)
            for comparison in compare_unseen_words(result)
        },
        "no_target": {
            name: _numbers(asdict(ratio))
            for name, ratio in no_target.no_target_ratios(scored).items()
        },
        "calibration": {
            "expected_error": _number(calibration.expected_calibration_error(bins)),
            "bins": [_bin_values(group) for group in bins],
        },
    }


def write_held_out_report(
    result: HeldOutResult, tables: Sequence[Section], folder: Path, title: str
) -> None:
    """Write table.md, table.json and reliability.png.

    Args:
        result: The results.
        tables: Their tables, by `held_out_sections`.
        folder: Directory for the files.
        title: Of the tables.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputUnwritableError: If one cannot be written.
    """
    plot = Section("Reliability", [ImageFile("reliability.png", "confidence and IoU")])
    write_report(folder / "table.md", title, [*tables, plot])
    write_json(folder / "table.json", held_out_values(result))
    calibration.save_reliability_plot(result.outcome.scored, folder / "reliability.png")


def _comparison_values(comparison: Comparison) -> dict[str, object]:
    """A comparison under the names of table.json."""
    return _numbers(
        {
            "samples": comparison.samples,
            "one": comparison.first,
            "other": comparison.second,
            "low": comparison.low,
            "high": comparison.high,
        }
    )


def _bin_values(group: calibration.ReliabilityBin) -> dict[str, object]:
    """A bin under the names of table.json."""
    return {
        "low": group.low,
        "high": group.high,
        "samples": group.samples,
        "said": group.mean_confidence,
        "found": group.mean_iou,
    }


def _numbers(values: Mapping[str, object]) -> dict[str, object]:
    return {
        name: _number(value) for name, value in values.items() if isinstance(value, int | float)
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
