"""Options that several commands have, so that they read and mean the same everywhere."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unigeoseg.cli.console import MODEL_HELP
from unigeoseg.prompt import Task

SUFFIXES = ".tif, .geojson, .gpkg, .parquet, .fgb, .shp"


class Engine(StrEnum):
    """Who does the work."""

    LOCAL = "local"
    RAY = "ray"


Model = Annotated[str, typer.Option(help=MODEL_HELP)]
Device = Annotated[
    str | None,
    typer.Option(
        help="Where the network computes: cpu, cuda, cuda:1, mps. Without it what "
        "UNIGEOSEG_DEVICE in the environment says, else the CPU.",
        metavar="NAME",
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="What the network computes in: float32, bfloat16, float16, or auto, which is "
        "bfloat16 for large networks where the processor multiplies it. Without it what "
        "UNIGEOSEG_DTYPE in the environment says, else auto.",
        metavar="NAME",
    ),
]
Classes = Annotated[
    str | None, typer.Option(help="Several texts, one map of labels.", metavar="A,B,...")
]
Bands = Annotated[
    str | None,
    typer.Option(
        help="Bands shown as red,green,blue: numbers from 1, names, or a sensor such as "
        "sentinel-2.",
        metavar="R,G,B",
    ),
]
Stretch = Annotated[
    str | None,
    typer.Option(
        help="Values shown as black and white: LOW,HIGH, or a mask of ours to take them from."
    ),
]
Gsd = Annotated[
    float | None, typer.Option(help="Metres per pixel to see the scene at, if coarser.")
]
Aoi = Annotated[Path | None, typer.Option(help="Only inside the polygons of this file.")]
Instances = Annotated[bool, typer.Option(help="One outline per object, or one per prompt.")]
MinArea = Annotated[float, typer.Option(min=0.0, help="Leave out outlines of fewer square metres.")]
Simplify = Annotated[float, typer.Option(min=0.0, help="Metres that outlines may be off.")]
Regularise = Annotated[
    float,
    typer.Option(min=0.0, help="Straight walls and right angles, off by so many metres at most."),
]
TextTask = Annotated[Task | None, typer.Option(help="Read the text as a phrase or as a question.")]
Threshold = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Scores above it are in the mask.")
]
