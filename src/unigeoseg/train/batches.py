"""Batches: views of labelled images held in memory, one or several prompts on each.

Encoding an image is dear and a prompt is cheap, so each view may carry many prompts. A view is a
pure function of the seed, the step and its number in the step, so a resumed run goes on exactly,
and several processes make the batch of one between them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from unigeoseg.data.instructions import FAMILIES, Instruction
from unigeoseg.data.readers import LabelledImage
from unigeoseg.data.regions import View
from unigeoseg.errors import OptionError
from unigeoseg.model.network import PromptInputs
from unigeoseg.model.processor import Processor, letterbox
from unigeoseg.prompt import Prompt
from unigeoseg.train.augment import augment_pixels


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """What a step is made of.

    Attributes:
        image_size: Side of a view in pixels, a multiple of 32.
        images: Views per step.
        prompts: Prompts per view.
        sources: Chance of each set, before normalisation.
        families: Chance of each instruction family, before normalisation.
        whole: Share of views that show the whole image, letterboxed.
        focus: Share of the other views that are placed round one object, at its own scale.
        scale: Smallest and largest magnification of the remaining views.
    """

    image_size: int = 256
    images: int = 8
    prompts: int = 8
    sources: Mapping[str, float]
    families: Mapping[str, float]
    whole: float = 0.0
    focus: float = 0.5
    scale: tuple[float, float] = (0.35, 2.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's tensors: B views, P prompts, side S.

    Attributes:
        pixel_values: (B, 3, S, S) float, normalised.
        prompts: P prompts.
        truth: (P, S, S) bool, the target.
        valid: (P, S, S) bool, False where the label does not say.
        labels: (P, L) int64, the words to say, as in `model.chat`; None if the network says none.
        seeds: (P,) int64, for what a loss draws at random for each prompt.
        families: Family of each prompt.
    """

    pixel_values: Tensor
    prompts: PromptInputs
    truth: Tensor
    valid: Tensor
    labels: Tensor | None
    seeds: Tensor
    families: tuple[str, ...]

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`; seeds stay, since points are drawn on the CPU."""
        asked = {
            field.name: getattr(self.prompts, field.name).to(device)
            for field in fields(self.prompts)
        }
        return replace(
            self,
            pixel_values=self.pixel_values.to(device),
            prompts=PromptInputs(**asked),
            truth=self.truth.to(device),
            valid=self.valid.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


class BatchMaker:
    """Makes the batch of any step, or one process's part of it."""

    def __init__(
        self,
        images: Sequence[LabelledImage],
        processor: Processor,
        config: BatchConfig,
        *,
        seed: int,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Draw from `images`, whose sources must all have a chance in `config.sources`.

        Args:
            images: Labelled images.
            processor: Of the network.
            config: What a step is made of.
            seed: Of all that is drawn.
            part: Which part of a step's views is made here, and of how many equal ones.

        Raises:
            OptionError: If the views of a step cannot be shared equally.
        """
        which, parts = part
        if config.images % parts:
            raise OptionError(
                f"{config.images} images a step cannot be shared by {parts} processes; make the "
                "number of images a multiple of that of processes"
            )
        share = config.images // parts
        self.views = range(which * share, (which + 1) * share)
        self.by_source: dict[str, list[LabelledImage]] = {}
        for image in images:
            self.by_source.setdefault(image.source, []).append(image)
        self.processor, self.config, self.seed = processor, config, seed
        chances = np.array([config.sources[source] for source in self.by_source])
        self.chances = chances / chances.sum()

    def batch(self, step: int) -> Batch:
        """The batch of a step; the same for the same step, seed and data."""
        views: list[np.ndarray] = []
        said: list[tuple[View, Instruction]] = []
        seeds: list[np.ndarray] = []
        for index in self.views:
            rng = np.random.default_rng((self.seed, step, index))
            pixels, view, chosen = next(self._views_with_prompts(rng))
            views.append(augment_pixels(pixels, rng))
            said += [(view, instruction) for instruction in chosen]
            seeds.append(rng.integers(2**62, size=len(chosen)))
        size = self.config.image_size
        asked, labels = self.processor.lessons(
            [instruction.prompt for _, instruction in said],
            [instruction.answer for _, instruction in said],
            np.repeat(np.arange(len(views)), self.config.prompts).tolist(),
            (size, size),
        )
        return Batch(
            pixel_values=self.processor.pixel_values(np.stack(views).transpose(0, 3, 1, 2)),
            prompts=asked,
            truth=torch.from_numpy(np.stack([instruction.mask for _, instruction in said])),
            valid=torch.from_numpy(np.stack([view.valid for view, _ in said])),
            labels=labels,
            seeds=torch.from_numpy(np.concatenate(seeds)),
            families=tuple(instruction.family for _, instruction in said),
        )

    def _views_with_prompts(
        self, rng: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, View, list[Instruction]]]:
        """Views that give as many prompts as a view carries."""
        while True:
            pixels, view = self._view(rng)
            chosen = draw_instructions(
                view, self.config.families, self.config.prompts, rng, self.processor.takes
            )
            if len(chosen) == self.config.prompts:
                yield pixels, view, chosen

    def _view(self, rng: np.random.Generator) -> tuple[np.ndarray, View]:
        names = list(self.by_source)
        pool = self.by_source[names[int(rng.choice(len(names), p=self.chances))]]
        image = pool[int(rng.integers(len(pool)))]
        if rng.random() < self.config.whole:
            window = (0, 0, image.regions.shape[1], image.regions.shape[0])
        else:
            focused = bool(image.categories) and rng.random() < self.config.focus
            x, y, side = self._round_object(image, rng) if focused else self._anywhere(image, rng)
            window = (x, y, side, side)
        return cut_view(image, window, self.config.image_size, int(rng.integers(8)))

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
    image: LabelledImage, window: tuple[int, int, int, int], size: int, symmetry: int
) -> tuple[np.ndarray, View]:
    """Cut a window, letterbox it, and turn or flip it by one of the eight symmetries.

    What the letterbox adds is background, where nothing is to be found.

    Args:
        image: Whole image.
        window: Left column, top row, width and height, in pixels, inside the image.
        size: Side of the view in pixels.
        symmetry: 0 to 7: a quarter turn count, and from 4 on a flip before it.

    Returns:
        Pixels (size, size, 3) uint8 and the view of what is labelled.
    """
    x, y, width, height = window
    pixels = image.pixels[y : y + height, x : x + width]
    regions = image.regions[y : y + height, x : x + width]
    smooth = cv2.INTER_AREA if max(width, height) > size else cv2.INTER_LINEAR
    pixels = letterbox(pixels, size, interpolation=smooth)
    regions = letterbox(regions, size, interpolation=cv2.INTER_NEAREST_EXACT)
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
    view: View,
    families: Mapping[str, float],
    count: int,
    rng: np.random.Generator,
    takes: Callable[[Prompt], bool],
) -> list[Instruction]:
    """Draw up to `count` instructions; fewer if the view does not give them in reasonable time.

    Args:
        view: What is labelled.
        families: Chance of each family, before normalisation.
        count: How many.
        rng: Draws.
        takes: Whether the network can answer a prompt; others are not given.
    """
    names = list(families)
    chances = np.array([families[name] for name in names])
    drawn: list[Instruction] = []
    for _ in range(4 * count):
        family = names[int(rng.choice(len(names), p=chances / chances.sum()))]
        instruction = FAMILIES[family](view, rng)
        if instruction is not None and takes(instruction.prompt):
            drawn.append(instruction)
        if len(drawn) == count:
            break
    return drawn
