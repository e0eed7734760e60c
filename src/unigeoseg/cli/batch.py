"""unigeoseg batch: one question to many scenes."""

from pathlib import Path
from typing import Annotated

import typer

from unigeoseg.cli.console import counter, progress, say
from unigeoseg.cli.options import (
    SUFFIXES,
    Aoi,
    Bands,
    Classes,
    Device,
    Dtype,
    Engine,
    Gsd,
    Instances,
    MinArea,
    Model,
    Regularise,
    Simplify,
    Stretch,
    TextTask,
    Threshold,
)
from unigeoseg.cli.prompts import PromptOptions, parse_bands
from unigeoseg.cli.segment import named_crs
from unigeoseg.errors import OptionError


def batch(
    scenes: Annotated[str, typer.Argument(help='A pattern in quotes: "scenes/*.tif".')],
    text: Annotated[str | None, typer.Argument(help="What to segment.")] = None,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of results.")],
    suffix: Annotated[
        list[str] | None, typer.Option(help=f"Files per scene: {SUFFIXES}. Repeatable.")
    ] = None,
    classes: Classes = None,
    bands: Bands = None,
    stretch: Stretch = None,
    gsd: Gsd = None,
    aoi: Aoi = None,
    task: TextTask = None,
    threshold: Threshold = 0.5,
    to_crs: Annotated[str | None, typer.Option(help="One CRS for all outlines.")] = None,
    instances: Instances = True,
    min_area: MinArea = 0.0,
    simplify: Simplify = 0.0,
    regularise: Regularise = 0.0,
    model: Model = "nano",
    device: Device = None,
    dtype: Dtype = None,
    engine: Annotated[Engine, typer.Option(help="This process, or a Ray cluster.")] = Engine.LOCAL,
    workers: Annotated[int, typer.Option(min=1, help="Of the engine ray.")] = 2,
) -> None:
    """Segment many scenes by text; start it again and it goes on where it stopped."""
    from unigeoseg.geo.grid import Grid
    from unigeoseg.geo.stretch import Stretch
    from unigeoseg.predict.batch import (
        Batch,
        find_scenes,
        local_engine,
        ray_engine,
        run_batch,
    )
    from unigeoseg.predict.manifest import FAILED, OFF
    from unigeoseg.predict.output.spec import OutputConfig

    prompts = PromptOptions(text=text, classes=classes, task=task)
    config = OutputConfig(
        threshold=threshold,
        crs=named_crs(to_crs),
        min_area_m2=min_area,
        simplify_m=simplify,
        regularise_m=regularise,
        instances=instances,
    )
    job = Batch(
        prompts=[entry.prompt for entry in prompts.entries(Grid.of_image(1, 1))],
        folder=output,
        suffixes=_suffixes(suffix or [".tif"]),
        model=model,
        device=device,
        dtype=dtype,
        outputs=config,
        classes=classes is not None,
        stretch=None if stretch is None else Stretch.read(stretch),
        bands=parse_bands(bands),
        gsd_m=gsd,
        aoi=aoi,
    )
    paths = find_scenes([scenes])
    with progress("tiles") as bar:
        in_process = local_engine(lambda scene: counter(bar, scene.name))
        entries = run_batch(job, paths, ray_engine(workers) if engine is Engine.RAY else in_process)
    failed = [entry for entry in entries if entry.state == FAILED]
    for entry in failed:
        say(f"failed: {entry.scene}: {entry.error}")
    off = sum(entry.state == OFF for entry in entries)
    if off:
        say(f"{off} of {len(entries)} scenes have no part of {aoi}")
    say(f"{len(entries) - len(failed) - off} of {len(entries)} scenes are done in {output}")
    if failed:
        raise typer.Exit(1)


def _suffixes(names: list[str]) -> list[str]:
    """Suffixes with their dot, each once."""
    from unigeoseg.geo.formats import MASK_SUFFIXES, VECTOR_SUFFIXES

    suffixes = [name if name.startswith(".") else f".{name}" for name in names]
    known_suffixes = MASK_SUFFIXES + VECTOR_SUFFIXES
    for suffix in suffixes:
        if suffix not in known_suffixes:
            raise OptionError(f"--suffix is {suffix}; give one of {', '.join(known_suffixes)}")
    return list(dict.fromkeys(suffixes))
