"""The commands, and the one place where an error of ours becomes a line and an exit code."""

import platform
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from unigeoseg.cli import bench, data
from unigeoseg.cli.batch import batch
from unigeoseg.cli.console import say, say_steps
from unigeoseg.cli.segment import segment
from unigeoseg.cli.train import train
from unigeoseg.errors import UniGeoSegError
from unigeoseg.runtime.malloc import keep_freed_memory

app = typer.Typer(
    name="unigeoseg",
    help="Segment overhead imagery by instruction: text, a question, points or a box.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")
app.command()(segment)
app.command()(batch)
app.command()(train)

USAGE_ERROR = 2


def main() -> None:
    """Run the command line; an error of ours gives one line and exit code 2."""
    keep_freed_memory()
    say_steps()
    try:
        app()
    except UniGeoSegError as error:
        say(f"error: {error}")
        sys.exit(USAGE_ERROR)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A released model directory.")],
    target: Annotated[Path, typer.Argument(help="Directory to write.")],
) -> None:
    """Turn a released checkpoint into a model directory of ours; every key is accounted for."""
    from unigeoseg.model.io.convert import convert_released

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
    from unigeoseg.model.io.store import pull_model

    say(f"{name} is in {pull_model(name, output)}")


@app.command()
def doctor() -> None:
    """Show what is installed, what it runs on, and whether the weights load."""
    import torch

    from unigeoseg.model.device import device_of
    from unigeoseg.model.io.store import weights_directory
    from unigeoseg.predict.segmenter import Segmenter
    from unigeoseg.report.document import Table
    from unigeoseg.report.terminal import print_table

    packages = ("unigeoseg", "torch", "rasterio", "numpy", "shapely", "pyogrio")
    rows = [(package, metadata.version(package)) for package in packages]
    rows.append(("python", f"{platform.python_version()} on {platform.platform()}"))
    rows.append(("device", f"{device_of()}, {torch.get_num_threads()} threads"))
    directory = weights_directory("nano")
    began = time.perf_counter()
    Segmenter.from_pretrained("nano")
    seconds = time.perf_counter() - began
    megabytes = sum(path.stat().st_size for path in directory.iterdir()) / 1e6
    rows.append(("nano", f"{megabytes:.0f} MB, loads in {seconds:.2f} s"))
    rows.append(("disk", f"{shutil.disk_usage(Path.cwd()).free / 1e9:.0f} GB free here"))
    print_table(Table(("part", "state"), rows))
