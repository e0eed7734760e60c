"""unigeoseg bench run, score, suites: any system on any suite."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unigeoseg.cli.console import counter, progress, say

SYSTEM_HELP = (
    "nano, base, a model directory, owner/name; fill-box, grab-cut, region-grow; sam:DIR, "
    "sam2:DIR, sam3:DIR of transformers; or the URL of a server."
)


class EngineName(StrEnum):
    """Who does the work."""

    LOCAL = "local"
    RAY = "ray"


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


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (suites, run, score):
        app.command()(command)


def suites() -> None:
    """List the suites with their protocols."""
    from unigeoseg.bench.suites import SUITES

    for each in SUITES.values():
        typer.echo(f"{each.name:18}{each.title}: {each.protocol}")
        typer.echo(f"{'':18}{each.cite} {each.url}".rstrip())


def run(
    suite: SuiteName,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file of predictions.")],
    model: Annotated[str, typer.Option(help=SYSTEM_HELP)] = "nano",
    data: Data = None,
    engine: Annotated[EngineName, typer.Option(help="Processes here, or a Ray cluster.")] = (
        EngineName.LOCAL
    ),
    workers: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 1,
    answer: Annotated[bool, typer.Option(help="Ask models that speak for words.")] = False,
) -> None:
    """Predict every sample of a suite, or go on where a run was stopped."""
    from unigeoseg.bench.opening import open_suite
    from unigeoseg.bench.run import Run
    from unigeoseg.bench.run import run as run_suite

    layout = open_suite(suite, data)
    about = Run(layout.suite.name, model, answer)
    with progress("samples") as bar:
        missing = run_suite(
            layout, output, about, engine=engine.value, workers=workers, progress=counter(bar)
        )
    if missing:
        say(f"{missing} samples have no prediction: the system cannot take them, or failed")
    say(f"wrote {output}; score it with: unigeoseg bench score {output} --suite {suite}")


def score(
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
    from unigeoseg.bench import score as scoring
    from unigeoseg.bench.metrics import DEFAULT
    from unigeoseg.bench.metrics import metric as named
    from unigeoseg.bench.opening import open_suite
    from unigeoseg.bench.predictions import PredictionFile
    from unigeoseg.bench.tables import overall, problem_lines

    metrics = tuple(map(named, metric)) if metric else DEFAULT
    layout, file = open_suite(suite, data), PredictionFile.open(predictions)
    with progress("samples") as bar:
        update = counter(bar)
        outcome = scoring.score(
            layout,
            file,
            mode=mode.value,
            families=family or (),
            progress=lambda done: update(done, done),
        )
    refused = bool(outcome.problems) and not allow_partial
    if as_json:
        typer.echo(json.dumps(scoring.as_json(outcome, metrics, refused=refused), indent=1))
    else:
        typer.echo("\n".join(problem_lines(outcome)))
        typer.echo("" if refused else overall(outcome, metrics))
    if refused:
        say("no score: mend the file, or give --allow-partial for scores of what is there")
        raise typer.Exit(1)
