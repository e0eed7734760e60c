"""unigeoseg bench: scores and times."""

import time
from pathlib import Path
from typing import Annotated

import typer

from unigeoseg.cli.console import MODEL_HELP, progress
from unigeoseg.data.split import Split

app = typer.Typer(help="Measure on held-out imagery.", no_args_is_help=True)


@app.command("nano")
def nano(
    *,
    data: Annotated[Path, typer.Option(help="Folder of labelled sets; see docs/data.md.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "nano",
    split: Annotated[Split, typer.Option(help="Which groups to score on.")] = "test",
    images: Annotated[int | None, typer.Option(help="At most so many images per set.")] = None,
) -> None:
    """Score a model and three baselines on groups that training never saw."""
    from unigeoseg.bench.evaluate import evaluate
    from unigeoseg.bench.report import table, table_by_source
    from unigeoseg.bench.suites import held_out
    from unigeoseg.data.split import read_split
    from unigeoseg.segment import Segmenter

    held = read_split(data, split, limit=images)
    segmenter = Segmenter.from_pretrained(model)
    with progress("images") as bar:
        line = bar.add_task("", total=len(held))
        results = evaluate(
            segmenter.masks, held_out(held), name=model, done=lambda: bar.advance(line)
        )
    typer.echo(table(results, model))
    typer.echo("\n" + table_by_source(results, model))


@app.command("speed")
def speed(
    *,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "nano",
    size: Annotated[int, typer.Option(min=32, help="Side of the tile in pixels.")] = 512,
    rounds: Annotated[int, typer.Option(min=1, help="Repetitions; the median counts.")] = 9,
) -> None:
    """Time one tile by text, and further prompts on the same tile."""
    from unigeoseg.bench.speed import time_tile
    from unigeoseg.segment import Segmenter

    began = time.perf_counter()
    segmenter = Segmenter.from_pretrained(model)
    typer.echo(f"loading: {time.perf_counter() - began:.2f} s")
    for what, seconds in time_tile(segmenter, size=size, rounds=rounds).items():
        typer.echo(f"{what}: {seconds * 1000:.0f} ms")


@app.command("parity")
def parity(
    *,
    goldens: Annotated[Path, typer.Option(help="Folder of golden tensors of the released code.")],
    weights: Annotated[
        Path | None, typer.Option(help="Released weights, if not in the folder.")
    ] = None,
) -> None:
    """Compare Base with tensors recorded of the released code; exit code 1 above tolerance."""
    from unigeoseg.bench.parity import parity as compare

    report = compare(goldens, weights)
    typer.echo(report.table())
    if not report.passed:
        raise typer.Exit(1)
