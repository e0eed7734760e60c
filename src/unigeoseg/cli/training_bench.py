"""unigeoseg bench ablations, training: what trainings reach, and how fast they are."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from unigeoseg.cli.console import counter, progress, say

Data = Annotated[list[Path], typer.Option(help="A dataset that `data build` made. Repeatable.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (ablations, training):
        app.command()(command)


def ablations(
    *,
    data: Data,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the study; goes on where it stopped.")
    ],
    row: Annotated[
        list[str] | None,
        typer.Option(help="A row, beside full. Repeatable; without it those of the paper."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each row.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time, a thread each.")] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value of a setting of the recipe `ablation`."),
    ] = None,
) -> None:
    """Train the rows of the paper's ablations shortly, and compare them seed by seed."""
    from unigeoseg.report.document import table_markdown
    from unigeoseg.runtime.atomic import write_bytes
    from unigeoseg.train.overrides import override_settings
    from unigeoseg.train.study.ablations import recipe_of
    from unigeoseg.train.study.study import BASELINE, ROWS, Study
    from unigeoseg.train.study.table import ablation_table

    recipe = override_settings(recipe_of("ablation"), settings or ())
    study = Study(recipe=recipe, data=tuple(data), output=output)
    rows, text = [BASELINE, *(row or ROWS)], ""
    with progress("runs") as bar:
        update, total = counter(bar), None
        for scores, left in study.run(rows, seeds=seeds, workers=workers):
            total = left if total is None else total
            update(total - left, total)
            text = table_markdown(ablation_table(scores)) + "\n"
            write_bytes(output / "table.md", text.encode())
    typer.echo(text)
    say(f"wrote {output / 'table.md'}")


def training(
    *,
    data: Data,
    start: Annotated[
        str | None, typer.Option(help="Model whose parts are timed: a directory, or nano.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each; the median counts.")] = 5,
    processes: Annotated[
        int, typer.Option(min=1, help="Time the recipe in so many processes, too.")
    ] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Another value of a setting of the recipe.")
    ] = None,
) -> None:
    """Time steps of the recipe `nano` beside a plain loop with the same network and loss."""
    from unigeoseg.model.io.store import weights_directory
    from unigeoseg.profiling.training import RECIPE, throughput_table, time_training_steps
    from unigeoseg.report.terminal import print_table
    from unigeoseg.train.overrides import override_settings
    from unigeoseg.train.run import check_start, initial_network

    recipe = override_settings(RECIPE, settings or ())
    start_directory = None if start is None else weights_directory(start)
    if start_directory:
        check_start(start_directory, recipe.model, RECIPE.model)
    with tempfile.TemporaryDirectory() as cache, progress("steps") as bar:
        timings = time_training_steps(
            recipe,
            data,
            Path(cache),
            partial(initial_network, recipe, start_directory),
            steps=steps,
            processes=processes,
            progress=counter(bar),
        )
    print_table(throughput_table(timings))
