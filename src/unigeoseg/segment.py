"""The call users learn: a scene and a prompt in, a georeferenced mask out.

A text prompt is answered over the whole scene, in one view or in overlapping tiles whose scores
are blended. A point or a box is answered in a window of its own round the prompt, at a scale that
suits the network. A window is encoded once and reused by later prompts on the same scene.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from unigeoseg.errors import CheckpointError, PromptError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.mask import components, has_data, tight_box
from unigeoseg.geo.raster import Scene, open_scene, scene_from_array
from unigeoseg.geo.tile import Blender
from unigeoseg.geo.vector import (
    MASK_SUFFIXES,
    Feature,
    check_output,
    polygonise,
    write_mask,
    write_vectors,
)
from unigeoseg.model import checkpoint
from unigeoseg.model.network import ImageFeatures, UniGeoSegNetwork
from unigeoseg.model.processor import Processor
from unigeoseg.model.store import weights_directory
from unigeoseg.prompt import Box, Point, Prompt
from unigeoseg.views import View, ViewConfig, plan_views

SceneLike = Scene | str | PathLike[str] | NDArray[np.generic]
PromptLike = Prompt | str | Point | Box | Sequence[Point]
Progress = Callable[[int, int], None]
"""Called with the number of views done and the number of all."""


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """What the network found for one prompt.

    Attributes:
        prompt: What was asked, in pixels of the scene.
        grid: Where the scene lies; mask and score lie on it.
        score: (H, W) float32 in [0, 1], the chance that a pixel belongs to the target; 0 where
            the scene has no data or was not looked at.
        confidence: The network's estimate, in [0, 1], of the mask's IoU with what was meant.
        threshold: Scores above it are in the mask.
    """

    prompt: Prompt
    grid: Grid
    score: NDArray[np.float32]
    confidence: float
    threshold: float = 0.5

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool on `grid`."""
        return self.score > self.threshold

    def features(self, *, min_area_px: int = 4) -> list[Feature]:
        """One feature per connected region, in map coordinates of `grid`.

        Properties: instruction, score (the region's mean), confidence, area_m2 (None without a
        CRS) and area_px.
        """
        labels = components(self.mask)
        found = []
        for label, rows_columns in enumerate(_slices(labels), start=1):
            here = labels[rows_columns] == label
            area_px = int(here.sum())
            if area_px < min_area_px:
                continue
            window = Window.from_slices(*rows_columns)
            part = self.grid.for_window(window)
            for geometry in polygonise(here, part):
                found.append(Feature(geometry, self._properties(here, rows_columns, part)))
        return found

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the mask (.tif) or its regions (.geojson, .json, .gpkg), by suffix.

        Raises:
            OutputFormatError, OutputExistsError, OutputUnwritableError: See `check_output`.
        """
        check_output(Path(path), overwrite)
        write(Path(path), [self])

    def _properties(
        self, here: NDArray[np.bool_], place: tuple[slice, slice], part: Grid
    ) -> dict[str, str | int | float | None]:
        area_px, gsd_m = int(here.sum()), part.gsd_m
        return {
            "instruction": self.prompt.instruction(self.grid.width, self.grid.height),
            "score": round(float(self.score[place][here].mean()), 4),
            "confidence": round(self.confidence, 4),
            "area_px": area_px,
            "area_m2": None if gsd_m is None else round(area_px * gsd_m**2, 3),
        }


def write(path: Path, found: Sequence[Segmentation]) -> None:
    """Write the union of masks on one grid, or the features of each, by the path's suffix.

    The caller has called `check_output`, before the work.
    """
    if path.suffix.lower() in MASK_SUFFIXES:
        union = np.logical_or.reduce([each.mask for each in found])
        write_mask(path, union, found[0].grid)
    else:
        features = [feature for each in found for feature in each.features()]
        write_vectors(path, features, found[0].grid)


class Segmenter:
    """A network ready to segment scenes."""

    def __init__(
        self,
        network: UniGeoSegNetwork,
        processor: Processor,
        views: ViewConfig | None = None,
    ) -> None:
        """Use `network`, in evaluation mode, with its `processor`.

        Raises:
            CheckpointError: If the network takes one fixed image size, as Base does.
        """
        if network.config.image_size:
            raise CheckpointError(
                f"the model {network.config.name!r} takes images of {network.config.image_size} px "
                "only; scenes can be segmented with Nano so far: use the model 'nano'"
            )
        self.network, self.processor = network, processor
        self.views = views or ViewConfig()

    @classmethod
    def from_pretrained(cls, name: str | PathLike[str] = "nano") -> "Segmenter":
        """Load "nano", "base" once it was pulled, a model directory, or "owner/name" on the hub.

        Raises:
            CheckpointNotFoundError: If there is no such model on this machine.
            HubError: If a model of the hub cannot be fetched.
            CheckpointDamagedError: If its files cannot be used.
            CheckpointError: If it takes one fixed image size, as Base does.
        """
        return cls(*checkpoint.load(weights_directory(name)))

    def __call__(
        self, scene: SceneLike, prompt: PromptLike, *, progress: Progress | None = None
    ) -> Segmentation:
        """Segment one target in one scene.

        Args:
            scene: A path of any raster that rasterio opens, an open `Scene`, or pixels
                (H, W), (H, W, 3) or (3, H, W).
            prompt: A text, a `Prompt`, a `Box`, a `Point`, or points of one target, in pixels
                of the scene (`Point.from_map` and `Box.from_map` take map coordinates).
            progress: Called as views are done.

        Raises:
            RasterError: If the scene cannot be read.
            PromptError: If the prompt is empty or off the scene.
        """
        with self.open(scene) as session:
            return session.segment([prompt], progress=progress)[0]

    def masks(
        self, pixels: NDArray[np.uint8], prompts: Sequence[Prompt]
    ) -> list[NDArray[np.bool_]]:
        """Masks (H, W) bool of prompts on pixels (H, W, 3): the form that benchmarks call."""
        with self.open(pixels) as session:
            return [found.mask for found in session.segment(prompts)]

    def open(self, scene: SceneLike) -> "Session":
        """Open a scene for several prompts; what is encoded for one serves the next."""
        return Session(self, scene)


class Session:
    """One scene under a `Segmenter`; a context manager. Get one with `Segmenter.open`."""

    _KEPT = 32  # encoded views, about 4 MB each at 512 px

    def __init__(self, segmenter: Segmenter, scene: SceneLike) -> None:
        """Open `scene`; a `Scene` that is given open stays open afterwards."""
        self._segmenter = segmenter
        self._owned = not isinstance(scene, Scene)
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
        self, prompts: Iterable[PromptLike], *, progress: Progress | None = None
    ) -> list[Segmentation]:
        """Segment one target per prompt, in one pass over the pixels.

        Args:
            prompts: As in `Segmenter.__call__`.
            progress: Called as views are done.

        Raises:
            PromptError: If a prompt is empty or off the scene, or there is none.
        """
        grid = self.scene.grid
        asked = [as_prompt(prompt).clipped(grid.width, grid.height) for prompt in prompts]
        if not asked:
            raise PromptError("no prompt was given: give a text, points or a box")
        plan: dict[View, list[int]] = {}
        for index, prompt in enumerate(asked):
            for view in self._views(prompt):
                plan.setdefault(view, []).append(index)
        blenders = [Blender(*grid.shape) for _ in asked]
        confidences: list[list[tuple[float, float]]] = [[] for _ in asked]
        for done, (view, indices) in enumerate(plan.items()):
            scores, confident = self._look(view, [asked[index] for index in indices])
            for index, score, confidence in zip(indices, scores, confident, strict=True):
                blenders[index].add(view.window, score)
                confidences[index].append((confidence, float((score > 0.5).sum())))
            if progress:
                progress(done + 1, len(plan))
        return [
            Segmentation(prompt, grid, blender.score(), _overall(confidence))
            for prompt, blender, confidence in zip(asked, blenders, confidences, strict=True)
        ]

    def _views(self, prompt: Prompt) -> list[View]:
        """Where to look for a prompt; clicks are first looked at from afar, to learn a scale."""
        config, grid = self._segmenter.views, self.scene.grid
        views = plan_views(prompt, grid, config)
        if not prompt.points or prompt.box:
            return views
        window = views[0].window
        ((score,), _) = self._look(views[0], [prompt])
        labels = components(score > 0.5)
        clicked = {
            int(labels[int(point.y) - window.row_off, int(point.x) - window.col_off])
            for point in prompt.points
            if point.positive
        }
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
        """Scores (h, w) of each prompt on the view's window, and how sure the network is."""
        features, valid = self._encode(view)
        window = view.window
        seen = [
            prompt.shifted(-window.col_off, -window.row_off).clipped(window.width, window.height)
            for prompt in prompts
        ]
        size = (int(window.height), int(window.width))
        inputs = self._segmenter.processor.prompts(seen, [0] * len(seen), size)
        with torch.inference_mode():
            output = self._segmenter.network.decode(features, inputs)
        logits = output.logits.numpy()
        scores = [_score(cv2.resize(each, size[::-1]), valid) for each in logits]
        return scores, output.score_logits.sigmoid().tolist()

    def _encode(self, view: View) -> tuple[ImageFeatures, NDArray[np.bool_]]:
        """What the network sees of a view, and where the window has data (h, w)."""
        if view in self._encoded:
            self._encoded.move_to_end(view)
            return self._encoded[view]
        window = view.window
        native = self.scene.read(window)
        same = native.grid.shape == view.shape
        pixels = (native if same else self.scene.read(window, shape=view.shape)).array
        valid = has_data(native.valid)
        with torch.inference_mode():
            values = self._segmenter.processor.pixel_values(pixels[None])
            self._encoded[view] = self._segmenter.network.encode(values), valid
        if len(self._encoded) > self._KEPT:
            self._encoded.popitem(last=False)
        return self._encoded[view]


def as_prompt(prompt: PromptLike) -> Prompt:
    """A `Prompt` from what users may give instead.

    Raises:
        PromptError: If it is something else, or empty.
    """
    if isinstance(prompt, Prompt):
        return prompt
    if isinstance(prompt, str):
        return Prompt.from_text(prompt)
    if isinstance(prompt, Box):
        return Prompt.from_box(prompt)
    points = [prompt] if isinstance(prompt, Point) else prompt
    if isinstance(points, Sequence) and all(isinstance(point, Point) for point in points):
        return Prompt.from_points(points)
    raise PromptError(
        f"a prompt is a text, a Prompt, a Box, a Point or points, got {type(prompt).__name__}"
    )


def _open(scene: SceneLike) -> Scene:
    if isinstance(scene, Scene):
        return scene
    if isinstance(scene, np.ndarray):
        return scene_from_array(scene)
    return open_scene(Path(scene))


def _score(logits: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    score = np.reciprocal(1 + np.exp(-np.clip(logits, -30, 30)))
    return np.where(valid, score, 0).astype(np.float32)


def _overall(confidences: Sequence[tuple[float, float]]) -> float:
    """Mean confidence of the views, by the area found in each; the surest view if nothing is."""
    values = np.array(confidences)
    area = values[:, 1].sum()
    return float((values[:, 0] * values[:, 1]).sum() / area if area else values[:, 0].max())


def _slices(labels: NDArray[np.int32]) -> list[tuple[slice, slice]]:
    found: list[tuple[slice, slice]] = ndimage.find_objects(labels)
    return found
