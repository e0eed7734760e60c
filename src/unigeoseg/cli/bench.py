"""unigeoseg bench: run, score and compare systems on suites; scores and times of our own."""

import resource
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unigeoseg.cli import open_bench, suites, training_bench
from unigeoseg.cli.console import MODEL_HELP, counter, progress, say
from unigeoseg.cli.options import Device, Dtype
from unigeoseg.errors import OptionError
from unigeoseg.sample import Split

if TYPE_CHECKING:
    from unigeoseg.predict.segmenter import Segmenter


_BITS: Mapping[str, Literal[8, 4]] = {"8": 8, "4": 4}
HeldOutData = Annotated[Path, typer.Option("--data", help="A dataset of `unigeoseg data build`.")]
HeldOutSplit = Annotated[Split, typer.Option("--split", help="Which images to ask about.")]
Images = Annotated[
    int | None,
    typer.Option("--images", min=1, help="Only so many images of each source, the first."),
]

app = typer.Typer(help="Measure on held-out imagery.", no_args_is_help=True)
suites.add_suite_commands(app)
open_bench.add_open_bench_commands(app)
training_bench.add_commands(app)


@app.command("nano")
def nano_command(
    *,
    data: HeldOutData,
    model: Annotated[str, typer.Option(help=suites.SYSTEM_HELP)] = "nano",
    split: HeldOutSplit = "test",
    images: Images = None,
    baselines: Annotated[bool, typer.Option(help="Run what needs no learning too.")] = True,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Directory of tables, plots and predictions, new."),
    ] = None,
) -> None:
    """Rebuild a model's test table from its weights; exit code 1 if answers are missing."""
    from unigeoseg.evaluate.predictions import PredictionFile
    from unigeoseg.evaluate.reports.answer_sheet import write_answer_sheet
    from unigeoseg.evaluate.reports.held_out_report import (
        ANSWERS,
        held_out_sections,
        measure_held_out,
        write_held_out_report,
    )
    from unigeoseg.evaluate.suites.held_out import open_held_out
    from unigeoseg.report.terminal import print_report
    from unigeoseg.runtime.atomic import atomic_directory

    layout = open_held_out(data, split, images)
    directory = atomic_directory(output) if output else tempfile.TemporaryDirectory()
    with directory as path, progress("samples") as bar:
        folder = Path(path)
        result = measure_held_out(layout, model, folder, baselines=baselines, progress=counter(bar))
        sections, title = held_out_sections(result), f"{model} on {layout.suite.title}"
        if output:
            write_held_out_report(result, sections, folder, title)
            answers = PredictionFile.open(folder / ANSWERS)
            write_answer_sheet(result.outcome, layout, answers, folder / "pictures.png")
    print_report(title, sections)
    if output:
        say(f"wrote {output}")
    if result.outcome.problems:
        raise typer.Exit(1)


@app.command("pictures")
def pictures_command(
    predictions: suites.Predictions,
    *,
    data: HeldOutData,
    output: Annotated[Path, typer.Option("-o", "--output", help="A sheet (.png).")],
    split: HeldOutSplit = "test",
    images: Images = None,
    seed: Annotated[int, typer.Option(min=0, help="Which samples.")] = 0,
    rows: Annotated[int, typer.Option(min=1, help="How many good and how many bad ones.")] = 4,
) -> None:
    """Draw answers of `bench nano` by chance, good beside bad; exit code 1 if some are missing."""
    from unigeoseg.evaluate.predictions import PredictionFile
    from unigeoseg.evaluate.reports.answer_sheet import write_answer_sheet
    from unigeoseg.evaluate.reports.score_tables import problem_lines
    from unigeoseg.evaluate.score import score_predictions
    from unigeoseg.evaluate.suites.held_out import open_held_out

    layout, answers = open_held_out(data, split, images), PredictionFile.open(predictions)
    outcome = score_predictions(layout, answers)
    write_answer_sheet(outcome, layout, answers, output, seed=seed, rows=rows)
    typer.echo("\n".join(problem_lines(outcome)))
    say(f"wrote {output}")
    if outcome.problems:
        raise typer.Exit(1)


@app.command("calibrate")
def calibrate_command(
    *,
    data: HeldOutData,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Directory of the calibrated model, new.")
    ],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "nano",
    split: HeldOutSplit = "val",
    images: Images = None,
) -> None:
    """Fit a model's confidence to the IoU of its masks, and write the model with it."""
    from unigeoseg.evaluate.confidence import calibrate_model, calibration_table
    from unigeoseg.evaluate.reports.score_tables import problem_lines
    from unigeoseg.evaluate.suites.held_out import open_held_out
    from unigeoseg.report.terminal import print_table
    from unigeoseg.runtime.atomic import atomic_directory

    layout = open_held_out(data, split, images)
    with atomic_directory(output) as folder, progress("samples") as bar:
        calibrated = calibrate_model(layout, model, folder, counter(bar))
    typer.echo("\n".join([*problem_lines(calibrated.outcome), ""]))
    print_table(calibration_table(calibrated))
    say(f"wrote {output}")


@app.command("speed")
def speed_command(
    *,
    model: Annotated[
        str, typer.Option(help=f"{MODEL_HELP}; 'base' has random weights here")
    ] = "nano",
    size: Annotated[int, typer.Option(min=32, help="Side of the tile in pixels.")] = 512,
    rounds: Annotated[int, typer.Option(min=1, help="Repetitions; the median counts.")] = 9,
    dtype: Dtype = None,
    bits: Annotated[
        Literal["8", "4"] | None,
        typer.Option(help="Of a weight of Base's language model; 4 on CUDA."),
    ] = None,
    device: Device = None,
    released: Annotated[
        bool,
        typer.Option(
            "--released", help="Also time Base by turns with the released code's way; 14 GiB."
        ),
    ] = False,
) -> None:
    """Time one tile by text, and further prompts on the same tile, stage by stage."""
    import torch

    from unigeoseg.predict.segmenter import Segmenter
    from unigeoseg.profiling.tile import random_base, time_tile, timing_table
    from unigeoseg.report.terminal import print_table

    if released and model != "base":
        raise OptionError("--released compares Base alone; give --model base as well")
    began = time.perf_counter()
    small = None if bits is None else _BITS[bits]
    if model == "base":
        loaded = random_base(dtype, device, small)
    else:
        loaded = Segmenter.from_pretrained(model, dtype=dtype, device=device, bits=small)
    typer.echo(f"loading: {time.perf_counter() - began:.2f} s")
    timings = time_tile(loaded, size=size, rounds=rounds)
    print_table(timing_table(timings))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    place = f"{loaded.dtype} on {loaded.device}, {torch.get_num_threads()} threads"
    typer.echo(f"{place}, peak memory {peak:.1f} GiB")
    if released:
        _beside_released(loaded, rounds)


def _beside_released(loaded: "Segmenter", rounds: int) -> None:
    from unigeoseg.profiling.tile import time_beside_released

    turns = time_beside_released(loaded, rounds=rounds)
    for seconds, released_seconds in turns:
        typer.echo(f"ours {seconds:.2f} s, the released way {released_seconds:.2f} s")
    ratio = statistics.median(released_seconds / seconds for seconds, released_seconds in turns)
    typer.echo(f"the released way takes {ratio:.2f} times as long (median of {rounds} turns)")


@app.command("scene")
def scene_command(
    path: Annotated[Path | None, typer.Argument(help="A scene; one is made without it.")] = None,
    text: Annotated[str, typer.Argument(help="What is asked.")] = "the buildings",
    *,
    mpx: Annotated[float, typer.Option(min=0.01, help="Size of the scene that is made.")] = 100,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "nano",
    device: Device = None,
    dtype: Dtype = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers alone.")] = False,
) -> None:
    """Time a whole scene by text, stage by stage, with its peak memory."""
    from unigeoseg.predict.segmenter import Segmenter
    from unigeoseg.profiling import scene
    from unigeoseg.report.terminal import print_table

    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "scene.tif"
            scene.write_synthetic_scene(path, mpx)
        segmenter = Segmenter.from_pretrained(model, device=device, dtype=dtype)
        with progress("tiles") as bar:
            timing = scene.time_scene(segmenter, path, text, counter(bar))
    if as_json:
        typer.echo(scene.timing_json(timing))
    else:
        print_table(scene.scene_table(timing))
        typer.echo(f"{timing.megapixels:.0f} Mpx, peak memory {timing.peak_mib:.0f} MiB")


@app.command("memory")
def memory_command(
    *,
    mpx: Annotated[
        list[float] | None, typer.Option(help="Sizes of scenes; 10, 100 and 1000 without it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Draw the curve as this image.")
    ] = None,
    text: Annotated[str, typer.Option(help="What is asked.")] = "the buildings",
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "nano",
) -> None:
    """Peak memory over the size of scenes, each in a process of its own."""
    from unigeoseg.profiling.scene import curve_table, draw_curve, memory_curve
    from unigeoseg.report.terminal import print_table

    with tempfile.TemporaryDirectory() as folder:
        sizes = mpx or [10, 100, 1000]
        timings = memory_curve(sizes, Path(folder), model=model, text=text)
    print_table(curve_table(timings))
    if output:
        draw_curve(timings, output)


@app.command("curves")
def curves_command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of trainings.", metavar="RUN...")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The image, a .png.")],
) -> None:
    """Draw learning curves: the parts of the loss, and gIoU per task on val views."""
    from unigeoseg.train.study.curves import Curves, save_learning_curves

    save_learning_curves([Curves.of(run) for run in runs], output)
    say(f"wrote {output}")


@app.command("parity")
def parity_command(
    *,
    goldens: Annotated[Path, typer.Option(help="Folder of golden tensors of the released code.")],
    weights: Annotated[
        Path | None, typer.Option(help="Released weights, if not in the folder.")
    ] = None,
) -> None:
    """Compare Base with tensors recorded of the released code; exit code 1 above tolerance."""
    from unigeoseg.parity.compare import compare_with_goldens

    report = compare_with_goldens(goldens, weights)
    typer.echo(report.table())
    if not report.passed:
        raise typer.Exit(1)
