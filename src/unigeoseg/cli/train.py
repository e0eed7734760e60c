"""unigeoseg train: a recipe on datasets."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from unigeoseg.cli.console import say


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="nano, fine-tune, smoke, ablation, paper, dior-excluded; or NAME/ABLATION."
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
) -> None:
    """Train a model; stopped by Ctrl-C or a signal, it keeps its state. See docs/training.md."""
    from unigeoseg.model.store import weights_directory
    from unigeoseg.train.ablations import recipe_of
    from unigeoseg.train.run import run
    from unigeoseg.train.settings import changed

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = changed(recipe_of(recipe), settings or ())
    place = None if start is None else weights_directory(start)
    run(config, data, output, start=place, resume=resume)
    say(f"the model is in {output / 'model'}")
