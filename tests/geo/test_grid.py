import math
import pickle

import pytest
import scenes
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.windows import Window

from unigeoseg.errors import (
    EmptyRasterError,
    GridMismatchError,
    NoGeoreferenceError,
    PromptError,
    UnknownCrsError,
)
from unigeoseg.geo.grid import Grid, parse_crs

UTM = CRS.from_epsg(32650)
GRID = Grid(64, 48, scenes.UTM50, UTM)
coordinate = st.floats(-1e4, 1e4)


def test_grid_says_rows_before_columns_and_bounds_in_map_units():
    assert GRID.shape == (48, 64)
    assert GRID.bounds == (500_000, 4_399_976, 500_032, 4_400_000)
    assert GRID.georeferenced
    assert pickle.loads(pickle.dumps(GRID)) == GRID


def test_bounds_of_a_rotated_grid_hold_its_corners():
    grid = Grid(10, 10, Affine.rotation(45), UTM)
    side = 10 * math.sqrt(2)
    assert grid.bounds == pytest.approx((-side / 2, 0, side / 2, side))


@given(coordinate, coordinate, st.floats(-180, 180))
def test_to_pixel_undoes_to_map(x, y, angle):
    grid = Grid(64, 48, scenes.UTM50 @ Affine.rotation(angle), UTM)
    assert grid.to_pixel(*grid.to_map(x, y)) == pytest.approx((x, y), abs=1e-5)


def test_to_pixel_takes_longitude_before_latitude():
    # 117 E is the central meridian of zone 50, which is x = 500 000.
    x, _ = GRID.to_pixel(117, 39.7499, crs="EPSG:4326")
    assert x == pytest.approx(0, abs=1e-6)


def test_to_pixel_needs_a_crs_to_go_to():
    with pytest.raises(NoGeoreferenceError, match="no CRS; give pixel coordinates"):
        Grid.of_image(4, 4).to_pixel(117, 39, crs="EPSG:4326")


def test_to_pixel_refuses_places_that_do_not_exist():
    with pytest.raises(PromptError, match=r"EPSG:32650"):
        GRID.to_pixel(1e9, 1e9, crs="EPSG:4326")


@pytest.mark.parametrize("text", ["EPSG:32650", "32650", " epsg:32650 ", UTM.to_wkt()])
def test_parse_crs(text):
    assert parse_crs(text) == UTM


@pytest.mark.parametrize("text", ["", "EPSG:999999", "utm fifty", "0", "²", "9" * 5000])
def test_parse_crs_refuses_unknown_names(text):
    with pytest.raises(UnknownCrsError, match="EPSG:4326"):
        parse_crs(text)


def test_gsd_of_a_plain_image_is_unknown():
    assert Grid.of_image(4, 4).gsd_m is None


def test_gsd_follows_the_linear_unit():
    feet = Grid(10, 10, Affine(2, 0, 500_000, 0, -2, 200_000), CRS.from_epsg(2263))
    assert feet.gsd_m == pytest.approx(2 * 0.3048006, rel=1e-6)
    assert GRID.gsd_m == pytest.approx(0.5)


def test_gsd_in_degrees_is_measured_on_the_ellipsoid():
    step = 1 / 111_320
    grid = Grid(10, 10, Affine(step * 2, 0, 10, 0, -step, 60), CRS.from_epsg(4326))
    assert grid.gsd_m == pytest.approx(1.0, rel=0.01)


def test_gsd_in_web_mercator_is_on_the_ground():
    x, y = 1_113_194.9, 8_399_737.9  # 10 E, 60 N
    grid = Grid(10, 10, Affine(2, 0, x, 0, -2, y), CRS.from_epsg(3857))
    assert grid.gsd_m == pytest.approx(1.0, rel=0.01)


def test_window_keeps_the_ground_under_its_pixels():
    inner = GRID.for_window(Window(10, 20, 5, 6))
    assert inner.shape == (6, 5)
    assert inner.to_map(1, 2) == GRID.to_map(11, 22)


def test_resized_keeps_the_bounds():
    small = GRID.resized(32, 12)
    assert small.shape == (12, 32)
    assert small.bounds == pytest.approx(GRID.bounds)


def test_a_grid_needs_pixels_and_a_transform_that_can_be_undone():
    with pytest.raises(EmptyRasterError, match="0 x 4"):
        Grid.of_image(0, 4)
    with pytest.raises(GridMismatchError, match="no inverse"):
        Grid(4, 4, Affine(0, 0, 0, 0, 0, 0), None)
