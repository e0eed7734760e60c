"""Copy-paste augmentation: objects of rare categories are pasted into other views of their source.

Source: Simple Copy-Paste (Ghiasi et al., arXiv 2012.07177), here for categories that few patches of
a source show. Objects stay within their source, whose scale and labels they share.

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

_RARE = 0.08  # share of a source's patches below which a category is rare
_MAX_OBJECTS = 3  # pasted into one view
_MAX_TRIES = 8  # places that are tried for an object
_SCALE = (0.8, 1.25)  # change of an object's size, log-uniform
_STRETCH = (0.88, 1.14)  # change of its height alone, log-uniform
_RECOLOUR_PROBABILITY = 0.4  # of a colour of its own
_RECOLOUR_GAIN = (0.4, 1.2)  # of each channel, on the object in grey
_LIGHT_GAIN, _CHANNEL_GAIN = (0.8, 1.15), (0.88, 1.12)  # of an object that keeps its colour
_MIN_SIDE, _MAX_SIDE_SHARE = 6, 0.6  # of an object: in pixels, and of the side of the view
_EDGE_SIGMA = 0.7  # pixels, of the blur along which object and view are blended


@dataclass(frozen=True, slots=True, eq=False)
class CutOut:
    """An object cut out along its mask.

    Attributes:
        pixels: (h, w, 3) uint8 RGB of its bounding box.
        mask: (h, w) bool.
        category: Taxonomy id.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    category: int


class RareObjects:
    """Cut-outs of the rare objects of each source."""

    def __init__(self, cut_outs: Mapping[str, Mapping[int, Sequence[CutOut]]]) -> None:
        """Take cut-outs by source and category."""
        self._cut_outs = cut_outs

    @classmethod
    def of(cls, patches: PatchCache) -> "RareObjects":
        """Cut out every object of a rare category that no edge of its patch cuts."""
        rare = {
            key
            for key, share in patches.category_shares().items()
            if share < _RARE and taxonomy()[key[1]].kind == "thing"
        }
        cut_outs: dict[str, dict[int, list[CutOut]]] = defaultdict(lambda: defaultdict(list))
        for number, patch in enumerate(patches.patches):
            rare_regions = {
                region: category
                for region, category in patch.categories.items()
                if (patch.source, category) in rare
            }
            for region, category in rare_regions.items():
                cut_out = _cut_out(patches[number], region, category)
                if cut_out is not None:
                    cut_outs[patch.source][category].append(cut_out)
        return cls(cut_outs)

    def paste(self, view: Patch, scale: float, rng: np.random.Generator) -> Patch:
        """A view with one to three rare objects of its source, where it has no other region.

        A view whose source has no rare objects is returned as it is.

        Args:
            view: A square view of a patch.
            scale: Pixels of the view for one of the patch.
            rng: Source of randomness.
        """
        by_category = self._cut_outs.get(view.source)
        if not by_category:
            return view
        pixels, regions = view.pixels.copy(), view.regions.copy()
        categories = dict(view.categories)
        number = int(regions[regions != UNKNOWN_REGION].max(initial=0))
        for _ in range(1 + int(rng.integers(_MAX_OBJECTS))):
            category = sorted(by_category)[int(rng.integers(len(by_category)))]
            candidates = by_category[category]
            cut_out = candidates[int(rng.integers(len(candidates)))]
            cut_out = _augmented(cut_out, scale, rng)
            place = _free_place(cut_out.mask, regions, rng)
            if place is None:
                continue
            number += 1
            _blend(cut_out, pixels[place], regions[place], number)
            categories[number] = cut_out.category
        return replace(view, pixels=pixels, regions=regions, categories=categories)


def _cut_out(patch: Patch, region: int, category: int) -> CutOut | None:
    """The object of a region; None if it touches an edge of the patch."""
    rows, columns = np.nonzero(patch.regions == region)
    (top, left), (bottom, right) = (rows.min(), columns.min()), (rows.max() + 1, columns.max() + 1)
    height, width = patch.regions.shape
    if top == 0 or left == 0 or bottom == height or right == width:
        return None
    mask = patch.regions[top:bottom, left:right] == region
    return CutOut(patch.pixels[top:bottom, left:right].copy(), mask, category)


def _augmented(cut_out: CutOut, scale: float, rng: np.random.Generator) -> CutOut:
    """Stretched, scaled, rotated by any angle, recoloured, and flipped half the time."""
    cut_out = _stretched(cut_out, float(np.exp(rng.uniform(*np.log(_STRETCH)))))
    scale = scale * float(np.exp(rng.uniform(*np.log(_SCALE))))
    height, width = cut_out.mask.shape
    affine = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(0, 360)), scale)
    # the bounding box of the rotated object, which is moved to its middle
    cosine, sine = abs(affine[0, 0]), abs(affine[0, 1])
    new_width = max(1, round(height * sine + width * cosine))
    new_height = max(1, round(height * cosine + width * sine))
    affine[:, 2] += (new_width - width) / 2, (new_height - height) / 2
    size = new_width, new_height
    pixels = cv2.warpAffine(cut_out.pixels, affine, size, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(cut_out.mask.astype(np.uint8), affine, size, flags=cv2.INTER_NEAREST)
    recoloured = _recoloured(pixels.astype(np.uint8), rng)
    if rng.random() < 0.5:
        recoloured, mask = recoloured[:, ::-1], mask[:, ::-1]
    return CutOut(recoloured, mask.astype(np.bool_), cut_out.category)


def _stretched(cut_out: CutOut, factor: float) -> CutOut:
    """A cut-out with its height multiplied by `factor`."""
    height, width = cut_out.mask.shape
    size = width, max(1, round(factor * height))
    pixels = cv2.resize(cut_out.pixels, size).astype(np.uint8)
    mask = cv2.resize(cut_out.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return CutOut(pixels, mask.astype(np.bool_), cut_out.category)


def _recoloured(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pixels in other light, or in a random colour with the shading that was there."""
    if rng.random() < _RECOLOUR_PROBABILITY:
        shading = pixels.mean(axis=-1, keepdims=True)
        pixels = np.broadcast_to(shading, pixels.shape)
        gain = rng.uniform(*_RECOLOUR_GAIN, 3)
    else:
        gain = rng.uniform(*_LIGHT_GAIN) * rng.uniform(*_CHANNEL_GAIN, 3)
    return np.clip(pixels * gain, 0, 255).astype(np.uint8)


def _free_place(
    mask: NDArray[np.bool_], regions: NDArray[np.uint16], rng: np.random.Generator
) -> tuple[slice, slice] | None:
    """A random place where an object covers no region; None if none of the tries gave one."""
    side, (height, width) = len(regions), mask.shape
    if min(height, width) < _MIN_SIDE or max(height, width) > _MAX_SIDE_SHARE * side:
        return None
    for _ in range(_MAX_TRIES):
        top, left = int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))
        place = np.s_[top : top + height, left : left + width]
        if mask.any() and not regions[place][mask].any():
            return place
    return None


def _blend(
    cut_out: CutOut, pixels: NDArray[np.uint8], regions: NDArray[np.uint16], number: int
) -> None:
    """Write an object into the part of a view where it lies, blended along its edge; in place."""
    opacity = cv2.GaussianBlur(cut_out.mask.astype(np.float32), (0, 0), _EDGE_SIGMA)[..., None]
    pixels[:] = np.rint(cut_out.pixels * opacity + pixels * (1 - opacity)).astype(np.uint8)
    regions[cut_out.mask] = number
