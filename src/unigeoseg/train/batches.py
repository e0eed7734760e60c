"""Batches: views of labelled images held in memory, several prompts on each.

Encoding an image is dear and a prompt is cheap, so each view carries many prompts. What a step
sees is a pure function of the seed and the step's number, so a resumed run goes on exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from unigeoseg.data.instructions import FAMILIES, Instruction
from unigeoseg.data.readers import LabelledImage
from unigeoseg.data.regions import View
from unigeoseg.model.network import PromptInputs
from unigeoseg.model.processor import Processor
from unigeoseg.train.augment import augment_pixels

_STRIDE = 4  # of the network's mask logits


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """What a step is made of.

    Attributes:
        image_size: Side of a view in pixels, a multiple of 32.
        images: Views per step.
        prompts: Prompts per view.
        sources: Chance of each set, before normalisation.
        families: Chance of each instruction family, before normalisation.
        focus: Share of views that are placed round one object, at its own scale.
        scale: Smallest and largest magnification of the other views.
    """

    image_size: int = 256
    images: int = 8
    prompts: int = 8
    sources: Mapping[str, float]
    families: Mapping[str, float]
    focus: float = 0.5
    scale: tuple[float, float] = (0.35, 2.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's tensors: B views, P prompts, side S.

    Attributes:
        pixel_values: (B, 3, S, S) float, normalised.
        prompts: P prompts.
        truth: (P, S/4, S/4) float, the share of each cell that is target.
        valid: (P, S/4, S/4) float, 0 where the label does not say.
        families: Family of each prompt.
    """

    pixel_values: Tensor
    prompts: PromptInputs
    truth: Tensor
    valid: Tensor
    families: tuple[str, ...]


class BatchMaker:
    """Makes the batch of any step."""

    def __init__(
        self,
        images: Sequence[LabelledImage],
        processor: Processor,
        config: BatchConfig,
        *,
        seed: int,
    ) -> None:
        """Draw from `images`, whose sources must all have a chance in `config.sources`."""
        self.by_source: dict[str, list[LabelledImage]] = {}
        for image in images:
            self.by_source.setdefault(image.source, []).append(image)
        self.processor, self.config, self.seed = processor, config, seed
        chances = np.array([config.sources[source] for source in self.by_source])
        self.chances = chances / chances.sum()

    def batch(self, step: int) -> Batch:
        """The batch of a step; the same for the same step, seed and data."""
        rng = np.random.default_rng((self.seed, step))
        views: list[np.ndarray] = []
        said: list[tuple[View, Instruction]] = []
        owner: list[int] = []
        while len(views) < self.config.images:
            pixels, view = self._view(rng)
            chosen = draw_instructions(view, self.config.families, self.config.prompts, rng)
            if len(chosen) < self.config.prompts:
                continue
            owner += [len(views)] * len(chosen)
            views.append(augment_pixels(pixels, rng))
            said += [(view, instruction) for instruction in chosen]
        size = self.config.image_size
        prompts = [instruction.prompt for _, instruction in said]
        return Batch(
            pixel_values=self.processor.pixel_values(np.stack(views).transpose(0, 3, 1, 2)),
            prompts=self.processor.prompts(prompts, owner, (size, size)),
            truth=_cells([instruction.mask for _, instruction in said]),
            valid=(_cells([view.valid for view, _ in said]) > 0.99).float(),
            families=tuple(instruction.family for _, instruction in said),
        )

    def _view(self, rng: np.random.Generator) -> tuple[np.ndarray, View]:
        names = list(self.by_source)
        pool = self.by_source[names[int(rng.choice(len(names), p=self.chances))]]
        image = pool[int(rng.integers(len(pool)))]
        focused = bool(image.categories) and rng.random() < self.config.focus
        square = self._round_object(image, rng) if focused else self._anywhere(image, rng)
        return cut_view(image, square, self.config.image_size, int(rng.integers(8)))

    def _anywhere(self, image: LabelledImage, rng: np.random.Generator) -> tuple[int, int, int]:
        height, width = image.regions.shape
        low, high = np.log(self.config.scale)
        side = round(self.config.image_size / float(np.exp(rng.uniform(low, high))))
        side = max(min(side, height, width), 64)
        return (
            int(rng.integers(width - side + 1)),
            int(rng.integers(height - side + 1)),
            side,
        )

    def _round_object(self, image: LabelledImage, rng: np.random.Generator) -> tuple[int, int, int]:
        height, width = image.regions.shape
        key = list(image.categories)[int(rng.integers(len(image.categories)))]
        rows, columns = np.nonzero(image.regions == key)
        if not len(rows):
            return self._anywhere(image, rng)
        extent = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
        side = round(extent * float(np.exp(rng.uniform(np.log(1.2), np.log(6)))))
        side = max(min(side, height, width), 48)
        slack = max(side - extent, 0) / 2 + 1
        x = (columns.min() + columns.max() - side) / 2 + rng.uniform(-slack, slack)
        y = (rows.min() + rows.max() - side) / 2 + rng.uniform(-slack, slack)
        return int(np.clip(x, 0, width - side)), int(np.clip(y, 0, height - side)), side


def cut_view(
    image: LabelledImage, square: tuple[int, int, int], size: int, symmetry: int
) -> tuple[np.ndarray, View]:
    """Cut a square, resize it, and turn or flip it by one of the eight symmetries.

    Args:
        image: Whole image.
        square: Left column, top row and side, in pixels, inside the image.
        size: Side of the view in pixels.
        symmetry: 0 to 7: a quarter turn count, and from 4 on a flip before it.

    Returns:
        Pixels (size, size, 3) uint8 and the view of what is labelled.
    """
    x, y, side = square
    pixels = image.pixels[y : y + side, x : x + side]
    regions = image.regions[y : y + side, x : x + side]
    smooth = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    pixels = cv2.resize(pixels, (size, size), interpolation=smooth)
    regions = cv2.resize(regions, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    if symmetry >= 4:
        pixels, regions = pixels[:, ::-1], regions[:, ::-1]
    pixels, regions = np.rot90(pixels, symmetry % 4), np.rot90(regions, symmetry % 4)
    view = View(
        regions=np.ascontiguousarray(regions),
        categories=image.categories,
        labelled=image.labelled,
        source=image.source,
    )
    return np.ascontiguousarray(pixels), view


def draw_instructions(
    view: View, families: Mapping[str, float], count: int, rng: np.random.Generator
) -> list[Instruction]:
    """Draw up to `count` instructions; fewer if the view does not give them in reasonable time."""
    names = list(families)
    chances = np.array([families[name] for name in names])
    drawn: list[Instruction] = []
    for _ in range(4 * count):
        family = names[int(rng.choice(len(names), p=chances / chances.sum()))]
        instruction = FAMILIES[family](view, rng)
        if instruction is not None:
            drawn.append(instruction)
        if len(drawn) == count:
            break
    return drawn


def _cells(masks: Sequence[np.ndarray]) -> Tensor:
    """Mean of each 4 x 4 cell of masks (P, S, S) bool: (P, S/4, S/4) float."""
    stacked = np.stack(masks)
    prompts, height, width = stacked.shape
    cells = stacked.reshape(prompts, height // _STRIDE, _STRIDE, width // _STRIDE, _STRIDE)
    return torch.from_numpy(cells.sum(axis=(2, 4), dtype=np.uint8)).float() / _STRIDE**2
