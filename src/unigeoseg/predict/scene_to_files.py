"""Text over a whole scene of any size, written to files in bounded memory.

What `Segmenter` does for scenes that fit in memory; the scores are the same.
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.errors import PromptError
from unigeoseg.geo.area import Area
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.masks import has_data
from unigeoseg.geo.raster import Raster, Scene
from unigeoseg.geo.stretch import TAG
from unigeoseg.geo.vectors.features import Value, length_m
from unigeoseg.geo.vectors.regions import Region
from unigeoseg.predict.outputs import OutputConfig, OutputSpec, open_outputs
from unigeoseg.predict.tile_pipeline import Progress, TilePipeline
from unigeoseg.predict.view_predictor import (
    MASK_THRESHOLD,
    ViewAnswer,
    ViewPredictor,
    pooled_confidence,
)
from unigeoseg.predict.views import plan_scene, view_of, view_pixels
from unigeoseg.prompt import Prompt, Task
from unigeoseg.runtime.stage_clock import StageClock

_CACHE = 128 * 2**20
"""Bytes that GDAL may keep of blocks; by itself it takes a share of the machine's memory."""
_MOST = 255  # labels of 8 bits, without 0


@dataclass(frozen=True, slots=True)
class PromptSummary:
    """What was found of one prompt.

    Attributes:
        prompt: What was asked.
        share: Of the area's pixels, from 0 to 1.
        confidence: As in `Segmentation`, of the mask at 0.5.
    """

    prompt: Prompt
    share: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneJob:
    """What is wanted of a scene.

    Attributes:
        prompts: Texts; several give one map of labels, from 1 in their order, where each pixel has
            the label that scores most.
        paths: Files to write, by suffix; the caller has called `check_output`.
        area: Where; None for the whole scene.
        outputs: How they are written.
        classes: Whether the prompts are categories, to be named as such.
    """

    prompts: Sequence[Prompt]
    paths: Sequence[Path]
    area: Area | None = None
    outputs: OutputConfig = field(default_factory=OutputConfig)
    classes: bool = False

    def __post_init__(self) -> None:
        """Check the prompts."""
        if not 1 <= len(self.prompts) <= _MOST:
            raise PromptError(f"got {len(self.prompts)} texts; give 1 to {_MOST}")
        if any(prompt.task is Task.INTERACTIVE for prompt in self.prompts):
            raise PromptError("points and boxes choose their own windows; give a text for all")


def segment_to_files(
    segmenter: ViewPredictor,
    scene: Scene,
    wish: SceneJob,
    *,
    progress: Progress | None = None,
    clock: StageClock | None = None,
) -> list[PromptSummary]:
    """Segment a scene by text and write what is wanted; memory does not grow with the scene.

    Args:
        segmenter: With any model.
        scene: Open; read by a thread of its own meanwhile.
        wish: What is wanted.
        progress: Called as tiles are done.
        clock: Adds up the seconds of each stage.

    Returns:
        What was found of each prompt.

    Raises:
        RasterUnreadableError: If the scene is damaged somewhere.
        PromptError: If a text is longer than the network reads.
        OutputUnwritableError: If writing fails; no file is left behind then.
    """
    clock, area = clock or StageClock(), wish.area or Area.whole(scene.grid)
    eyes = TilePredictor(segmenter, scene, wish, clock)
    name = segmenter.network.config.name
    order = OutputSpec(
        paths=wish.paths,
        grid=scene.grid,
        area=area,
        config=replace(wish.outputs, tags=_tags(scene, wish, name) | dict(wish.outputs.tags)),
        describe=[_describer(scene.grid, prompt, name, wish.classes) for prompt in wish.prompts],
    )
    sweep = TilePipeline(
        scene=scene,
        plan=plan_scene(scene.grid, segmenter.views),
        area=area,
        prompts=len(wish.prompts),
    )
    with rasterio.Env(GDAL_CACHEMAX=_CACHE), open_outputs(order, clock) as outputs:
        sweep.run(eyes.look, outputs.take, clock, progress)
    return [
        PromptSummary(prompt, int(count) / max(outputs.seen, 1), confidence)
        for prompt, count, confidence in zip(
            wish.prompts, outputs.pixels, eyes.confidences(), strict=True
        )
    ]


class TilePredictor:
    """The network's looks at tiles."""

    def __init__(
        self, segmenter: ViewPredictor, scene: Scene, wish: SceneJob, clock: StageClock
    ) -> None:
        self._segmenter, self._prompts, self._clock = segmenter, wish.prompts, clock
        self._area = wish.area or Area.whole(scene.grid)
        # in a part of a scene the one that is meant may be another
        self._grid = None if wish.area else scene.grid
        self._focus = {} if wish.area else segmenter.focus(scene, wish.prompts)
        self._looks: list[list[ViewAnswer]] = [[] for _ in wish.prompts]

    def look(self, window: Window, raster: Raster) -> NDArray[np.float32]:
        """Scores (P, h, w) of a tile."""
        view = view_of(window, self._segmenter.views)
        with self._clock("prepare"):
            pixels = view_pixels(raster.array, view)[None]
            valid = has_data(raster.valid)
        with self._clock("encode"):
            features = self._segmenter.encode(pixels)
        with self._clock("decode"):
            output = self._segmenter.decode(features, view, self._prompts, self._grid)
            scores, sure = self._segmenter.scores(output, view, valid, self._prompts)
        for at, focus in self._focus.items():
            scores[at] = focus.keep(scores[at], window)
        inside = self._area.mask(window)
        for looks, score, confidence in zip(self._looks, scores, sure, strict=True):
            area_px = int(np.count_nonzero((score > MASK_THRESHOLD) & inside))
            looks.append(ViewAnswer(view, confidence, area_px))
        return np.stack(scores)

    def confidences(self) -> list[float]:
        """Of each prompt over all tiles; see `pooled_confidence`."""
        return [pooled_confidence(looks) for looks in self._looks]


def _tags(scene: Scene, wish: SceneJob, model: str) -> dict[str, str]:
    """What a mask says of itself; the stretch can be read back from there."""
    names = {f"LABEL_{at}": prompt.text for at, prompt in enumerate(wish.prompts, start=1)}
    return names | {TAG: scene.stretch.text(), "UNIGEOSEG_MODEL": model, "DATE": _today()}


def _describer(
    grid: Grid, prompt: Prompt, model: str, classes: bool
) -> Callable[[Region], dict[str, Value]]:
    kind: dict[str, Value] = {"category": prompt.text} if classes else {}
    fixed = kind | {"instruction": prompt.text}
    made: dict[str, Value] = {"model": model, "date": _today()}

    def describe(region: Region) -> dict[str, Value]:
        length = length_m(region.geometry, grid)
        measured: dict[str, Value] = {
            "score": round(region.score, 4),
            "area_px": region.area_px,
            "area_m2": None if region.area_m2 is None else round(region.area_m2, 3),
            "length_m": None if length is None else round(length, 2),
        }
        return fixed | measured | made

    return describe


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
