import json

import numpy as np
import pyogrio
import pytest
import rasterio
import scenes
import shapely
from affine import Affine
from hypothesis import given
from hypothesis.extra.numpy import arrays
from pyproj import Geod
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.windows import Window
from results import outlines_of, write_features, write_mask
from shapely.geometry import shape

from unigeoseg.errors import (
    OutputExistsError,
    OutputFormatError,
    OutputUnwritableError,
)
from unigeoseg.geo.formats import check_output
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.mask_writer import mask_writer
from unigeoseg.geo.masks import label_components
from unigeoseg.geo.raster import open_scene
from unigeoseg.geo.vectors.features import Feature

GRID = Grid(64, 64, scenes.UTM50, CRS.from_epsg(32650))
PLAIN = Grid.of_image(64, 64)


def roof_mask() -> np.ndarray:
    return scenes.roof_pixels()[0] > 100


def roof_features(grid: Grid) -> list[Feature]:
    return [
        Feature(region, {"score": 0.5, "pixels": 60, "instruction": "the roof", "sure": True})
        for region in outlines_of(roof_mask(), grid)
    ]


def test_outline_is_in_map_coordinates():
    (outline,) = outlines_of(roof_mask(), GRID)
    assert outline.bounds == (500_010, 4_399_982, 500_015, 4_399_985)
    assert outline.area == pytest.approx(60 * 0.25)


def test_small_regions_are_left_out_also_in_degrees():
    mask = roof_mask()
    mask[0, 0] = True
    degrees = Grid(64, 64, Affine(1e-6, 0, 117, 0, -1e-6, 39), CRS.from_epsg(4326))
    for grid in (GRID, PLAIN, degrees):
        assert len(outlines_of(mask, grid)) == 2
        assert len(outlines_of(mask, grid, min_area_px=60)) == 1
        assert outlines_of(mask, grid, min_area_px=61) == []


def test_holes_are_kept():
    mask = roof_mask()
    mask[32:34, 24:26] = False
    (outline,) = outlines_of(mask, PLAIN)
    assert len(outline.interiors) == 1
    assert outline.area == 56


@given(arrays(np.bool_, (9, 11)))
def test_outlines_are_valid_and_hold_the_mask_exactly(mask):
    grid = Grid.of_image(11, 9)
    outlines = outlines_of(mask, grid)
    assert len(outlines) == label_components(mask).max()
    assert all(outline.is_valid for outline in outlines)
    burnt = rasterize(outlines, mask.shape) if outlines else np.zeros(mask.shape)
    np.testing.assert_array_equal(burnt.astype(bool), mask)


def test_a_mask_may_come_in_blocks_of_any_height(tmp_path):
    grid = Grid(700, 1300, scenes.UTM50, CRS.from_epsg(32650))
    mask = np.random.default_rng(0).random(grid.shape) > 0.5
    with mask_writer(tmp_path / "mask.tif", grid) as writer:
        for top, bottom in ((0, 600), (600, 1100), (1100, 1300)):
            for left, right in ((0, 300), (300, 700)):
                window = Window(left, top, right - left, bottom - top)
                writer.add(window, mask[top:bottom, left:right].astype(np.uint8))
    with rasterio.open(tmp_path / "mask.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1) == 1, mask)


@pytest.mark.parametrize("builder", [scenes.roof, scenes.photo, scenes.geographic, scenes.rotated])
def test_mask_lies_exactly_on_its_scene(tmp_path, builder):
    with open_scene(builder(tmp_path)) as scene:
        write_mask(tmp_path / "mask.tif", roof_mask(), scene.grid)
    with open_scene(tmp_path / "mask.tif") as written:
        assert written.grid == scene.grid
        np.testing.assert_array_equal(written.read().array[0] == 1, roof_mask())


def test_mask_is_a_plain_tiled_geotiff(tmp_path):
    write_mask(tmp_path / "mask.tif", roof_mask(), GRID)
    with rasterio.open(tmp_path / "mask.tif") as dataset:
        assert dataset.dtypes == ("uint8",)
        assert dataset.nodata is None
        assert dataset.profile["tiled"] and dataset.profile["compress"] == "deflate"


def test_geojson_is_lonlat_with_outer_rings_counterclockwise(tmp_path):
    path = tmp_path / "roof.geojson"
    write_features(path, roof_features(GRID), GRID)
    content = json.loads(path.read_text())
    (feature,) = content["features"]
    assert content["type"] == "FeatureCollection" and "crs" not in content
    assert feature["properties"] == {
        "score": 0.5,
        "pixels": 60,
        "instruction": "the roof",
        "sure": True,
    }
    outline = shape(feature["geometry"])
    assert outline.exterior.is_ccw
    assert outline.bounds[0] == pytest.approx(117.000116, abs=1e-5)
    area_m2, _ = Geod(ellps="WGS84").geometry_area_perimeter(outline)
    assert area_m2 == pytest.approx(15, rel=0.01)


def test_geojson_without_crs_is_in_pixels(tmp_path):
    path = tmp_path / "roof.json"
    write_features(path, roof_features(PLAIN), PLAIN)
    (feature,) = json.loads(path.read_text())["features"]
    assert shape(feature["geometry"]).bounds == scenes.ROOF


@pytest.mark.parametrize("grid", [GRID, PLAIN])
def test_geopackage_keeps_the_crs(tmp_path, grid):
    path = tmp_path / "roof.gpkg"
    write_features(path, roof_features(grid), grid)
    meta, _, geometry, columns = pyogrio.raw.read(path)
    assert meta["geometry_type"] == "MultiPolygon"
    assert (grid.crs is None) or CRS.from_user_input(meta["crs"]) == grid.crs
    row = dict(zip(meta["fields"], [column[0] for column in columns], strict=True))
    assert row == {"score": 0.5, "pixels": 60, "instruction": "the roof", "sure": True}
    assert shapely.from_wkb(geometry[0]).equals(roof_features(grid)[0].geometry)


def test_geopackage_holds_missing_and_mixed_values(tmp_path):
    path = tmp_path / "mixed.gpkg"
    (region,) = outlines_of(roof_mask(), GRID)
    rows = [{"a": None, "b": 1, "c": "x", "d": None}, {"a": 2, "b": 0.5, "c": 3, "d": None}]
    write_features(path, [Feature(region, row) for row in rows], GRID)
    meta, _, _, columns = pyogrio.raw.read(path)
    table = dict(zip(meta["fields"], [column.tolist() for column in columns], strict=True))
    assert np.isnan(table["a"][0]) and table["a"][1] == 2
    assert (table["b"], table["c"], table["d"]) == ([1, 0.5], ["x", "3"], [None, None])


@pytest.mark.parametrize("suffix", [".geojson", ".json", ".gpkg"])
def test_no_region_is_a_file_too(tmp_path, suffix):
    path = tmp_path / f"none{suffix}"
    write_features(path, [], GRID)
    assert pyogrio.read_info(path)["features"] == 0


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"roof{suffix}"
    path.write_text("old")
    # Half a surrogate pair cannot be stored in either format.
    broken = Feature(roof_features(GRID)[0].geometry, {"instruction": "\ud800"})
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        write_features(path, [broken], GRID)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_vanished_is_an_output_error(tmp_path):
    for write, name in ((write_mask, "gone/m.tif"), (write_features, "gone/m.gpkg")):
        content = roof_mask() if write is write_mask else roof_features(GRID)
        with pytest.raises(OutputUnwritableError, match="was not written"):
            write(tmp_path / name, content, GRID)
    with pytest.raises(OutputUnwritableError, match="was not written"):
        write_features(tmp_path / "gone/m.geojson", [], GRID)


def test_outputs_are_checked_before_any_work(tmp_path):
    check_output(tmp_path / "new.TIF")
    with pytest.raises(OutputFormatError, match=r"ends in \.docx; give one of \.tif, \.tiff, "):
        check_output(tmp_path / "new.docx")
    with pytest.raises(OutputFormatError, match="no suffix"):
        check_output(tmp_path / "new")
    there = tmp_path / "there.gpkg"
    there.touch()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        check_output(there)
    check_output(there, overwrite=True)
    with pytest.raises(OutputUnwritableError, match="create it first"):
        check_output(tmp_path / "no" / "new.tif")
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(OutputUnwritableError, match="is a directory"):
        check_output(tmp_path / "folder.tif", overwrite=True)


def test_columns_that_begin_alike_stay_apart_in_a_shapefile(tmp_path):
    columns = {"population_2010": 1, "population_2020": 2, "population": 3, "prompt_area": 4}
    write_features(tmp_path / "a.shp", [Feature(shapely.box(0, 0, 9, 9), columns)], GRID)
    meta, _, _, values = pyogrio.raw.read(tmp_path / "a.shp")
    row = dict(zip(meta["fields"], (column[0] for column in values), strict=True))
    assert row == {"population": 1, "populati_1": 2, "populati_2": 3, "prompt_are": 4}


def test_writers_know_their_own_suffixes(tmp_path):
    with pytest.raises(OutputFormatError, match=r"\.tif, \.tiff$"):
        write_mask(tmp_path / "mask.gpkg", roof_mask(), GRID)
    with pytest.raises(
        OutputFormatError, match=r"\.geojson, \.json, \.gpkg, \.parquet, \.fgb, \.shp$"
    ):
        write_features(tmp_path / "mask.tif", [], GRID)
