"""unigeoseg segment: one scene, by text, points or boxes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    Model,
    Regularise,
    Stretch,
    TextTask,
    Threshold,
)
from unigeoseg.cli.prompts import PromptOptions, parse_bands
from unigeoseg.errors import OptionError, OutputExistsError

if TYPE_CHECKING:
    from rasterio.crs import CRS

    from unigeoseg.geo.area import Area
    from unigeoseg.geo.raster import Scene
    from unigeoseg.predict.outputs import OutputConfig
    from unigeoseg.predict.segmenter import Segmenter
    from unigeoseg.prompt import Prompt


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
    min_area: Annotated[
        float, typer.Option(min=0.0, help="Leave out outlines of fewer square metres; for texts.")
    ] = 0.0,
    simplify: Annotated[
        float, typer.Option(min=0.0, help="Metres that outlines may be off; for texts.")
    ] = 0.0,
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
    from unigeoseg.predict.outputs import OutputConfig

    began = time.perf_counter()
    job = SegmentJob(
        paths=checked_outputs(scene, output or (), overwrite=overwrite),
        outputs=OutputConfig(
            threshold=threshold,
            crs=named_crs(to_crs),
            min_area_m2=min_area,
            simplify_m=simplify,
            regularise_m=regularise,
            instances=instances,
        ),
        asked=PromptOptions(
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
    asked: PromptOptions
    aoi: Path | None
    answer: bool
    model: str
    device: str | None
    dtype: str | None

    @property
    def streams(self) -> bool:
        """Whether the scene is swept over; else windows of it are looked at, or words wanted."""
        return not self.asked.drawn and not self.answer

    def check(self) -> None:
        """Refuse options that do not go together."""
        config = self.outputs
        shaped = config.min_area_m2 or config.simplify_m or config.regularise_m
        if (self.aoi or shaped or not config.instances) and not self.streams:
            raise OptionError(
                "--aoi, --min-area, --simplify, --regularise and --no-instances go with texts "
                "without --answer; leave them out"
            )
        if self.asked.classes is not None and self.answer:
            raise OptionError(
                "--classes makes one map of labels and has no words to say; leave --answer out"
            )

    def run(self, scene: "Scene") -> None:
        """Segment, write and say what was found."""
        from unigeoseg.geo.area import Area
        from unigeoseg.predict.segmenter import Segmenter

        prompts = self.asked.prompts(scene.grid)
        area = None if self.aoi is None else Area.from_file(self.aoi, scene.grid)
        segmenter = Segmenter.from_pretrained(self.model, device=self.device, dtype=self.dtype)
        if self.streams:
            self._sweep(segmenter, scene, prompts, area)
        else:
            self._look(segmenter, scene, prompts)

    def _sweep(
        self,
        segmenter: "Segmenter",
        scene: "Scene",
        prompts: "Sequence[Prompt]",
        area: "Area | None",
    ) -> None:
        from unigeoseg.predict.scene_to_files import SceneJob, segment_to_files

        wish = SceneJob(
            prompts=prompts,
            paths=self.paths,
            area=area,
            outputs=self.outputs,
            classes=self.asked.classes is not None,
        )
        with progress("tiles") as bar:
            found = segment_to_files(segmenter, scene, wish, progress=counter(bar))
        for each in found:
            say(f"{each.prompt.text} {each.share:.1%}, confidence {each.confidence:.2f}")

    def _look(self, segmenter: "Segmenter", scene: "Scene", prompts: "Sequence[Prompt]") -> None:
        from unigeoseg.predict.result import write

        with progress("prompts") as bar, segmenter.open(scene) as session:
            if self.asked.drawn:
                found = [session.closeup(each, answer=self.answer) for each in bar.track(prompts)]
            else:
                found = session.segment(prompts, answer=self.answer, progress=counter(bar))
        places = self.asked.places(scene.grid) if self.asked.file else None
        kept = None if places is None else [row for _, row in places]
        found = [replace(each, threshold=self.outputs.threshold) for each in found]
        for path in self.paths:
            write(path, found, scene.grid, crs=self.outputs.crs, kept=kept)
        for prompt, each in zip(prompts, found, strict=True):
            words = prompt.instruction(scene.grid.width, scene.grid.height)
            share = each.mask.sum() / (scene.grid.width * scene.grid.height)
            say(f"{words} {share:.1%} of the scene, confidence {each.confidence:.2f}")
            if each.answer is not None:
                say(f"answer: {each.answer}")


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

    kept = None if stretch is None else Stretch.read(stretch)
    return open_scene(scene, parse_bands(bands), stretch=kept, gsd_m=gsd)
