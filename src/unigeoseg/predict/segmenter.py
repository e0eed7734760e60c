"""The call users learn: a scene and a prompt in, a georeferenced mask out.

A text prompt is answered over the whole scene, in one view or in overlapping tiles whose scores
are blended. A point or a box is answered in a window of its own round the prompt, at a scale that
suits the network. A window is encoded once and reused by later prompts on the same scene.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.errors import OptionError, PromptError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.masks import components, has_data, tight_box
from unigeoseg.geo.raster import Scene, open_scene, scene_from_array
from unigeoseg.geo.tiling import Blender
from unigeoseg.model.base.causal_lm import of_prompts
from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.device import device_of
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.store import weights_directory
from unigeoseg.model.network import (
    ImageFeatures,
    PromptInputs,
    SegmentationOutput,
    UniGeoSegNetwork,
)
from unigeoseg.model.optimize import hasten
from unigeoseg.model.processor import Processor
from unigeoseg.predict.region_selection import (
    Focus,
    choose,
    keep_clicked,
    meaning_one,
    with_choices,
)
from unigeoseg.predict.result import Segmentation
from unigeoseg.predict.views import View, ViewConfig, plan_views, seen_whole, show, view_of
from unigeoseg.prompt import Box, Prompt, PromptLike, Task, as_prompt

SceneLike = Scene | str | PathLike[str] | NDArray[np.generic]
Progress = Callable[[int, int], None]
"""Called with the number of views done and the number of all."""

NO_TARGET = "no target"


@dataclass(frozen=True, slots=True)
class _Look:
    """What one view showed of a prompt's target: the confidence there, and pixels found."""

    view: View
    confidence: float
    area: int


class Segmenter:
    """A network ready to segment scenes."""

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
        weight = next(network.parameters())
        self.dtype, self.device = weight.dtype, weight.device
        with torch.inference_mode():
            self._start = network.language.start() if self.speaks else None

    @property
    def speaks(self) -> bool:
        """Whether the network can say what it found, as Base can and Nano cannot."""
        return isinstance(self.processor, ChatProcessor)

    @classmethod
    def from_pretrained(
        cls,
        name: str | PathLike[str] = "nano",
        *,
        dtype: torch.dtype | None = None,
        device: str | None = None,
        bits: Literal[8, 4] | None = None,
    ) -> "Segmenter":
        """Load "nano", "base" once it was pulled, a model directory, or "owner/name" on the hub.

        Its network is made fast for inference and can be neither trained nor saved; what
        `unigeoseg.model.io.checkpoint.load` gives can.

        Args:
            name: Which model.
            dtype: What the network computes in; without it float32, or bfloat16 for large
                networks on processors that multiply it faster.
            device: Where it computes: "cpu", "cuda", "cuda:1", "mps"; without it what the
                environment variable UNIGEOSEG_DEVICE says, else the CPU.
            bits: Of a weight of a large language part, to hold less in memory: 8, or 4 on CUDA.

        Raises:
            OptionError: If there is no such device, or it cannot hold so few bits.
            CheckpointNotFoundError: If there is no such model on this machine.
            HubError: If a model of the hub cannot be fetched.
            CheckpointDamagedError: If its files cannot be used.
        """
        place = device_of(device)
        directory = weights_directory(name)
        network, processor = checkpoint.load(directory, dtype=dtype, device=place, bits=bits)
        return cls(hasten(network), processor)

    def __call__(
        self,
        scene: SceneLike,
        prompt: PromptLike,
        *,
        answer: bool = False,
        progress: Progress | None = None,
    ) -> Segmentation:
        """Segment one target in one scene.

        Args:
            scene: A path of any raster that rasterio opens, an open `Scene`, or pixels
                (H, W), (H, W, 3) or (3, H, W).
            prompt: A text, a `Prompt`, a `Box`, a `Point`, or points of one target, in pixels
                of the scene (`Point.from_map` and `Box.from_map` take map coordinates).
            answer: Also ask for words; takes some seconds on a CPU.
            progress: Called as views are done.

        Raises:
            RasterError: If the scene cannot be read.
            PromptError: If the prompt is empty or off the scene.
            OptionError: If words are asked of a network that has none.
        """
        with self.open(scene) as session:
            return session.segment([prompt], answer=answer, progress=progress)[0]

    def masks(
        self, pixels: NDArray[np.uint8], prompts: Sequence[Prompt]
    ) -> list[NDArray[np.bool_]]:
        """Masks (H, W) bool of prompts on pixels (H, W, 3): the form that benchmarks call."""
        with self.open(pixels) as session:
            return [found.mask for found in session.segment(prompts)]

    def encode(self, images: NDArray[np.uint8]) -> ImageFeatures:
        """Encode images (B, 3, H, W) uint8, of a size that the network takes, for any prompts."""
        with torch.inference_mode():
            values = self.processor.pixel_values(images).to(self.device, self.dtype)
            features = self.network.encode(values)
        return replace(features, context=self._start and of_prompts(self._start, [0] * len(images)))

    def decode(
        self, features: ImageFeatures, view: View, prompts: Sequence[Prompt], grid: Grid | None
    ) -> SegmentationOutput:
        """What the network says of prompts on an encoded view.

        Where a text means one region and the view shows all of what could be it, the masks are of
        that one.

        Args:
            features: Of the view.
            view: The view.
            prompts: What is asked, in pixels of the scene.
            grid: Of the scene; None where the one that is meant is not chosen.
        """
        with torch.inference_mode():
            inputs = self.inputs(view, prompts)
            output = self.network.decode(features, inputs)
            whole = grid is not None and (view.window.height, view.window.width) == grid.shape
            one = meaning_one(inputs, output) if whole else []
            choices = choose(self.network, features, inputs, output, one)
        return replace(output, logits=with_choices(output.logits, choices))

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
        texts = [at for at, prompt in enumerate(prompts) if prompt.task is not Task.INTERACTIVE]
        asked = [prompts[at] for at in texts]
        if seen_whole(scene.grid, self.views) or not self._mean_one(asked):
            return {}
        whole = Window(0, 0, scene.grid.width, scene.grid.height)
        view = view_of(whole, self.views)
        features = self.encode(scene.read(whole, shape=view.shape).array[None])
        with torch.inference_mode():
            inputs = self.inputs(view, asked)
            output = self.network.decode(features, inputs)
            one = meaning_one(inputs, output)
            choices = choose(self.network, features, inputs, output, one)
        return {
            texts[at]: Focus(choice.territory(), scene.grid.shape) for at, choice in choices.items()
        }

    def _mean_one(self, texts: Sequence[Prompt]) -> bool:
        """Whether one of the texts means one region, as far as its words tell."""
        if not texts or self.network.choice is None:
            return False
        blank = View(Window(0, 0, _BLANK, _BLANK), (_BLANK, _BLANK))
        features = self.encode(np.zeros((1, 3, _BLANK, _BLANK), np.uint8))
        with torch.inference_mode():
            inputs = self.inputs(blank, texts)
            return bool(meaning_one(inputs, self.network.decode(features, inputs)))

    def inputs(self, view: View, prompts: Sequence[Prompt]) -> PromptInputs:
        """Prompts, in pixels of the scene, as the network reads them on a view."""
        window = view.window
        seen = [
            prompt.shifted(-window.col_off, -window.row_off).clipped(window.width, window.height)
            for prompt in prompts
        ]
        size = (int(window.height), int(window.width))
        return self.processor.prompts(seen, [0] * len(seen), size).to(self.device)

    def read(
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
        scores = [_score(view.restore(each), valid) for each in output.logits.float().cpu().numpy()]
        kept = [
            keep_clicked(score, _clicks(prompt, view.window))
            if one and prompt.task is Task.INTERACTIVE
            else score
            for score, prompt, one in zip(scores, prompts, output.one_logits > 0, strict=True)
        ]
        config, sure = self.network.config.confidence, output.score_logits.tolist()
        confidences = [
            config.of(logit, prompt.task, empty=not (score > 0.5).any())
            for logit, prompt, score in zip(sure, prompts, kept, strict=True)
        ]
        return kept, confidences

    def open(self, scene: SceneLike) -> "Session":
        """Open a scene for several prompts; what is encoded for one serves the next."""
        return Session(self, scene)


class Session:
    """One scene under a `Segmenter`; a context manager. Get one with `Segmenter.open`."""

    def __init__(self, segmenter: Segmenter, scene: SceneLike) -> None:
        """Open `scene`; a `Scene` that is given open stays open afterwards."""
        self._segmenter = segmenter
        self._owned = not isinstance(scene, Scene)
        # encoded views; at 512 px Nano's take about 4 MB each, and Base's, with what its language
        # model remembers, about 70
        self._kept = 2 if segmenter.speaks else 32
        self.scene = _open(scene)
        self._encoded: OrderedDict[View, tuple[ImageFeatures, NDArray[np.bool_]]] = OrderedDict()

    def __enter__(self) -> "Session":
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the scene if it was opened here."""
        if self._owned:
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
        self._check_speech(answer)
        grid = self.scene.grid
        asked = [as_prompt(prompt).clipped(grid.width, grid.height) for prompt in prompts]
        if not asked:
            raise PromptError("no prompt was given: give a text, points or a box")
        plan: dict[View, list[int]] = {}
        for index, prompt in enumerate(asked):
            for view in self._views(prompt):
                plan.setdefault(view, []).append(index)
        focus = self._segmenter.focus(self.scene, asked)
        blenders = [Blender(*grid.shape) for _ in asked]
        looks: list[list[_Look]] = [[] for _ in asked]
        for done, (view, indices) in enumerate(plan.items()):
            scores, confident = self._look(view, [asked[index] for index in indices])
            for index, score, confidence in zip(indices, scores, confident, strict=True):
                kept = focus[index].keep(score, view.window) if index in focus else score
                blenders[index].add(view.window, kept)
                looks[index].append(_Look(view, confidence, int((kept > 0.5).sum())))
            if progress:
                progress(done + 1, len(plan))
        return [
            Segmentation(
                prompt,
                grid,
                blender.score(),
                overall([(look.confidence, look.area) for look in seen]),
                answer=self._answer(prompt, seen) if answer else None,
            )
            for prompt, blender, seen in zip(asked, blenders, looks, strict=True)
        ]

    def closeup(self, prompt: PromptLike, *, answer: bool = False) -> Segmentation:
        """Segment one target on the grid of the one window that was looked at.

        For points and boxes on scenes of any size: no array of the scene's size is made. The
        result's prompt is in pixels of its window.

        Raises:
            PromptError: As `segment`, or if the prompt is a text that needs several views.
            OptionError: As `segment`.
        """
        self._check_speech(answer)
        grid = self.scene.grid
        asked = as_prompt(prompt).clipped(grid.width, grid.height)
        views = self._views(asked)
        if len(views) > 1:
            raise PromptError("a text is answered over the whole scene; give points or a box")
        view, window = views[0], views[0].window
        (score,), (confidence,) = self._look(view, [asked])
        look = _Look(view, confidence, int((score > 0.5).sum()))
        return Segmentation(
            asked.shifted(-window.col_off, -window.row_off),
            grid.for_window(window),
            score,
            confidence,
            answer=self._answer(asked, [look]) if answer else None,
        )

    def _check_speech(self, answer: bool) -> None:
        if answer and not self._segmenter.speaks:
            raise OptionError(
                f"the model {self._segmenter.network.config.name!r} gives masks and no words; "
                "leave out the answer, or use the model 'base'"
            )

    def _views(self, prompt: Prompt) -> list[View]:
        """Where to look for a prompt; clicks are first looked at from afar, to learn a scale."""
        config, grid = self._segmenter.views, self.scene.grid
        views = plan_views(prompt, grid, config)
        if not prompt.points or prompt.box or not config.click_margin:
            return views
        window = views[0].window
        ((score,), _) = self._look(views[0], [prompt])
        labels = components(score > 0.5)
        clicked = {int(labels[at]) for at in _clicks(prompt, window)}
        box = tight_box(np.isin(labels, list(clicked - {0})))
        if box is None:
            return views
        left, top = window.col_off, window.row_off
        found = Box(box[0] + left, box[1] + top, box[2] + left, box[3] + top)
        around = replace(prompt, box=found)
        return plan_views(around, grid, replace(config, box_margin=config.click_margin))

    def _look(
        self, view: View, prompts: Sequence[Prompt]
    ) -> tuple[list[NDArray[np.float32]], list[float]]:
        """As `Segmenter.read`, of a view that is encoded if it was not yet."""
        features, valid = self._encode(view)
        output = self._segmenter.decode(features, view, prompts, self.scene.grid)
        if output.context:  # the language model has read the image and need not again
            read = replace(features, context=of_prompts(output.context, [0]))
            self._encoded[view] = read, valid
        return self._segmenter.read(output, view, valid, prompts)

    def _answer(self, prompt: Prompt, looks: "list[_Look]") -> str:
        """What the network says of the view that shows the most of the target."""
        best = max(looks, key=lambda look: look.area)
        processor = self._segmenter.processor
        if not best.area:
            return NO_TARGET
        assert isinstance(processor, ChatProcessor), "asked of networks that speak"
        features, _ = self._encode(best.view)
        inputs = self._segmenter.inputs(best.view, [prompt])
        with torch.inference_mode():
            (reply,) = self._segmenter.network.answer(features, inputs, processor.style)
        return processor.words(reply)

    def _encode(self, view: View) -> tuple[ImageFeatures, NDArray[np.bool_]]:
        """What the network sees of a view, and where the window has data (h, w)."""
        if view in self._encoded:
            self._encoded.move_to_end(view)
            return self._encoded[view]
        segmenter, native = self._segmenter, self.scene.read(view.window)
        features = segmenter.encode(show(native.array, view)[None])
        self._encoded[view] = features, has_data(native.valid)
        if len(self._encoded) > self._kept:
            self._encoded.popitem(last=False)
        return self._encoded[view]


_BLANK = 64  # side of a view that shows nothing, on which words alone say what is meant


def _open(scene: SceneLike) -> Scene:
    if isinstance(scene, Scene):
        return scene
    if isinstance(scene, np.ndarray):
        return scene_from_array(scene)
    return open_scene(os.fspath(scene))


def _clicks(prompt: Prompt, window: Window) -> list[tuple[int, int]]:
    """Row and column in the window of each click on the target."""
    return [
        (int(point.y - window.row_off), int(point.x - window.col_off))
        for point in prompt.points
        if point.positive
    ]


def _score(logits: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    score = np.reciprocal(1 + np.exp(-np.clip(logits, -30, 30)))
    return np.where(valid, score, 0).astype(np.float32)


def overall(looks: Sequence[tuple[float, int]]) -> float:
    """One confidence of several looks at a scene, about its mask at 0.5.

    Where something was found, the mean over the looks that found it, by the area found in each: an
    estimate of the mask's IoU. Where no look found anything, that of the least sure one: nothing is
    there only if nothing is in any of them.

    Args:
        looks: Confidence and pixels found of each; without any it is 0.
    """
    area = sum(found for _, found in looks)
    if not area:
        return min((confidence for confidence, _ in looks), default=0.0)
    return sum(confidence * found for confidence, found in looks) / area
