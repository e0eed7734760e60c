"""unigeoseg bench suites, run, score, report, compare: any system on any suite."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unigeoseg.cli.console import counter, progress, say
from unigeoseg.cli.options import Engine

if TYPE_CHECKING:
    from unigeoseg.evaluate.metrics import Metric
    from unigeoseg.evaluate.predictions import PredictionFile
    from unigeoseg.evaluate.score import Outcome

SYSTEM_HELP = (
    "nano, base, a model directory, owner/name; fill-box, grab-cut, region-grow; sam:DIR, "
    "sam2:DIR, sam3:DIR of transformers; or the URL of a server."
)


class ModeName(StrEnum):
    """How masks are compared."""

    NATIVE = "native"
    RELEASED = "released"


SuiteName = Annotated[
    str,
    typer.Argument(help="A suite (see bench suites), or a folder of shards or in its layout."),
]
SuiteOption = Annotated[
    str, typer.Option("--suite", help="A suite, or a folder of shards or in its layout.")
]
Data = Annotated[
    Path | None, typer.Option(help="Where a named suite's files are; else from the hub.")
]
Predictions = Annotated[Path, typer.Argument(help="A file of predictions; see docs/benchmark.md.")]
Mode = Annotated[
    ModeName, typer.Option(help="The image's own size, or 512 pixels as the released code.")
]
Families = Annotated[
    list[str] | None,
    typer.Option("--family", help="point, box, referring, attribute or context. Repeatable."),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", help="gIoU (mIoU), cIoU (oIoU), Pr@0.5 ... Repeatable."),
]
Partial = Annotated[
    bool, typer.Option("--allow-partial", help="Print numbers of what is there; they are marked.")
]


def add_suite_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("suites")(list_suites_command)
    app.command("run")(run_command)
    app.command("score")(score_command)
    app.command("report")(report_command)
    app.command("compare")(compare_command)


def list_suites_command() -> None:
    """List the suites with their protocols."""
    from unigeoseg.evaluate.suites.catalog import SUITES

    for suite in SUITES.values():
        typer.echo(f"{suite.name:18}{suite.title}: {suite.protocol}")
        typer.echo(f"{'':18}{suite.cite} {suite.url}".rstrip())


def run_command(
    suite: SuiteName,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file of predictions.")],
    model: Annotated[str, typer.Option(help=SYSTEM_HELP)] = "nano",
    data: Data = None,
    engine: Annotated[Engine, typer.Option(help="Processes here, or a Ray cluster.")] = (
        Engine.LOCAL
    ),
    workers: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 1,
    answer: Annotated[bool, typer.Option(help="Ask models that speak for words.")] = False,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Take what is there of a suite with gaps.")
    ] = False,
) -> None:
    """Predict every sample of a suite, or go on where a run was stopped."""
    from unigeoseg.evaluate.run import RunCard, run_suite
    from unigeoseg.evaluate.suites.opening import open_suite

    layout = open_suite(suite, data)
    card = RunCard(layout.suite.name, model, answer)
    with progress("samples") as bar:
        missing = run_suite(
            layout,
            output,
            card,
            engine=engine.value,
            workers=workers,
            partial=allow_partial,
            progress=counter(bar),
        )
    if missing:
        say(f"{missing} samples have no prediction: the system cannot take them, or failed")
    say(f"wrote {output}; score it with: unigeoseg bench score {output} --suite {suite}")


def score_command(
    predictions: Predictions,
    *,
    suite: SuiteOption,
    data: Data = None,
    mode: Mode = ModeName.NATIVE,
    family: Families = None,
    metric: Metrics = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    allow_partial: Partial = False,
) -> None:
    """Score any system's predictions; exit code 1, and no score, if something is wrong."""
    from unigeoseg.evaluate.reports.score_tables import PARTIAL, overall_table, problem_lines
    from unigeoseg.evaluate.score import outcome_values
    from unigeoseg.report.terminal import print_table

    metrics = _metrics(metric)
    scoring = Scoring(suite, data, mode, family)
    outcome = scoring(predictions)
    refused = bool(outcome.problems) and not allow_partial
    if as_json:
        typer.echo(json.dumps(outcome_values(outcome, metrics, refused=refused), indent=1))
    else:
        typer.echo("\n".join(problem_lines(outcome)))
        typer.echo("")
        if not refused:
            typer.echo(f"{PARTIAL}\n\n" if outcome.problems else "", nl=False)
            print_table(overall_table(outcome, metrics))
    _refuse(refused)


def report_command(
    predictions: Predictions,
    *,
    suite: SuiteOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="A page (.html) or a .md.")],
    name: Annotated[str, typer.Option(help="What to call the system.")] = "",
    data: Data = None,
    mode: Mode = ModeName.NATIVE,
    family: Families = None,
    allow_partial: Partial = False,
) -> None:
    """Write a report: tables beside published ones, bars, calibration, failures, pictures."""
    from unigeoseg.evaluate.reports.score_tables import problem_lines
    from unigeoseg.evaluate.reports.suite_report import suite_sections
    from unigeoseg.evaluate.run import read_run_card
    from unigeoseg.report.document import write_report

    scoring = Scoring(suite, data, mode, family)
    outcome = scoring(predictions)
    if outcome.problems and not allow_partial:
        typer.echo("\n".join(problem_lines(outcome)))
        _refuse(True)
    card = read_run_card(predictions)
    system = name or (card.model if card else predictions.stem)
    sections = suite_sections(outcome, system, scoring.layout, scoring.file(predictions))
    write_report(output, f"{system} on {outcome.suite.title}", sections)
    say(f"wrote {output}")


def compare_command(
    first: Predictions,
    second: Annotated[Path, typer.Argument(help="Another one, of the same suite.")],
    *,
    suite: SuiteOption,
    data: Data = None,
    mode: Mode = ModeName.NATIVE,
    family: Families = None,
    metric: Metrics = None,
    allow_partial: Partial = False,
) -> None:
    """Compare two systems sample by sample, with intervals of their difference."""
    from unigeoseg.evaluate.paired import compare_outcomes, comparison_table
    from unigeoseg.evaluate.reports.score_tables import PARTIAL, problem_lines
    from unigeoseg.report.terminal import print_table

    metrics = _metrics(metric)
    scoring = Scoring(suite, data, mode, family)
    outcomes = scoring(first), scoring(second)
    for outcome in outcomes:
        typer.echo("\n".join(problem_lines(outcome)))
    partial = any(outcome.problems for outcome in outcomes)
    _refuse(partial and not allow_partial)
    typer.echo(f"\n{PARTIAL} in both files\n" if partial else "")
    print_table(comparison_table(compare_outcomes(*outcomes, metrics), first.name, second.name))


class Scoring:
    """A suite opened to score files of predictions, with a bar."""

    def __init__(
        self, suite: str, data: Path | None, mode: ModeName, families: list[str] | None
    ) -> None:
        """Open the suite."""
        from unigeoseg.evaluate.suites.opening import open_suite

        self.layout = open_suite(suite, data)
        self._mode, self._families = mode, families or ()

    def file(self, path: Path) -> "PredictionFile":
        """A file of predictions."""
        from unigeoseg.evaluate.predictions import PredictionFile

        return PredictionFile.open(path)

    def __call__(self, path: Path) -> "Outcome":
        """Score a file."""
        from unigeoseg.evaluate.score import score_predictions

        with progress("samples") as bar:
            update = counter(bar)
            return score_predictions(
                self.layout,
                self.file(path),
                mode=self._mode.value,
                families=self._families,
                progress=lambda count: update(count, count),
            )


def _metrics(names: list[str] | None) -> "tuple[Metric, ...]":
    from unigeoseg.evaluate.metrics import DEFAULT, metric_named

    return tuple(map(metric_named, names)) if names else DEFAULT


def _refuse(refused: bool) -> None:
    if refused:
        say("no score: mend what is wrong, or give --allow-partial for scores of what is there")
        raise typer.Exit(1)
