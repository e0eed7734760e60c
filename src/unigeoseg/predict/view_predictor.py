"""A network at one view of a scene: pixels to features, features and prompts to scores.

`Session` decides which views are looked at, and `segment_to_files` streams over them; both ask this
class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import Scene
from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.processor import Processor
from unigeoseg.model.values import (
    ImageFeatures,
    PromptInputs,
    SegmentationOutput,
    context_of_prompts,
)
from unigeoseg.predict.output.provenance import Provenance
from unigeoseg.predict.region_selection import (
    Focus,
    choose_regions,
    keep_clicked,
    means_one_region,
    with_choices,
)
from unigeoseg.predict.views import (
    MASK_THRESHOLD,
    View,
    ViewConfig,
    scores_from_logits,
    seen_whole,
    view_of,
)
from unigeoseg.prompt import Prompt, Task

_BLANK_SIDE = 64  # pixels of a view without content, on which words alone say what is meant


@dataclass(frozen=True, slots=True)
class ViewAnswer:
    """What one view showed of a prompt's target.

    Attributes:
        view: The view.
        confidence: In [0, 1], of the mask on this view.
        area_px: Pixels of the mask at `MASK_THRESHOLD`.
    """

    view: View
    confidence: float
    area_px: int


def pooled_confidence(answers: Sequence[ViewAnswer]) -> float:
    """One confidence of several views of a scene, about its mask at `MASK_THRESHOLD`.

    Where something was found, the mean over the views that found it, weighted by the area found in
    each: an estimate of the mask's IoU. Where no view found anything, that of the least sure one:
    nothing is there only if nothing is in any of them. Without any view it is 0.
    """
    area = sum(answer.area_px for answer in answers)
    if not area:
        return min((answer.confidence for answer in answers), default=0.0)
    return sum(answer.confidence * answer.area_px for answer in answers) / area


class ViewPredictor:
    """A network with its processor, ready to answer prompts on views of scenes.

    Attributes:
        network: The network.
        processor: Of the same checkpoint.
        views: How scenes are shown to it.
        dtype: What it computes in.
        device: Where it computes.
        directory: Its files; None for a network that was made in memory.
    """

    def __init__(
        self,
        network: UniGeoSegNetwork,
        processor: Processor,
        views: ViewConfig | None = None,
    ) -> None:
        """Use `network`, in evaluation mode, with its `processor`; its weights stay as they are.

        Args:
            network: Nano, Base, or one's own.
            processor: Of the same checkpoint.
            views: How scenes are shown to it, if not as suits it.
        """
        side = network.config.image_size
        self.network, self.processor = network, processor
        self.views = views or (ViewConfig.for_square(side) if side else ViewConfig())
        self.directory: Path | None = None
        weight = next(network.parameters())
        self.dtype, self.device = weight.dtype, weight.device
        with torch.inference_mode():
            self._start = network.language.start() if self.speaks else None

    @property
    def speaks(self) -> bool:
        """Whether the network can say what it found, as Base can and Nano cannot."""
        return isinstance(self.processor, ChatProcessor)

    def provenance(self, scene: Scene) -> Provenance:
        """What makes the results of a scene."""
        return Provenance(
            model=self.network.config.name,
            directory=self.directory,
            source=scene.name,
            stretch=scene.stretch,
        )

    def encode(self, images: NDArray[np.uint8]) -> ImageFeatures:
        """Encode images (B, 3, H, W) uint8, of a size that the network takes, for any prompts."""
        with torch.inference_mode():
            values = self.processor.pixel_values(images).to(self.device, self.dtype)
            features = self.network.encode(values)
        if self._start is None:
            return features
        return replace(features, context=context_of_prompts(self._start, [0] * len(images)))

    def inputs(self, view: View, prompts: Sequence[Prompt]) -> PromptInputs:
        """Prompts, in pixels of the scene, as the network reads them on a view."""
        window = view.window
        on_view = [
            prompt.shifted(-window.col_off, -window.row_off).clipped(window.width, window.height)
            for prompt in prompts
        ]
        size = (int(window.height), int(window.width))
        return self.processor.prompts(on_view, [0] * len(on_view), size).to(self.device)

    def decode(
        self, features: ImageFeatures, view: View, prompts: Sequence[Prompt], grid: Grid | None
    ) -> SegmentationOutput:
        """The network's output for prompts on an encoded view.

        Where a text means one region and the view shows all of what could be it, the masks are of
        that one.

        Args:
            features: Of the view.
            view: The view.
            prompts: What is asked, in pixels of the scene.
            grid: Of the scene; None where no single region is to be chosen.
        """
        with torch.inference_mode():
            inputs = self.inputs(view, prompts)
            output = self.network.decode(features, inputs)
            shows_scene = grid is not None and (view.window.height, view.window.width) == grid.shape
            singular = means_one_region(inputs, output) if shows_scene else []
            choices = choose_regions(self.network, features, inputs, output, singular)
        return replace(output, logits=with_choices(output.logits, choices))

    def scores(
        self,
        output: SegmentationOutput,
        view: View,
        valid: NDArray[np.bool_],
        prompts: Sequence[Prompt],
    ) -> tuple[list[NDArray[np.float32]], list[float]]:
        """Scores (h, w) in [0, 1] of each prompt on a view's window, and their confidences.

        Args:
            output: Of the prompts on the view.
            view: The view.
            valid: (h, w), where the window has data; scores are 0 elsewhere.
            prompts: What was asked, in pixels of the scene.
        """
        logits = output.logits.float().cpu().numpy()
        window_scores = [
            np.where(valid, scores_from_logits(view.restore(low)), np.float32(0)) for low in logits
        ]
        scores = [
            keep_clicked(score, clicked_cells(prompt, view.window))
            if singular and prompt.task is Task.INTERACTIVE
            else score
            for score, prompt, singular in zip(
                window_scores, prompts, output.one_logits > 0, strict=True
            )
        ]
        config = self.network.config.confidence
        confidences = [
            config.of(logit, prompt.task, empty=not (score > MASK_THRESHOLD).any())
            for logit, prompt, score in zip(
                output.score_logits.tolist(), prompts, scores, strict=True
            )
        ]
        return scores, confidences

    def focus(self, scene: Scene, prompts: Sequence[Prompt]) -> dict[int, Focus]:
        """Where the one region lies that a text means, in a scene that is seen in tiles.

        Args:
            scene: Read once more, shrunk, if a text means one region.
            prompts: What is asked.

        Returns:
            By the number of the prompt. It lacks texts that mean all that fit, and those of which
            nothing was seen from afar.

        Raises:
            RasterUnreadableError: If the scene is damaged somewhere.
        """
        numbers = [at for at, prompt in enumerate(prompts) if prompt.task is not Task.INTERACTIVE]
        texts = [prompts[at] for at in numbers]
        if seen_whole(scene.grid, self.views) or not self._any_means_one(texts):
            return {}
        whole_scene = Window(0, 0, scene.grid.width, scene.grid.height)
        view = view_of(whole_scene, self.views)
        features = self.encode(scene.read(whole_scene, shape=view.shape).array[None])
        with torch.inference_mode():
            inputs = self.inputs(view, texts)
            output = self.network.decode(features, inputs)
            singular = means_one_region(inputs, output)
            choices = choose_regions(self.network, features, inputs, output, singular)
        return {
            numbers[at]: Focus(choice.territory(), scene.grid.shape)
            for at, choice in choices.items()
        }

    def _any_means_one(self, texts: Sequence[Prompt]) -> bool:
        """Whether one of the texts means one region, as far as its words tell."""
        if not texts or self.network.choice is None:
            return False
        blank = View(Window(0, 0, _BLANK_SIDE, _BLANK_SIDE), (_BLANK_SIDE, _BLANK_SIDE))
        features = self.encode(np.zeros((1, 3, _BLANK_SIDE, _BLANK_SIDE), np.uint8))
        with torch.inference_mode():
            inputs = self.inputs(blank, texts)
            return bool(means_one_region(inputs, self.network.decode(features, inputs)))


def clicked_cells(prompt: Prompt, window: Window) -> list[tuple[int, int]]:
    """Row and column in the window of each click on the target."""
    return [
        (int(point.y - window.row_off), int(point.x - window.col_off))
        for point in prompt.points
        if point.positive
    ]
