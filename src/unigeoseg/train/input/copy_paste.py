"""Rare objects, cut out of the patches that show them and pasted into other views of their source.

Source: Simple Copy-Paste (Ghiasi et al., arXiv 2012.07177), for objects that few patches of a
source show. Objects stay within their source, whose scale and labels they share.

Legend: h w object, S view.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.taxonomy.categories import taxonomy
from unigeoseg.train.input.patch_cache import PatchCache

_RARE = 0.08  # share of a source's patches below which a category that they show is rare
_MOST = 3  # objects pasted into one view
_PLACES = 8  # that are tried for an object
_SCALE = (0.8, 1.25)  # smallest and largest change of an object's size
_STRETCH = (0.88, 1.14)  # and of its height alone
_REPAINTED = 0.4  # share of objects that get a colour of their own
_LEAST, _SHARE = 6, 0.6  # an object's sides in pixels, and of the side of a view at most
_SOFT = 0.7  # spread in pixels of the edge along which object and view are mixed


@dataclass(frozen=True, slots=True, eq=False)
class CutOut:
    """An object without its surroundings.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, of its box.
        mask: (h, w) bool.
        category: Taxonomy id.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    category: int


class RareObjects:
    """The rare objects of each source."""

    def __init__(self, found: Mapping[str, Mapping[int, Sequence[CutOut]]]) -> None:
        """Take cut-outs by source and category."""
        self._found = found

    @classmethod
    def of(cls, patches: PatchCache) -> "RareObjects":
        """Cut out every whole object of a rare category."""
        rare = {
            key
            for key, share in patches.shares().items()
            if share < _RARE and taxonomy()[key[1]].kind == "thing"
        }
        found: dict[str, dict[int, list[CutOut]]] = defaultdict(lambda: defaultdict(list))
        for number, blank in enumerate(patches.patches):
            wanted = {r: c for r, c in blank.categories.items() if (blank.source, c) in rare}
            for region, category in wanted.items():
                cut = _cut_out(patches[number], region, category)
                if cut is not None:
                    found[blank.source][category].append(cut)
        return cls(found)

    def paste(self, view: Patch, scale: float, rng: np.random.Generator) -> Patch:
        """Paste up to three objects where no other region is; the view itself if there are none.

        Args:
            view: A square view of a patch.
            scale: Pixels of the view for one of the patch.
            rng: Draws.
        """
        kinds = self._found.get(view.source)
        if not kinds:
            return view
        pixels, regions = view.pixels.copy(), view.regions.copy()
        categories = dict(view.categories)
        number = int(regions[regions != UNKNOWN_REGION].max(initial=0))
        for _ in range(1 + int(rng.integers(_MOST))):
            alike = kinds[sorted(kinds)[int(rng.integers(len(kinds)))]]
            cut = _changed(alike[int(rng.integers(len(alike)))], scale, rng)
            place = _place(cut.mask, regions, rng)
            if place is None:
                continue
            number += 1
            _lay(cut, pixels[place], regions[place], number)
            categories[number] = cut.category
        return replace(view, pixels=pixels, regions=regions, categories=categories)


def _cut_out(patch: Patch, region: int, category: int) -> CutOut | None:
    """A region's object; None if the edge of the patch cuts it."""
    rows, columns = np.nonzero(patch.regions == region)
    (top, left), (bottom, right) = (rows.min(), columns.min()), (rows.max() + 1, columns.max() + 1)
    height, width = patch.regions.shape
    if top == 0 or left == 0 or bottom == height or right == width:
        return None
    mask = patch.regions[top:bottom, left:right] == region
    return CutOut(patch.pixels[top:bottom, left:right].copy(), mask, category)


def _changed(cut: CutOut, scale: float, rng: np.random.Generator) -> CutOut:
    """Turned by any angle, flipped or not, a little larger or longer, and of another colour."""
    cut = _stretched(cut, float(np.exp(rng.uniform(*np.log(_STRETCH)))))
    size = scale * float(np.exp(rng.uniform(*np.log(_SCALE))))
    height, width = cut.mask.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(0, 360)), size)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    wide = max(1, round(height * sine + width * cosine))
    tall = max(1, round(height * cosine + width * sine))
    turn[:, 2] += (wide - width) / 2, (tall - height) / 2
    pixels = cv2.warpAffine(cut.pixels, turn, (wide, tall), borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(cut.mask.astype(np.uint8), turn, (wide, tall), flags=cv2.INTER_NEAREST)
    painted = _painted(pixels.astype(np.uint8), rng)
    if rng.random() < 0.5:
        painted, mask = painted[:, ::-1], mask[:, ::-1]
    return CutOut(painted, mask.astype(np.bool_), cut.category)


def _stretched(cut: CutOut, by: float) -> CutOut:
    """Of another height and the same width."""
    height, width = cut.mask.shape
    size = width, max(1, round(by * height))
    pixels = cv2.resize(cut.pixels, size).astype(np.uint8)
    mask = cv2.resize(cut.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return CutOut(pixels, mask.astype(np.bool_), cut.category)


def _painted(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """In other light, or in any colour with the light and shade that were there."""
    if rng.random() < _REPAINTED:
        shade = pixels.mean(axis=-1, keepdims=True)
        pixels = np.broadcast_to(shade, pixels.shape)
        gain = rng.uniform(0.4, 1.2, 3)
    else:
        gain = rng.uniform(0.8, 1.15) * rng.uniform(0.88, 1.12, 3)
    return np.clip(pixels * gain, 0, 255).astype(np.uint8)


def _place(
    mask: NDArray[np.bool_], regions: NDArray[np.uint16], rng: np.random.Generator
) -> tuple[slice, slice] | None:
    """Where an object covers nothing but ground without a region; None if no place was found."""
    side, (height, width) = len(regions), mask.shape
    if min(height, width) < _LEAST or max(height, width) > _SHARE * side:
        return None
    for _ in range(_PLACES):
        top, left = int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))
        place = np.s_[top : top + height, left : left + width]
        if mask.any() and not regions[place][mask].any():
            return place
    return None


def _lay(cut: CutOut, pixels: NDArray[np.uint8], regions: NDArray[np.uint16], number: int) -> None:
    """Write an object into the part of a view where it lies, its edge mixed with the ground."""
    share = cv2.GaussianBlur(cut.mask.astype(np.float32), (0, 0), _SOFT)[..., None]
    pixels[:] = np.rint(cut.pixels * share + pixels * (1 - share)).astype(np.uint8)
    regions[cut.mask] = number
