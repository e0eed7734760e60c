"""Masks and outlines made and written as in earnest, in one block."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from unigeoseg.geo.grid import Grid
from unigeoseg.geo.mask_writer import mask_writer
from unigeoseg.geo.vectors.features import Feature, Geometry
from unigeoseg.geo.vectors.regions import RegionFinder
from unigeoseg.geo.vectors.writer import vector_writer


def outlines_of(mask: np.ndarray, grid: Grid, min_area_px: int = 0) -> list[Geometry]:
    """Outlines of the 8-connected regions of a mask (H, W), in map coordinates."""
    finder = RegionFinder(grid, 0, grid.width, min_area_px=min_area_px)
    labels, scores = mask.astype(np.uint8), mask.astype(np.float32)
    window = Window(0, 0, grid.width, grid.height)
    regions = [*finder.add(window, labels, scores), *finder.finish()]
    return [region.geometry for region in regions]


def write_mask(path: Path, mask: np.ndarray, grid: Grid) -> None:
    """Write a mask (H, W): uint8, 1 inside and 0 outside."""
    with mask_writer(path, grid) as writer:
        writer.add(Window(0, 0, grid.width, grid.height), mask.astype(np.uint8))


def write_features(path: Path, features: Sequence[Feature], grid: Grid) -> None:
    """Write features at once."""
    with vector_writer(path, grid) as add:
        add(features)
