"""What becomes of blended scores: labels, written to the files that were asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from unigeoseg.errors import OptionError
from unigeoseg.geo.area import Area
from unigeoseg.geo.formats import MASK_SUFFIXES
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.mask_writer import MaskWriter, mask_writer
from unigeoseg.geo.vectors.features import Feature, Value
from unigeoseg.geo.vectors.regions import Region, RegionFinder, merge_regions
from unigeoseg.geo.vectors.regularise import regularise_outlines
from unigeoseg.geo.vectors.writer import Add, vector_writer
from unigeoseg.runtime.stage_clock import StageClock

_BATCH = 2048  # features per write


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputConfig:
    """How results are written.

    Attributes:
        threshold: Scores above it are labelled.
        crs: CRS of outlines, but for GeoJSON; None for the scene's own.
        min_area_m2: Smaller regions make no outline.
        min_area_px: Neither do those of fewer pixels.
        simplify_m: Outlines keep within about so many metres (pixels without a CRS), and edges
            that two share stay shared; 0 keeps the pixels' edges.
        regularise_m: Outlines become those of buildings, see `regularise`; 0 leaves them.
        instances: One feature per region; else one per label.
        tags: Texts kept in the masks' tags.
    """

    threshold: float = 0.5
    crs: CRS | None = None
    min_area_m2: float = 0.0
    min_area_px: int = 4
    simplify_m: float = 0.0
    regularise_m: float = 0.0
    instances: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the outlines are made one way."""
        if self.regularise_m and (self.simplify_m or not self.instances):
            raise OptionError(
                "--regularise straightens each object by itself; leave out --simplify and "
                "--no-instances"
            )


Describe: TypeAlias = Callable[[Region], dict[str, Value]]
"""The properties of a region's feature; the same names for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """What is to be written of a scene.

    Attributes:
        paths: Files, each by its suffix; `check_output` was called on each.
        grid: Of the scene.
        area: Masks cover its window.
        config: How.
        describe: For each prompt, what is written of its regions.
    """

    paths: Sequence[Path]
    grid: Grid
    area: Area
    config: OutputConfig
    describe: Sequence[Describe]


class Outputs:
    """Takes blocks of scores and gives them to the writers. Get one with `open_outputs`.

    Attributes:
        pixels: How many pixels each label has so far, from label 1.
        seen: How many pixels of the area so far.
    """

    def __init__(
        self,
        order: "OutputSpec",
        clock: StageClock,
        masks: Sequence[MaskWriter],
        outlines: "_Outlines | None",
    ) -> None:
        self.pixels = np.zeros(len(order.describe), np.int64)
        self.seen = 0
        self._area, self._config, self._clock = order.area, order.config, clock
        self._masks, self._outlines = masks, outlines

    def take(self, window: Window, scores: NDArray[np.float32]) -> None:
        """Take a block of scores (P, h, w) and its window in the scene.

        A pixel gets the label of the prompt that scores most, from 1; 0 where none is above the
        threshold, or outside the area.
        """
        with self._clock("write"):
            best = scores.max(axis=0)
            labels = np.where(best > self._config.threshold, scores.argmax(axis=0) + 1, 0)
            inside = self._area.mask(window)
            labels = np.where(inside, labels, 0).astype(np.uint8)
            self.seen += int(np.count_nonzero(inside))
            self.pixels += np.bincount(labels.ravel(), minlength=len(self.pixels) + 1)[1:]
            left, top = self._area.window.col_off, self._area.window.row_off
            place = Window(window.col_off - left, window.row_off - top, window.width, window.height)
            for writer in self._masks:
                writer.add(place, labels)
        if self._outlines:
            with self._clock("vectorise"):
                self._outlines.take(window, labels, best)


class _Outlines:
    """Regions on their way to files, in batches."""

    def __init__(self, order: OutputSpec, add: Sequence[Add]) -> None:
        grid, config = order.grid, order.config
        left = int(order.area.window.col_off)
        self._finder = RegionFinder(
            grid,
            left,
            left + int(order.area.window.width),
            min_area_px=config.min_area_px,
            min_area_m2=config.min_area_m2,
        )
        self._describe, self._add, self._instances = order.describe, add, config.instances
        per_unit = grid.metres_per_unit(*grid.to_map(grid.width / 2, grid.height / 2))
        self._per_unit = per_unit or (1.0, 1.0)
        self._tolerance = config.simplify_m / float(np.sqrt(np.prod(self._per_unit)))
        self._regularise_m = config.regularise_m
        # neighbours are simplified together, and labels are whole only at the end
        self._at_end = bool(config.simplify_m) or not config.instances
        self._waiting: list[Region] = []

    def take(self, window: Window, labels: NDArray[np.uint8], score: NDArray[np.float32]) -> None:
        self._collect(self._finder.add(window, labels, score))

    def finish(self) -> None:
        self._collect(self._finder.finish())
        self._flush()

    def _collect(self, regions: Iterable[Region]) -> None:
        for region in regions:
            self._waiting.append(region)
            if len(self._waiting) >= _BATCH and not self._at_end:
                self._flush()

    def _flush(self) -> None:
        regions = self._waiting if self._instances else _per_label(self._waiting)
        shapes = [region.geometry for region in regions]
        if self._tolerance and shapes:
            shapes = list(shapely.coverage_simplify(shapes, self._tolerance))
        if self._regularise_m:
            shapes = regularise_outlines(shapes, self._regularise_m, self._per_unit)
        features = [
            Feature(shape, self._describe[region.label - 1](region))
            for shape, region in zip(shapes, regions, strict=True)
        ]
        for add in self._add:
            add(features)
        self._waiting = []


@contextmanager
def open_outputs(order: OutputSpec, clock: StageClock) -> Iterator[Outputs]:
    """Open the files that results of a scene go to; they appear when all went well.

    Args:
        order: What to write.
        clock: Times writing and vectorising.

    Raises:
        OutputUnwritableError: If writing fails.
        MissingExtraError: If a format needs a package that is not there.
    """
    grid, config = order.grid, order.config
    masks = [path for path in order.paths if path.suffix.lower() in MASK_SUFFIXES]
    vectors = [path for path in order.paths if path not in masks]
    with ExitStack() as stack:
        part = grid.for_window(order.area.window)
        writers = [stack.enter_context(mask_writer(each, part, config.tags)) for each in masks]
        add = [stack.enter_context(vector_writer(each, grid, config.crs)) for each in vectors]
        outlines = _Outlines(order, add) if add else None
        yield Outputs(order, clock, writers, outlines)
        if outlines:
            with clock("vectorise"):
                outlines.finish()


def _per_label(regions: Sequence[Region]) -> list[Region]:
    """The regions of each label as one."""
    labels = sorted({region.label for region in regions})
    return [
        merge_regions([region for region in regions if region.label == label]) for label in labels
    ]
