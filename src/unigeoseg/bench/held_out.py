"""Samples to score on: instructions on whole, held-out images."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from unigeoseg.data.instructions import FAMILIES, Instruction
from unigeoseg.data.readers import LabelledImage
from unigeoseg.data.regions import View

HELD_OUT_COUNTS: Mapping[str, int] = {
    "box": 2,
    "point": 2,
    "category": 2,
    "referring": 2,
    "attribute": 1,
    "absent": 1,
}
"""Samples that are drawn per image and family, where the image allows them."""


@dataclass(frozen=True)
class Case:
    """All samples on one image.

    Attributes:
        image: The image; its pixels are all that a predictor sees.
        valid: (H, W) bool, where predictions are scored.
        instructions: What is asked, with the truth.
    """

    image: LabelledImage
    valid: np.ndarray
    instructions: tuple[Instruction, ...]


def held_out(images: Iterable[LabelledImage], *, seed: int = 0) -> Iterator[Case]:
    """Draw the same samples on each image whatever other images there are.

    Repeated draws of the same target by the same words are dropped.
    """
    for image in images:
        view = View(
            regions=image.regions,
            categories=image.categories,
            labelled=image.labelled,
            source=image.source,
        )
        name = f"{image.source}/{image.stem}".encode()
        rng = np.random.default_rng((seed, zlib.crc32(name)))
        drawn: list[Instruction] = []
        for family, count in HELD_OUT_COUNTS.items():
            for _ in range(count):
                instruction = FAMILIES[family](view, rng)
                if instruction and all(instruction.prompt != each.prompt for each in drawn):
                    drawn.append(instruction)
        yield Case(image, view.valid, tuple(drawn))
