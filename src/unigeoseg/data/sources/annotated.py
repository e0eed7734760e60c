"""Annotated images: the pixels that a reader gives, with their labels in unified categories.

Coordinates are pixels of the image, x right and first, y down; arrays are rows first.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unigeoseg.errors import DataError
from unigeoseg.geo.grid import Grid
from unigeoseg.prompt import Task

UNKNOWN = np.uint16(65535)
"""Category id of pixels of which nobody knows what they show."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledObject:
    """One object with a mask of its own.

    Attributes:
        category: Id in the taxonomy.
        x: Left column of the mask in the image.
        y: Its top row.
        mask: (h, w) bool, the object within its own window.
    """

    category: int
    x: int
    y: int
    mask: NDArray[np.bool_]


def larger_first(objects: Iterable[LabelledObject]) -> list[LabelledObject]:
    """Objects by area, the largest first; equal ones stay in order."""
    return sorted(objects, key=lambda item: -int(item.mask.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class LabelledBox:
    """One object with a box, upright or rotated, and no mask.

    Attributes:
        category: Id in the taxonomy.
        corners: (4, 2) float32, x and y of the corners in order round the box.
    """

    category: int
    corners: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledText:
    """An instruction that came with the source, and the mask that it means.

    Attributes:
        text: The instruction as published.
        task: Referring or reasoning.
        target: The object that it refers to; None where the source states that nothing is meant.
        category: Id in the taxonomy, or 0 where the source does not state it.
        answer: As published, or empty.
    """

    text: str
    task: Task
    target: LabelledObject | None
    category: int
    answer: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedImage:
    """One image and its labels.

    Attributes:
        source: Name of the catalogue's row.
        key: The image's path below the source's directory, "/" between its parts; unique there.
        group: Images of one group show the same scene; a split keeps them together.
        licence: As the source states it.
        gsd_m: Metres per pixel, or None where not stated.
        grid: Where the image lies, or None without georeference.
        pixels: (H, W, 3) uint8 RGB.
        classes: (H, W) uint16 category ids, 0 where none, UNKNOWN where nobody knows;
            None where the source has no pixel classes.
        objects: Objects with their own masks, larger ones first.
        boxes: Objects with boxes alone.
        texts: Instructions of the source's own.
        labelled: Categories that the source labels wherever they occur.
        split: The published split ("train", "val", "test"), or empty.

    Raises:
        DataError: If classes, objects or grid do not fit the pixels.
    """

    source: str
    key: str
    group: str
    licence: str
    gsd_m: float | None
    grid: Grid | None
    pixels: NDArray[np.uint8]
    classes: NDArray[np.uint16] | None = None
    objects: tuple[LabelledObject, ...] = ()
    boxes: tuple[LabelledBox, ...] = ()
    texts: tuple[LabelledText, ...] = ()
    labelled: frozenset[int] = frozenset()
    split: str = ""

    def __post_init__(self) -> None:
        """Check that labels and pixels have one size."""
        shape = self.pixels.shape[:2]
        if self.classes is not None and self.classes.shape != shape:
            raise DataError(
                f"the mask of {self.key} is {self.classes.shape} (H, W), its image is {shape}: "
                "they must be equal"
            )
        if self.grid is not None and self.grid.shape != shape:
            raise DataError(
                f"the grid of {self.key} is {self.grid.shape} (H, W), its image is {shape}: "
                "they must be equal"
            )
