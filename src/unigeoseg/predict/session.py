"""One scene under a predictor: prompts in, results on the scene's grid out.

A text is answered over the whole scene, in one view or in overlapping tiles whose scores are
blended. A point or a box is answered in a window of its own round the prompt, at a scale that suits
the network. A view is encoded once and reused by later prompts on the same scene.
"""

import os
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.errors import OptionError, PromptError
from unigeoseg.geo.masks import has_data, label_components, tight_box
from unigeoseg.geo.raster import Scene, open_scene, scene_from_array
from unigeoseg.geo.tiling import blend_tiles
from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.values import ImageFeatures, context_of_prompts
from unigeoseg.predict.result import Segmentation
from unigeoseg.predict.tile_pipeline import Progress
from unigeoseg.predict.view_predictor import (
    ViewAnswer,
    ViewPredictor,
    clicked_cells,
    pooled_confidence,
)
from unigeoseg.predict.views import (
    MASK_THRESHOLD,
    View,
    plan_scene,
    plan_views,
    view_of,
    view_pixels,
)
from unigeoseg.prompt import Box, Prompt, PromptLike, Task, as_prompt

SceneLike: TypeAlias = Scene | str | PathLike[str] | NDArray[np.generic]
"""What users may give for a scene: an open one, a path, or pixels."""

NO_TARGET = "no target"
"""The answer where nothing was found."""

# encoded views that are remembered; at 512 px Nano's take about 4 MB each, and Base's, with what
# its language model remembers, about 70
_REMEMBERED_VIEWS, _REMEMBERED_VIEWS_SPEAKING = 32, 2


@dataclass(frozen=True, slots=True, eq=False)
class WindowAnswer:
    """What one prompt's own window of a scene showed of its target.

    Attributes:
        window: The window.
        score: (h, w) float32 in [0, 1].
        confidence: Of the mask at `MASK_THRESHOLD`.
        words: The answer in words; None where they were not asked for.
    """

    window: Window
    score: NDArray[np.float32]
    confidence: float
    words: str | None


class Session:
    """One scene under a predictor; a context manager. Get one with `Segmenter.open`."""

    def __init__(self, predictor: ViewPredictor, scene: SceneLike) -> None:
        """Open `scene`; a `Scene` that is given open stays open afterwards."""
        self._predictor = predictor
        self._closes_scene = not isinstance(scene, Scene)
        self._capacity = _REMEMBERED_VIEWS_SPEAKING if predictor.speaks else _REMEMBERED_VIEWS
        self.scene = _opened(scene)
        self._encoded: OrderedDict[View, tuple[ImageFeatures, NDArray[np.bool_]]] = OrderedDict()

    def __enter__(self) -> "Session":
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the scene if it was opened here."""
        if self._closes_scene:
            self.scene.close()

    def segment(
        self,
        prompts: Iterable[PromptLike],
        *,
        answer: bool = False,
        progress: Progress | None = None,
    ) -> list[Segmentation]:
        """Segment one target per prompt, in one pass over the pixels.

        Args:
            prompts: As in `Segmenter.__call__`.
            answer: As there; of several views, the one with the most of the target is spoken of.
            progress: Called as views are done.

        Raises:
            PromptError: If a prompt is empty or off the scene, or there is none.
            OptionError: If words are asked of a network that has none.
        """
        self.check_speech(answer)
        grid = self.scene.grid
        clipped = [as_prompt(prompt).clipped(grid.width, grid.height) for prompt in prompts]
        if not clipped:
            raise PromptError("no prompt was given: give a text, points or a box")
        provenance = self._predictor.provenance(self.scene)
        run = _ScenePass(self, self._predictor, clipped)
        run.look_everywhere(progress)
        return [
            Segmentation(
                prompt,
                grid,
                score,
                pooled_confidence(answers),
                answer=self.words(prompt, answers) if answer else None,
                provenance=provenance,
            )
            for prompt, score, answers in zip(clipped, run.scores, run.answers, strict=True)
        ]

    def look_closely(self, prompt: PromptLike, *, answer: bool = False) -> WindowAnswer:
        """Scores of one prompt on the one window of the scene that is looked at for it.

        For points and boxes on scenes of any size: no array of the scene's size is made.

        Args:
            prompt: As in `Segmenter.__call__`.
            answer: As there.

        Raises:
            PromptError: As `segment`, or if the prompt is a text that needs several views.
            OptionError: As `segment`.
        """
        self.check_speech(answer)
        grid = self.scene.grid
        clipped = as_prompt(prompt).clipped(grid.width, grid.height)
        views = self.views_of(clipped)
        if len(views) > 1:
            raise PromptError("a text is answered over the whole scene; give points or a box")
        (score,), (confidence,) = self.look(views[0], [clipped])
        area_px = int((score > MASK_THRESHOLD).sum())
        view_answer = ViewAnswer(views[0], confidence, area_px)
        words = self.words(clipped, [view_answer]) if answer else None
        return WindowAnswer(views[0].window, score, confidence, words)

    def check_speech(self, answer: bool) -> None:
        """Check that words are not asked of a network that has none.

        Raises:
            OptionError: If they are.
        """
        if answer and not self._predictor.speaks:
            raise OptionError(
                f"the model {self._predictor.network.config.name!r} gives masks and no words; "
                "leave out the answer, or use the model 'base'"
            )

    def views_of(self, prompt: Prompt) -> list[View]:
        """Where to look for a prompt; clicks are first looked at from afar, to learn a scale."""
        config, grid = self._predictor.views, self.scene.grid
        views = plan_views(prompt, grid, config)
        if not prompt.points or prompt.box or not config.click_margin:
            return views
        window = views[0].window
        ((score,), _) = self.look(views[0], [prompt])
        labels = label_components(score > MASK_THRESHOLD)
        clicked = {int(labels[cell]) for cell in clicked_cells(prompt, window)}
        box = tight_box(np.isin(labels, list(clicked - {0})))
        if box is None:
            return views
        left, top = window.col_off, window.row_off
        target = Box(box[0] + left, box[1] + top, box[2] + left, box[3] + top)
        boxed = replace(prompt, box=target)
        return plan_views(boxed, grid, replace(config, box_margin=config.click_margin))

    def look(
        self, view: View, prompts: Sequence[Prompt]
    ) -> tuple[list[NDArray[np.float32]], list[float]]:
        """As `ViewPredictor.scores`, of a view that is encoded if it was not yet."""
        features, valid = self._features(view)
        output = self._predictor.decode(features, view, prompts, self.scene.grid)
        if output.context:  # the language model has read the image and need not again
            read = replace(features, context=context_of_prompts(output.context, [0]))
            self._encoded[view] = read, valid
        return self._predictor.scores(output, view, valid, prompts)

    def words(self, prompt: Prompt, answers: Sequence[ViewAnswer]) -> str:
        """The network's answer in words, on the view that shows the most of the target."""
        largest = max(answers, key=lambda answer: answer.area_px)
        processor = self._predictor.processor
        if not largest.area_px:
            return NO_TARGET
        assert isinstance(processor, ChatProcessor), "asked of networks that speak"
        if largest.view not in self._encoded:  # the language model must have read the image
            self.look(largest.view, [prompt])
        features, _ = self._features(largest.view)
        inputs = self._predictor.inputs(largest.view, [prompt])
        with torch.inference_mode():
            (reply,) = self._predictor.network.answer(features, inputs, processor.style)
        return processor.words(reply)

    def _features(self, view: View) -> tuple[ImageFeatures, NDArray[np.bool_]]:
        """Features of a view, and where its window has data (h, w)."""
        if view in self._encoded:
            self._encoded.move_to_end(view)
            return self._encoded[view]
        raster = self.scene.read(view.window)
        features = self._predictor.encode(view_pixels(raster.array, view)[None])
        self._encoded[view] = features, has_data(raster.valid)
        if len(self._encoded) > self._capacity:
            self._encoded.popitem(last=False)
        return self._encoded[view]


class _ScenePass:
    """One pass over a scene for several prompts: each view once, texts blended over tiles.

    Attributes:
        scores: Of each prompt, (H, W) float32 on the scene's grid.
        answers: Of each prompt, what its views showed.
    """

    def __init__(
        self, session: Session, predictor: ViewPredictor, prompts: Sequence[Prompt]
    ) -> None:
        grid = session.scene.grid
        self.scores = [np.zeros(grid.shape, np.float32) for _ in prompts]
        self.answers: list[list[ViewAnswer]] = [[] for _ in prompts]
        self._session, self._prompts = session, prompts
        self._texts = [at for at, prompt in enumerate(prompts) if not _is_interactive(prompt)]
        self._focus = predictor.focus(session.scene, prompts)
        self._tiles, self._config = plan_scene(grid, predictor.views), predictor.views

    def look_everywhere(self, progress: Progress | None) -> None:
        """Look at every tile for the texts, and at the windows of points and boxes."""
        plan = self._plan()
        scores = self._scores_in_turn(plan, progress)
        if self._texts:
            tile_scores = map(np.stack, islice(scores, len(self._tiles.windows())))
            for window, block in blend_tiles(self._tiles, tile_scores):
                for number, score in zip(self._texts, block, strict=True):
                    self.scores[number][window.toslices()] = score
        deque(scores, maxlen=0)

    def _plan(self) -> dict[View, list[int]]:
        """Numbers of the prompts of each view: tiles first, in the order of their plan."""
        windows = self._tiles.windows() if self._texts else []
        plan = {view_of(window, self._config): list(self._texts) for window in windows}
        for number, prompt in enumerate(self._prompts):
            for view in self._session.views_of(prompt) if _is_interactive(prompt) else ():
                plan.setdefault(view, []).append(number)
        return plan

    def _scores_in_turn(
        self, plan: Mapping[View, Sequence[int]], progress: Progress | None
    ) -> Iterator[list[NDArray[np.float32]]]:
        """Scores of the texts on each view of a plan, as they are wanted."""
        for count, (view, numbers) in enumerate(plan.items(), start=1):
            text_scores = self._look(view, numbers)
            if progress:
                progress(count, len(plan))
            yield text_scores

    def _look(self, view: View, numbers: Sequence[int]) -> list[NDArray[np.float32]]:
        """Scores of the texts on a view; those of points and boxes go to their place at once."""
        prompts = [self._prompts[number] for number in numbers]
        scores, confidences = self._session.look(view, prompts)
        text_scores = []
        for number, score, confidence in zip(numbers, scores, confidences, strict=True):
            if number in self._focus:
                score = self._focus[number].keep(score, view.window)
            area_px = int((score > MASK_THRESHOLD).sum())
            self.answers[number].append(ViewAnswer(view, confidence, area_px))
            if _is_interactive(self._prompts[number]):
                self.scores[number][view.window.toslices()] = score
            else:
                text_scores.append(score)
        return text_scores


def _opened(scene: SceneLike) -> Scene:
    if isinstance(scene, Scene):
        return scene
    if isinstance(scene, np.ndarray):
        return scene_from_array(scene)
    return open_scene(os.fspath(scene))


def _is_interactive(prompt: Prompt) -> bool:
    """Whether points or a box show the target, and no text names it."""
    return prompt.task is Task.INTERACTIVE
