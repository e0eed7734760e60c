"""What was found for one prompt: a score on the scene's grid, its mask, its regions as features."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.geo.files import MASK_SUFFIXES, check_output
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.mask_writer import write_mask
from unigeoseg.geo.regions import Region, RegionFinder
from unigeoseg.geo.vector import Feature, Value
from unigeoseg.geo.vector_writer import write_vectors
from unigeoseg.prompt import Prompt


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
        grid = self.grid
        finder = RegionFinder(grid, 0, grid.width, min_area_px=min_area_px)
        whole = Window(0, 0, grid.width, grid.height)
        regions = [*finder.add(whole, self.mask.astype(np.uint8), self.score), *finder.finish()]
        return [Feature(region.geometry, self._properties(region)) for region in regions]

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the mask (.tif) or its regions (.geojson, .json, .gpkg), by suffix.

        Raises:
            OutputFormatError, OutputExistsError, OutputUnwritableError: See `check_output`.
        """
        check_output(Path(path), overwrite)
        write(Path(path), [self])

    def _properties(self, region: Region) -> dict[str, Value]:
        answer: dict[str, Value] = {} if self.answer is None else {"answer": self.answer}
        return answer | {
            "instruction": self.prompt.instruction(self.grid.width, self.grid.height),
            "score": round(region.score, 4),
            "confidence": round(self.confidence, 4),
            "area_px": region.area_px,
            "area_m2": None if region.area_m2 is None else round(region.area_m2, 3),
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
