"""unigeoseg segment: one scene, by text, points or boxes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unigeoseg.cli.console import counter, progress, say
from unigeoseg.cli.options import (
    SUFFIXES,
    Aoi,
    Bands,
    Classes,
    Device,
    Dtype,
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
from unigeoseg.errors import OptionError, OutputExistsError

if TYPE_CHECKING:
    from rasterio.crs import CRS

    from unigeoseg.geo.raster import Scene
    from unigeoseg.predict.output.spec import OutputConfig


def segment(
    scene: Annotated[
        str, typer.Argument(help="A raster: GeoTIFF, JPEG, VRT, a URL, anything GDAL opens.")
    ],
    text: Annotated[
        str | None, typer.Argument(help='What to segment: "the storage tanks", or a question.')
    ] = None,
    *,
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", help=f"Result by suffix: {SUFFIXES}. Repeatable."),
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
    prompts: Annotated[
        Path | None,
        typer.Option(help="Points and boxes of a GeoJSON or GeoPackage, a target per feature."),
    ] = None,
    classes: Classes = None,
    crs: Annotated[
        str | None,
        typer.Option(
            help="What coordinates are in, such as EPSG:4326, or 'scene' for the scene's own "
            "CRS. Without it they are pixels."
        ),
    ] = None,
    bands: Bands = None,
    stretch: Stretch = None,
    gsd: Gsd = None,
    aoi: Aoi = None,
    task: TextTask = None,
    threshold: Threshold = 0.5,
    to_crs: Annotated[
        str | None, typer.Option(help="CRS of outlines; GeoJSON is always EPSG:4326.")
    ] = None,
    instances: Instances = True,
    min_area: MinArea = 0.0,
    simplify: Simplify = 0.0,
    regularise: Regularise = 0.0,
    model: Model = "nano",
    device: Device = None,
    dtype: Dtype = None,
    answer: Annotated[
        bool, typer.Option(help="Also say in words what was found; for models that speak.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace existing results.")] = False,
) -> None:
    """Segment a scene by text, points or boxes; the results lie where the scene lies."""
    from unigeoseg.predict.output.spec import MIN_AREA_PX, OutputConfig

    began = time.perf_counter()
    job = SegmentJob(
        paths=checked_outputs(scene, output or (), overwrite=overwrite),
        outputs=OutputConfig(
            threshold=threshold,
            crs=named_crs(to_crs),
            min_area_m2=min_area,
            simplify_m=simplify,
            regularise_m=regularise,
            # a file of prompts gives one outline for each of its features, be it a small one
            instances=instances and prompts is None,
            min_area_px=0 if prompts else MIN_AREA_PX,
        ),
        prompts=PromptOptions(
            text=text,
            points=point or (),
            not_points=not_point or (),
            boxes=box or (),
            crs=crs,
            task=task,
            file=prompts,
            classes=classes,
        ),
        aoi=aoi,
        answer=answer,
        model=model,
        device=device,
        dtype=dtype,
    )
    job.check()
    with open_shown(scene, bands, stretch, gsd) as opened:
        if not opened.grid.georeferenced:
            say(f"{scene} has no georeference: results are in pixel coordinates")
        job.run(opened)
    say(f"wrote {', '.join(map(str, job.paths))} in {time.perf_counter() - began:.1f} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentJob:
    """What is to be done with an open scene."""

    paths: Sequence[Path]
    outputs: "OutputConfig"
    prompts: PromptOptions
    aoi: Path | None
    answer: bool
    model: str
    device: str | None
    dtype: str | None

    def check(self) -> None:
        """Refuse options that do not go together."""
        if self.prompts.classes is not None and self.answer:
            raise OptionError(
                "--classes makes one map of labels and has no words to say; leave --answer out"
            )

    def run(self, scene: "Scene") -> None:
        """Segment, write and say what was found."""
        from unigeoseg.geo.area import Area
        from unigeoseg.predict.scene_to_files import SceneJob, segment_to_files
        from unigeoseg.predict.segmenter import Segmenter

        job = SceneJob(
            prompts=self.prompts.entries(scene.grid),
            paths=self.paths,
            area=None if self.aoi is None else Area.from_file(self.aoi, scene.grid),
            outputs=self.outputs,
            classes=self.prompts.classes is not None,
            answer=self.answer,
        )
        segmenter = Segmenter.from_pretrained(self.model, device=self.device, dtype=self.dtype)
        with progress("prompts" if job.interactive else "tiles") as bar:
            summaries = segment_to_files(segmenter, scene, job, progress=counter(bar))
        extent = "the area" if self.aoi else "the scene"
        for summary in summaries:
            share = f"{summary.share:.1%} of {extent}"
            say(f"{summary.entry.name}: {share}, confidence {summary.confidence:.2f}")
            if summary.answer is not None:
                say(f"answer: {summary.answer}")


def checked_outputs(scene: str, output: Sequence[Path], *, overwrite: bool) -> list[Path]:
    """The files to write, when all can be and none is the scene."""
    from unigeoseg.geo.formats import check_output

    if not output:
        raise OptionError("no output was named: give -o mask.tif, -o out.geojson or -o out.gpkg")
    for path in output:
        if path.resolve() == Path(scene).resolve():
            raise OutputExistsError(f"the output {path} is the scene itself: name another file")
        check_output(path, overwrite)
    return list(dict.fromkeys(output))


def named_crs(text: str | None) -> "CRS | None":
    """The CRS that a text names."""
    from unigeoseg.geo.grid import parse_crs

    return None if text is None else parse_crs(text)


def open_shown(scene: str, bands: str | None, stretch: str | None, gsd: float | None) -> "Scene":
    """Open a scene as the options of a command say."""
    from unigeoseg.geo.raster import open_scene
    from unigeoseg.geo.stretch import Stretch

    reused_stretch = None if stretch is None else Stretch.read(stretch)
    return open_scene(scene, parse_bands(bands), stretch=reused_stretch, gsd_m=gsd)
