"""unigeoseg train: a recipe on datasets."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unigeoseg.cli.console import say

if TYPE_CHECKING:
    from unigeoseg.train.config import TrainConfig


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="nano, choice, fine-tune, smoke, ablation, paper, dior-excluded; or NAME/ABLATION."
        ),
    ] = "nano",
    *,
    data: Annotated[list[Path], typer.Option(help="A dataset that `data build` made. Repeatable.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")],
    start: Annotated[
        str | None, typer.Option(help="Model to start from: a directory, or nano.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value of a setting: lr=1e-4, batch.images=4."),
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on where OUTPUT has a state; else it must not have one.")
    ] = False,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes on this machine; on a CPU one per core is best.")
    ] = 1,
) -> None:
    """Train a model; stopped by Ctrl-C or a signal, it keeps its state. See docs/training.md."""
    from unigeoseg.model.io.store import weights_directory
    from unigeoseg.train.overrides import override_settings
    from unigeoseg.train.run import check_start, run_training_in_processes
    from unigeoseg.train.study.ablations import recipe_of

    config = override_settings(recipe_of(recipe), settings or ())
    start_directory = None if start is None else weights_directory(start)
    if start_directory:
        check_start(start_directory, config.model, recipe_of(recipe.partition("/")[0]).model)
    if processes == 1:
        _run(config, data, output, start=start_directory, resume=resume)
    else:
        run_training_in_processes(
            processes, _run, config, data, output, start=start_directory, resume=resume
        )
    say(f"the model is in {output / 'model'}")


def _run(
    config: "TrainConfig", data: Sequence[Path], output: Path, *, start: Path | None, resume: bool
) -> None:
    """`run_training` with its log on the terminal; each process of several calls it."""
    from unigeoseg.train.run import run_training

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run_training(config, data, output, start=start, resume=resume)
