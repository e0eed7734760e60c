"""What was found for one prompt: a score on the scene's grid, its mask, its regions as features."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.geo.area import Area
from unigeoseg.geo.formats import check_output
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.vectors.features import Feature
from unigeoseg.geo.vectors.regions import RegionFinder
from unigeoseg.predict.output.provenance import Provenance
from unigeoseg.predict.output.schema import PromptAnswer, PromptEntry, region_properties
from unigeoseg.predict.output.spec import MIN_AREA_PX, OutputConfig, OutputSpec
from unigeoseg.predict.output.writer import open_results
from unigeoseg.prompt import Prompt
from unigeoseg.runtime.stage_clock import StageClock


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
        provenance: What made it.
    """

    prompt: Prompt
    grid: Grid
    score: NDArray[np.float32]
    confidence: float
    threshold: float = 0.5
    answer: str | None = None
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool on `grid`."""
        return self.score > self.threshold

    def features(self, *, min_area_px: int = MIN_AREA_PX) -> list[Feature]:
        """One feature per connected region, in map coordinates of `grid`.

        Their properties are the columns of `schema.COLUMNS`, and the answer if there is one.
        """
        finder = RegionFinder(self.grid, 0, self.grid.width, min_area_px=min_area_px)
        regions = [
            *finder.add(self._window, self.mask.astype(np.uint8), self.score),
            *finder.finish(),
        ]
        entry, answer = PromptEntry.of(self.prompt), PromptAnswer(self.confidence, self.answer)
        return [
            Feature(
                region.geometry,
                region_properties(entry, answer, region, self.grid, self.provenance),
            )
            for region in regions
        ]

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the mask (.tif) or its regions (.geojson, .gpkg, .parquet, .fgb, .shp), by suffix.

        Columns and tags are those of `unigeoseg segment`.

        Raises:
            OutputFormatError, OutputExistsError, OutputUnwritableError: See `check_output`.
            MissingExtraError: For .parquet without pyarrow.
        """
        check_output(Path(path), overwrite)
        spec = OutputSpec(
            paths=[Path(path)],
            grid=self.grid,
            area=Area.of_grid(self.grid),
            config=OutputConfig(threshold=self.threshold),
            entries=[PromptEntry.of(self.prompt)],
            provenance=self.provenance,
            labelled=False,
            answered=self.answer is not None,
        )
        with open_results(spec, StageClock()) as results:
            results.add_window(0, self._window, self.score)
            results.finish([PromptAnswer(self.confidence, self.answer)])

    @property
    def _window(self) -> Window:
        return Window(0, 0, self.grid.width, self.grid.height)
