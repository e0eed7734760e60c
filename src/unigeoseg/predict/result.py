"""What was found for one prompt: a score on the scene's grid, its mask, its regions as features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from unigeoseg.geo.formats import MASK_SUFFIXES, check_output
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.mask_writer import mask_writer
from unigeoseg.geo.tiling import plan_tiles
from unigeoseg.geo.vectors.features import Feature, Value
from unigeoseg.geo.vectors.regions import Region, RegionFinder, merge_regions
from unigeoseg.geo.vectors.writer import vector_writer
from unigeoseg.prompt import Prompt

_BLOCK = 2048  # side in pixels of the blocks in which a mask is written


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """What the network found for one prompt.

    Attributes:
        prompt: What was asked, in pixels of the scene.
        grid: Where the scene lies; mask and score lie on it.
        score: (H, W) float32 in [0, 1], the chance that a pixel belongs to the target; 0 where
            the scene has no data or was not looked at.
        confidence: In [0, 1], of the mask at 0.5: if it has pixels, the network's estimate of its
            IoU with what was meant; if it is empty, how likely it is that nothing is there.
        threshold: Scores above it are in the mask.
        answer: What the network says of it, "no target" where it found none; None where it was
            not asked for words.
    """

    prompt: Prompt
    grid: Grid
    score: NDArray[np.float32]
    confidence: float
    threshold: float = 0.5
    answer: str | None = None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool on `grid`."""
        return self.score > self.threshold

    def features(self, *, min_area_px: int = 4) -> list[Feature]:
        """One feature per connected region, in map coordinates of `grid`.

        Properties: instruction, score (the region's mean), confidence, area_m2 (None without a
        CRS), area_px, and the answer if there is one.
        """
        found = self._regions(min_area_px)
        return [Feature(region.geometry, self._properties(region)) for region in found]

    def feature(self, kept: Mapping[str, Value]) -> Feature | None:
        """All regions as one feature, with further properties; None if there is none.

        Args:
            kept: Properties; one with a name of ours gets "prompt_" before its own.
        """
        regions = self._regions(0)
        if not regions:
            return None
        whole = merge_regions(regions)
        ours = self._properties(whole)
        theirs = {f"prompt_{name}" if name in ours else name: kept[name] for name in kept}
        return Feature(whole.geometry, theirs | ours)

    def _regions(self, min_area_px: int) -> list[Region]:
        grid = self.grid
        finder = RegionFinder(grid, 0, grid.width, min_area_px=min_area_px)
        whole = Window(0, 0, grid.width, grid.height)
        return [*finder.add(whole, self.mask.astype(np.uint8), self.score), *finder.finish()]

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the mask (.tif) or its regions (.geojson, .gpkg, .parquet, .fgb, .shp), by suffix.

        Raises:
            OutputFormatError, OutputExistsError, OutputUnwritableError: See `check_output`.
            MissingExtraError: For .parquet without pyarrow.
        """
        check_output(Path(path), overwrite)
        write(Path(path), [self], self.grid)

    def _properties(self, region: Region) -> dict[str, Value]:
        answer: dict[str, Value] = {} if self.answer is None else {"answer": self.answer}
        return answer | {
            "instruction": self.prompt.instruction(self.grid.width, self.grid.height),
            "score": round(region.score, 4),
            "confidence": round(self.confidence, 4),
            "area_px": region.area_px,
            "area_m2": None if region.area_m2 is None else round(region.area_m2, 3),
        }


def write(
    path: Path,
    found: Sequence[Segmentation],
    grid: Grid,
    *,
    crs: CRS | None = None,
    kept: Sequence[Mapping[str, Value]] | None = None,
) -> None:
    """Write the union of masks, or the features of each, by the path's suffix.

    The caller has called `check_output`, before the work.

    Args:
        path: What to write.
        found: Each on a window of `grid`, or on all of it.
        grid: Of the scene.
        crs: CRS of outlines, but for GeoJSON; None for the scene's own.
        kept: Properties for the one feature that each then is; None for a feature per region.
    """
    if path.suffix.lower() in MASK_SUFFIXES:
        with mask_writer(path, grid) as writer:
            for window in plan_tiles(grid.width, grid.height, _BLOCK, 0):
                writer.add(window, _union(found, grid, window))
    else:
        with vector_writer(path, grid, crs) as add:
            if kept is None:
                features = [feature for each in found for feature in each.features()]
            else:
                whole = [each.feature(row) for each, row in zip(found, kept, strict=True)]
                features = [feature for feature in whole if feature]
            add(features)


def _union(found: Sequence[Segmentation], grid: Grid, window: Window) -> NDArray[np.uint8]:
    """Where any mask is (h, w), 0 or 1, in a window of the grid that they lie in."""
    union = np.zeros((window.height, window.width), np.uint8)
    (top, bottom), (left, right) = window.toranges()
    for each in found:
        x, y = (round(at) for at in grid.to_pixel(*each.grid.to_map(0, 0)))
        rows = slice(max(y, top), min(y + each.grid.height, bottom))
        cols = slice(max(x, left), min(x + each.grid.width, right))
        if rows.start < rows.stop and cols.start < cols.stop:
            mask = each.mask[rows.start - y : rows.stop - y, cols.start - x : cols.stop - x]
            union[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left] |= mask
    return union
