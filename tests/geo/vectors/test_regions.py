"""Regions found block by block are those of the whole, whatever the blocks."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyproj import Geod
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.windows import Window

from unigeoseg.geo.grid import Grid
from unigeoseg.geo.masks import label_components
from unigeoseg.geo.vectors.regions import Region, RegionFinder

HEIGHT, WIDTH = 13, 17


def found_in(labels: np.ndarray, rows: list[int], cols: list[int], grid=None, **least):
    """Regions of labels that come in blocks cut at rows and columns."""
    height, width = labels.shape
    finder = RegionFinder(grid or Grid.of_image(width, height), 0, width, **least)
    score = np.linspace(0, 1, labels.size, dtype=np.float32).reshape(labels.shape)
    regions: list[Region] = []
    for top, bottom in zip([0, *rows], [*rows, height], strict=True):
        for left, right in zip([0, *cols], [*cols, width], strict=True):
            place = np.s_[top:bottom, left:right]
            window = Window(left, top, right - left, bottom - top)
            regions += finder.add(window, labels[place], score[place])
    return [*regions, *finder.finish()]


def cuts(length: int):
    return st.lists(st.integers(1, length - 1), unique=True, max_size=4).map(sorted)


@settings(deadline=None)
@given(arrays(np.uint8, (HEIGHT, WIDTH), elements=st.integers(0, 2)), cuts(HEIGHT), cuts(WIDTH))
def test_blocks_do_not_matter(labels, rows, cols):
    regions = found_in(labels, rows, cols)
    whole = found_in(labels, [], [])
    assert len(regions) == sum(label_components(labels == label).max() for label in (1, 2))
    key = lambda region: (region.label, region.geometry.bounds, region.area_px, region.score)  # noqa: E731
    for one, other in zip(sorted(regions, key=key), sorted(whole, key=key), strict=True):
        assert (one.label, one.area_px) == (other.label, other.area_px)
        assert one.score == pytest.approx(other.score)
        assert one.geometry.is_valid and one.geometry.area == one.area_px
    burnt = np.zeros(labels.shape, np.uint8)
    for region in regions:
        burnt += rasterize([(region.geometry, region.label)], labels.shape, dtype="uint8")
    np.testing.assert_array_equal(burnt, labels)


def test_a_long_region_is_one_and_has_no_corners_at_seams():
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[5:8] = 1
    (river,) = found_in(labels, [6, 7], [4, 8, 12])
    assert river.area_px == 3 * WIDTH
    assert len(river.geometry.exterior.coords) == 5


def test_regions_are_given_out_when_complete_and_little_is_held():
    grid = Grid.of_image(8, 800)
    finder = RegionFinder(grid, 0, 8)
    labels = np.zeros((8, 8), np.uint8)
    labels[6:, 2:4] = 1  # ends at the block's edge, goes on nowhere
    given_out = 0
    for top in range(0, 800, 8):
        given_out += len(list(finder.add(Window(0, top, 8, 8), labels, labels.astype(np.float32))))
        assert len(finder._open) <= 2 and len(finder._parent) <= 2
    assert given_out == 98  # two rows can still grow
    assert len(list(finder.finish())) == 2


def test_square_metres_in_degrees_are_those_of_the_ellipsoid():
    degrees = Grid(WIDTH, HEIGHT, Affine(2e-3, 0, 10, 0, -1e-3, 60), CRS.from_epsg(4326))
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[2:12, 3:15] = 1
    (region,) = found_in(labels, [7], [9], degrees)
    # a parallel is no geodesic: it is followed in small steps
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(region.geometry.segmentize(1e-4))
    assert region.area_m2 == pytest.approx(abs(area), rel=1e-6)


def test_small_regions_are_left_out_by_pixels_or_metres():
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[1, 1], labels[4:8, 4:8] = 1, 1
    utm = Grid(WIDTH, HEIGHT, Affine(2, 0, 5e5, 0, -2, 4.4e6), CRS.from_epsg(32650))
    for least in ({"min_area_px": 2}, {"min_area_m2": 5}):
        (region,) = found_in(labels, [6], [6], utm, **least)
        assert (region.area_px, region.area_m2) == (16, 64)
    assert len(found_in(labels, [6], [6], min_area_m2=5)) == 2
