"""A patch: the square of an image that instructions are written for (paper section 2, stage 1)."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.ledger import Measurement, Rejection
from unigeoseg.data.sources.annotated import LabelledBox, LabelledText
from unigeoseg.geo.grid import Grid

UNKNOWN_REGION = np.uint16(65535)
"""Region id of pixels of which nobody knows what they show."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A square of an image; each of its pixels belongs to at most one region.

    A region is one object, or one 8-connected piece of a category's pixels.

    Attributes:
        source: Name of the catalogue's row.
        key: Path of the image below the source's directory.
        x: Left column of the patch in the image.
        y: Its top row.
        group: Images of one group show the same scene.
        licence: As the source states it.
        gsd_m: Metres per pixel, or None.
        grid: Where the patch lies, or None.
        pixels: (H, W, 3) uint8 RGB.
        regions: (H, W) uint16 region ids, 0 where none, UNKNOWN_REGION where nobody knows.
        categories: Taxonomy id of each region id that is visible.
        labelled: Categories that the source labels wherever they occur.
        boxes: Objects with boxes alone, in pixels of the patch.
        texts: The source's own instructions, in pixels of the patch.
        split: The published split, or empty.
        image_phash: `perceptual_hash` of the whole image, or None.
    """

    source: str
    key: str
    x: int
    y: int
    group: str
    licence: str
    gsd_m: float | None
    grid: Grid | None
    pixels: NDArray[np.uint8]
    regions: NDArray[np.uint16]
    categories: dict[int, int]
    labelled: frozenset[int] = frozenset()
    boxes: tuple[LabelledBox, ...] = ()
    texts: tuple[LabelledText, ...] = ()
    split: str = ""
    image_phash: int | None = None

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits of the SHA-256 of source, place and pixels."""
        digest = hashlib.sha256(f"{self.source}\n{self.key}\n{self.x}\n{self.y}\n".encode())
        digest.update(np.ascontiguousarray(self.pixels).tobytes())
        return digest.hexdigest()[:16]


def patch_rejection(
    patch: Patch, stage: str, rule: str, subject: str, measured: Measurement = (None, None)
) -> Rejection:
    """A rejection in one patch.

    The patch's place goes with the subject, since regions are counted per patch.
    """
    detail = f"{subject} in the patch at x {patch.x}, y {patch.y}"
    return Rejection(stage, rule, patch.source, patch.key, detail, *measured)
