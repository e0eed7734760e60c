"""Every command, and the one place where an error of ours becomes a line and an exit code."""

import logging
import platform
import shutil
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from unigeoseg.cli import bench
from unigeoseg.cli.console import MODEL_HELP, counter, progress, say, say_steps
from unigeoseg.cli.prompts import Asked, parse_bands
from unigeoseg.errors import OptionError, OutputExistsError, UniGeoSegError
from unigeoseg.prompt import Task

app = typer.Typer(
    name="unigeoseg",
    help="Segment overhead imagery by instruction: text, a question, points or a box.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench.app, name="bench")

USAGE_ERROR = 2


def main() -> None:
    """Run the command line; an error of ours gives one line and exit code 2."""
    say_steps()
    try:
        app()
    except UniGeoSegError as error:
        say(f"error: {error}")
        sys.exit(USAGE_ERROR)


@app.command()
def segment(
    scene: Annotated[str, typer.Argument(help="A raster: GeoTIFF, JPEG, anything GDAL opens.")],
    text: Annotated[
        str | None, typer.Argument(help='What to segment: "the storage tanks", or a question.')
    ] = None,
    *,
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", help="Result by suffix: .tif, .geojson, .gpkg. Repeatable."),
    ] = None,
    point: Annotated[
        list[str] | None, typer.Option(help="On the target. Repeatable.", metavar="X,Y")
    ] = None,
    not_point: Annotated[
        list[str] | None, typer.Option(help="Off the target. Repeatable.", metavar="X,Y")
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(help="Round one target. Repeatable.", metavar="X0,Y0,X1,Y1"),
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(
            help="What coordinates are in, such as EPSG:4326, or 'scene' for the scene's own "
            "CRS. Without it they are pixels."
        ),
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="Bands shown as red,green,blue, from 1.", metavar="R,G,B")
    ] = None,
    task: Annotated[
        Task | None, typer.Option(help="Read the text as a phrase or as a question.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Scores above it are in the mask.")
    ] = 0.5,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "nano",
    answer: Annotated[
        bool, typer.Option(help="Also say in words what was found; for models that speak.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace existing results.")] = False,
) -> None:
    """Segment a scene by text, points or boxes; the masks lie where the scene lies."""
    from unigeoseg.geo.files import check_output
    from unigeoseg.geo.raster import open_scene
    from unigeoseg.segment import Segmenter
    from unigeoseg.segmentation import write

    began = time.perf_counter()
    if not output:
        raise OptionError("no output was named: give -o mask.tif, -o out.geojson or -o out.gpkg")
    for path in output:
        if path.resolve() == Path(scene).resolve():
            raise OutputExistsError(f"the output {path} is the scene itself: name another file")
        check_output(path, overwrite)
    asked = Asked(
        text=text,
        points=point or (),
        not_points=not_point or (),
        boxes=box or (),
        crs=crs,
        task=task,
    )
    with open_scene(scene, parse_bands(bands)) as opened:
        prompts = asked.prompts(opened.grid)
        if not opened.grid.georeferenced:
            say(f"{scene} has no georeference: results are in pixel coordinates")
        segmenter = Segmenter.from_pretrained(model)
        with progress("views") as bar, segmenter.open(opened) as session:
            found = session.segment(prompts, answer=answer, progress=counter(bar))
    found = [replace(each, threshold=threshold) for each in found]
    for path in output:
        write(path, found)
    for each in found:
        words = each.prompt.instruction(each.grid.width, each.grid.height)
        say(f"{words} {each.mask.mean():.1%} of the scene, confidence {each.confidence:.2f}")
        if each.answer is not None:
            say(f"answer: {each.answer}")
    written = ", ".join(str(path) for path in output)
    say(f"wrote {written} in {time.perf_counter() - began:.1f} s")


@app.command()
def train(
    *,
    data: Annotated[Path, typer.Option(help="Folder of labelled sets; see docs/data.md.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")],
    steps: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
) -> None:
    """Train Nano from its pretrained parts; goes on from OUTPUT if it holds a state."""
    from unigeoseg.train.recipes import nano
    from unigeoseg.train.run import run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = nano()
    run(replace(recipe, steps=steps or recipe.steps), data, output)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A released model directory.")],
    target: Annotated[Path, typer.Argument(help="Directory to write.")],
) -> None:
    """Turn a released checkpoint into a model directory of ours; every key is accounted for."""
    from unigeoseg.model.released import convert as convert_released

    report = convert_released(source, target)
    typer.echo(
        f"{len(report.loaded)} keys loaded, {len(report.unused)} unused by design, "
        f"{len(report.unknown)} unknown"
    )
    for key in report.unknown:
        typer.echo(f"unknown: {key}")
    say(f"wrote {target}")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="base, or owner/name on the Hugging Face hub.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Directory to write, instead of one below HF_HOME."),
    ] = None,
) -> None:
    """Fetch a published model, verify it and convert it; see docs/base.md."""
    from unigeoseg.model.store import pull as pull_model

    say(f"{name} is in {pull_model(name, output)}")


@app.command()
def doctor() -> None:
    """Say what is installed, what it runs on, and whether the weights load."""
    import torch

    from unigeoseg.model.store import weights_directory
    from unigeoseg.segment import Segmenter

    for package in ("unigeoseg", "torch", "rasterio", "numpy", "shapely", "pyogrio"):
        typer.echo(f"{package:12}{metadata.version(package)}")
    typer.echo(f"{'python':12}{platform.python_version()} on {platform.platform()}")
    typer.echo(f"{'device':12}cpu, {torch.get_num_threads()} threads")
    directory = weights_directory("nano")
    began = time.perf_counter()
    Segmenter.from_pretrained("nano")
    size = sum(path.stat().st_size for path in directory.iterdir()) / 1e6
    typer.echo(f"{'nano':12}{size:.0f} MB, loads in {time.perf_counter() - began:.2f} s")
    typer.echo(f"{'disk':12}{shutil.disk_usage(Path.cwd()).free / 1e9:.0f} GB free here")
