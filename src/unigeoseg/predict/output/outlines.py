"""Outlines of regions on their way to files of vectors.

Columns such as the confidence are known only when the whole scene was looked at. Until then regions
wait, in memory and beyond some megabytes in a temporary file, so that memory does not grow with the
scene.
"""

import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.geo.vectors.features import Feature
from unigeoseg.geo.vectors.regions import Region, RegionFinder, merge_regions
from unigeoseg.geo.vectors.regularise import regularise_outlines
from unigeoseg.geo.vectors.writer import Add
from unigeoseg.predict.output.schema import PromptAnswer, region_properties
from unigeoseg.predict.output.spec import OutputSpec

_BATCH = 2048  # features per write, and regions per group
_SPOOL_BYTES = 32 * 2**20  # regions beyond so many bytes wait in a file


class RegionSpool:
    """Groups of regions that wait, in order; a file without a name takes what is too much."""

    def __init__(self, folder: Path) -> None:
        """Wait in `folder`, where results are written, if memory is not enough."""
        self._file = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(folder))

    def add(self, regions: Sequence[Region]) -> None:
        """Add a group."""
        pickle.dump(list(regions), self._file, pickle.HIGHEST_PROTOCOL)

    def groups(self) -> Iterator[list[Region]]:
        """All groups, in the order in which they were added."""
        end = self._file.tell()
        self._file.seek(0)
        while self._file.tell() < end:
            yield pickle.load(self._file)

    def __enter__(self) -> "RegionSpool":
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget the regions."""
        self._file.close()


class OutlineWriter:
    """Takes labelled pixels and writes outlines with their columns.

    Regions are simplified and merged within groups: all of a scene that comes block by block where
    `simplify_m` or one feature per prompt is wanted, else some thousands; or those of one prompt
    that has a window of its own.
    """

    def __init__(self, spec: OutputSpec, adders: Sequence[Add], spool: RegionSpool) -> None:
        self._spec, self._adders, self._spool = spec, adders, spool
        grid, config = spec.grid, spec.config
        self._finder = self._region_finder(spec.area.window)
        metres = grid.metres_per_unit(*grid.to_map(grid.width / 2, grid.height / 2))
        self._metres_per_unit = metres or (1.0, 1.0)
        self._tolerance = config.simplify_m / float(np.sqrt(np.prod(self._metres_per_unit)))
        self._one_group = bool(config.simplify_m) or not config.instances
        self._group: list[Region] = []

    def add_block(
        self, window: Window, labels: NDArray[np.uint8], score: NDArray[np.float32]
    ) -> None:
        """Take a block of the scene; see `RegionFinder.add`."""
        self._collect(self._finder.add(window, labels, score))

    def add_window(
        self, number: int, window: Window, mask: NDArray[np.bool_], score: NDArray[np.float32]
    ) -> None:
        """Take all that was found of one prompt.

        Args:
            number: Of the prompt, from 0.
            window: Where it was looked for.
            mask: (h, w), where its target is.
            score: (h, w).
        """
        finder = self._region_finder(window)
        regions = [*finder.add(window, mask.astype(np.uint8), score), *finder.finish()]
        if regions:
            self._spool.add([replace(region, label=number + 1) for region in regions])

    def finish(self, answers: Sequence[PromptAnswer]) -> None:
        """Write the outlines, now that the answers to the prompts are known."""
        self._collect(self._finder.finish())
        self._spool.add(self._group)
        features: list[Feature] = []
        for group in self._spool.groups():
            features += self._features(group, answers)
            if len(features) >= _BATCH:
                self._write(features)
                features = []
        self._write(features)

    def _region_finder(self, window: Window) -> RegionFinder:
        config, left = self._spec.config, int(window.col_off)
        return RegionFinder(
            self._spec.grid,
            left,
            left + int(window.width),
            min_area_px=config.min_area_px,
            min_area_m2=config.min_area_m2,
        )

    def _collect(self, regions: Iterable[Region]) -> None:
        for region in regions:
            self._group.append(region)
            if len(self._group) >= _BATCH and not self._one_group:
                self._spool.add(self._group)
                self._group = []

    def _features(self, group: Sequence[Region], answers: Sequence[PromptAnswer]) -> list[Feature]:
        regions = self._shaped(group)
        if not self._spec.config.instances:
            regions = _merged_by_label(regions)
        return [
            Feature(
                region.geometry,
                region_properties(
                    self._spec.entries[region.label - 1],
                    answers[region.label - 1],
                    region,
                    self._spec.grid,
                    self._spec.provenance,
                ),
            )
            for region in regions
        ]

    def _shaped(self, group: Sequence[Region]) -> list[Region]:
        """The regions with their outlines simplified or straightened."""
        shapes = [region.geometry for region in group]
        if self._tolerance and shapes:
            shapes = list(shapely.coverage_simplify(shapes, self._tolerance))
        if self._spec.config.regularise_m:
            shapes = regularise_outlines(
                shapes, self._spec.config.regularise_m, self._metres_per_unit
            )
        return [
            replace(region, geometry=shape) for region, shape in zip(group, shapes, strict=True)
        ]

    def _write(self, features: Sequence[Feature]) -> None:
        for add in self._adders:
            add(features)


def _merged_by_label(regions: Sequence[Region]) -> list[Region]:
    """The regions of each label as one; straightened parts that overlap are united."""
    by_label: dict[int, list[Region]] = {}
    for region in sorted(regions, key=lambda region: region.label):
        by_label.setdefault(region.label, []).append(region)
    merged = [merge_regions(parts) for parts in by_label.values()]
    return [
        region
        if region.geometry.is_valid
        else replace(region, geometry=shapely.union_all(region.geometry.geoms))
        for region in merged
    ]
