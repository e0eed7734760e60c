"""The one way from a scene and prompts to files, in bounded memory whatever the scene's size.

Texts go over the whole scene in tiles; points and boxes are looked at in windows of their own. Both
end in `output.writer.ResultWriter`. `Session` gives the same scores for scenes that fit in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.errors import PromptError
from unigeoseg.geo.area import Area
from unigeoseg.geo.masks import has_data
from unigeoseg.geo.raster import Raster, Scene
from unigeoseg.predict.output.schema import PromptAnswer, PromptEntry
from unigeoseg.predict.output.spec import OutputConfig, OutputSpec
from unigeoseg.predict.output.writer import ResultWriter, open_results
from unigeoseg.predict.session import Session
from unigeoseg.predict.tile_pipeline import Progress, TilePipeline
from unigeoseg.predict.view_predictor import (
    ViewAnswer,
    ViewPredictor,
    pooled_confidence,
)
from unigeoseg.predict.views import MASK_THRESHOLD, plan_scene, view_of, view_pixels
from unigeoseg.prompt import Prompt, PromptLike, Task
from unigeoseg.runtime.stage_clock import StageClock

_CACHE_BYTES = 128 * 2**20
"""What GDAL may keep of blocks; by itself it takes a share of the machine's memory."""
_MOST_LABELS = 255  # of 8 bits, without 0


@dataclass(frozen=True, slots=True)
class PromptSummary:
    """What was found of one prompt.

    Attributes:
        entry: The prompt.
        share: Of the area's pixels that are its target's, from 0 to 1.
        confidence: As in `Segmentation`, of the mask at 0.5.
        answer: In words; None where they were not asked for.
    """

    entry: PromptEntry
    share: float
    confidence: float
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneJob:
    """What is to be done with one scene.

    Attributes:
        prompts: Texts, or else points and boxes. Several texts give one map of labels, from 1 in
            their order, where each pixel has the label that scores most; of points and boxes masks
            show all together, and outlines may overlap.
        paths: Files to write, by suffix; the caller has called `check_output`.
        area: Where; None for the whole scene.
        outputs: How they are written.
        classes: Whether the texts are categories, to be named as such.
        answer: Whether each prompt is answered in words, too.
    """

    prompts: Sequence[PromptLike | PromptEntry]
    paths: Sequence[Path]
    area: Area | None = None
    outputs: OutputConfig = field(default_factory=OutputConfig)
    classes: bool = False
    answer: bool = False

    def __post_init__(self) -> None:
        """Check the prompts."""
        interactive = [entry.prompt.task is Task.INTERACTIVE for entry in self.entries]
        if not interactive:
            raise PromptError("no prompt was given: give a text, points or a box")
        if any(interactive) and not all(interactive):
            raise PromptError(
                "both texts and points or boxes were given; run them one after the other"
            )
        if not all(interactive) and len(interactive) > _MOST_LABELS:
            raise PromptError(f"got {len(interactive)} texts; give 1 to {_MOST_LABELS}")

    @property
    def entries(self) -> list[PromptEntry]:
        """The prompts with their names."""
        return [PromptEntry.of(prompt, is_class=self.classes) for prompt in self.prompts]

    @property
    def interactive(self) -> bool:
        """Whether the prompts are points and boxes."""
        return PromptEntry.of(self.prompts[0]).prompt.task is Task.INTERACTIVE


def segment_to_files(
    predictor: ViewPredictor,
    scene: Scene,
    job: SceneJob,
    *,
    progress: Progress | None = None,
    clock: StageClock | None = None,
) -> list[PromptSummary]:
    """Segment a scene and write what is wanted; memory does not grow with the scene.

    Args:
        predictor: With any model, such as a `Segmenter`.
        scene: Open; read by a thread of its own meanwhile.
        job: What is wanted.
        progress: Called as tiles, or points and boxes, are done.
        clock: Adds up the seconds of each stage.

    Returns:
        What was found of each prompt.

    Raises:
        RasterUnreadableError: If the scene is damaged somewhere.
        PromptError: If a text is longer than the network reads, or a point is off the scene.
        OptionError: If words are asked of a network that has none.
        OutputUnwritableError: If writing fails; no file is left behind then.
    """
    run = _SceneRun(predictor, scene, job, clock or StageClock())
    return run.summaries(progress)


class _SceneRun:
    """One scene on its way to files."""

    def __init__(
        self, predictor: ViewPredictor, scene: Scene, job: SceneJob, clock: StageClock
    ) -> None:
        self._predictor, self._scene, self._job, self._clock = predictor, scene, job, clock
        self._session = Session(predictor, scene)
        self._session.check_speech(job.answer)
        self._entries = job.entries
        self._area = job.area or Area.of_grid(scene.grid)

    def summaries(self, progress: Progress | None) -> list[PromptSummary]:
        """Look everywhere, write everything, and say what was found."""
        spec = OutputSpec(
            paths=self._job.paths,
            grid=self._scene.grid,
            area=self._area,
            config=self._job.outputs,
            entries=self._entries,
            provenance=self._predictor.provenance(self._scene),
            labelled=not self._job.interactive,
            answered=self._job.answer,
        )
        with (
            rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
            open_results(spec, self._clock) as results,
        ):
            segment = self._by_windows if self._job.interactive else self._by_tiles
            answers = segment(results, progress)
            results.finish(answers)
        return [
            PromptSummary(
                entry, int(pixels) / max(results.area_px, 1), answer.confidence, answer.words
            )
            for entry, pixels, answer in zip(self._entries, results.pixels, answers, strict=True)
        ]

    def _by_tiles(self, results: ResultWriter, progress: Progress | None) -> list[PromptAnswer]:
        """Texts, over all of the scene that holds a part of the area."""
        prompts = [entry.prompt for entry in self._entries]
        tiles = TilePredictor(
            self._predictor, self._scene, prompts, area=self._job.area, clock=self._clock
        )
        pipeline = TilePipeline(
            scene=self._scene,
            plan=plan_scene(self._scene.grid, self._predictor.views),
            area=self._area,
            prompts=len(prompts),
        )
        pipeline.run(tiles.scores, results.add_block, self._clock, progress)
        return [
            PromptAnswer(
                pooled_confidence(answers),
                self._session.words(prompt, answers) if self._job.answer else None,
            )
            for prompt, answers in zip(prompts, tiles.answers, strict=True)
        ]

    def _by_windows(self, results: ResultWriter, progress: Progress | None) -> list[PromptAnswer]:
        """Points and boxes, each in a window of its own."""
        answers = []
        for number, entry in enumerate(self._entries):
            with self._clock("decode"):
                closeup = self._session.look_closely(entry.prompt, answer=self._job.answer)
            results.add_window(number, closeup.window, closeup.score)
            answers.append(PromptAnswer(closeup.confidence, closeup.words))
            if progress:
                progress(number + 1, len(self._entries))
        return answers


class TilePredictor:
    """The network at the tiles of a scene.

    Attributes:
        answers: Of each prompt, what each tile has shown of its target in the area.
    """

    def __init__(
        self,
        predictor: ViewPredictor,
        scene: Scene,
        prompts: Sequence[Prompt],
        *,
        area: Area | None,
        clock: StageClock,
    ) -> None:
        """Prepare for the tiles of `scene`, or of an area of it."""
        self.answers: list[list[ViewAnswer]] = [[] for _ in prompts]
        self._predictor, self._prompts, self._clock = predictor, prompts, clock
        self._area = area or Area.of_grid(scene.grid)
        # in a part of a scene the region that is meant may be another
        self._grid = None if area else scene.grid
        self._focus = {} if area else predictor.focus(scene, prompts)

    def scores(self, window: Window, raster: Raster) -> NDArray[np.float32]:
        """Scores (P, h, w) of P prompts on a tile."""
        view = view_of(window, self._predictor.views)
        with self._clock("prepare"):
            pixels = view_pixels(raster.array, view)[None]
            valid = has_data(raster.valid)
        with self._clock("encode"):
            features = self._predictor.encode(pixels)
        with self._clock("decode"):
            output = self._predictor.decode(features, view, self._prompts, self._grid)
            scores, confidences = self._predictor.scores(output, view, valid, self._prompts)
        for number, focus in self._focus.items():
            scores[number] = focus.keep(scores[number], window)
        inside = self._area.mask(window)
        for answers, score, confidence in zip(self.answers, scores, confidences, strict=True):
            area_px = int(np.count_nonzero((score > MASK_THRESHOLD) & inside))
            answers.append(ViewAnswer(view, confidence, area_px))
        return np.stack(scores)
