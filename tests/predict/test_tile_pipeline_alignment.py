"""Whatever the raster, masks and outlines lie on it to the pixel."""

import pathlib

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.features
import scenes
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.windows import Window

from unigeoseg.geo.area import Area
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import Raster, open_scene
from unigeoseg.geo.tiling import TilePlan
from unigeoseg.geo.vectors.features import to_pixels
from unigeoseg.predict.output.provenance import Provenance
from unigeoseg.predict.output.schema import PromptAnswer, PromptEntry
from unigeoseg.predict.output.spec import OutputConfig, OutputSpec
from unigeoseg.predict.output.writer import open_results
from unigeoseg.predict.tile_pipeline import TilePipeline
from unigeoseg.runtime.stage_clock import StageClock

PLACES = {
    None: Affine.identity(),
    "EPSG:32650": Affine(0.5, 0, 5e5, 0, -0.5, 4.4e6),
    "EPSG:4326": Affine(1e-5, 0, 179.99, 0, -2e-5, -60),
    "EPSG:2263": Affine(3, 0, 98e4, 0, -3, 2e5),  # in feet
    "EPSG:3857": Affine(1, 0, -1e6, 0, 1, 5e6),  # rows from south to north
}


def bright(window: Window, raster: Raster) -> np.ndarray:
    return (raster.valid & (raster.array[0] > 127))[None].astype(np.float32)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@settings(deadline=None, max_examples=20)
@given(
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    count=st.sampled_from([1, 3, 4, 12]),
    nodata=st.sampled_from([None, 0, 7]),
    turned=st.sampled_from([0, 17, 90]),
    crs=st.sampled_from(list(PLACES)),
    layout=st.sampled_from([{}, {"blockysize": 1}, {"tiled": True, "blockxsize": 32}]),
    seed=st.integers(0, 99),
)
def test_masks_and_outlines_lie_on_the_scene(
    tmp_path_factory, *, width, height, dtype, count, nodata, turned, crs, layout, seed
):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 6, (count, height, width)).astype(dtype)
    hot = rng.random((height, width)) > 0.7
    pixels[:, hot] = 200
    empty = np.zeros(hot.shape, bool)
    if nodata is not None and width > 1:
        empty[:, : width // 3] = True
        pixels[:, empty] = nodata
    if dtype == "float32" and height > 1:
        empty[-1] = True
        pixels[:, -1] = np.nan
    if empty.all():
        return
    folder: pathlib.Path = tmp_path_factory.mktemp("scene")
    transform = PLACES[crs] @ Affine.rotation(turned) if crs else PLACES[crs]
    place = {"crs": CRS.from_string(crs), "transform": transform} if crs else {}
    block = layout | ({"blockysize": 32} if "tiled" in layout else {})
    scenes.write(folder / "scene.tif", pixels, nodata=nodata, **place, **block)
    paths = [folder / "mask.tif", folder / "outlines.gpkg"]
    with open_scene(folder / "scene.tif") as scene:
        seen = bright(Window(0, 0, width, height), scene.read())[0] > 0
        spec = OutputSpec(
            paths=paths,
            grid=scene.grid,
            area=Area.of_grid(scene.grid),
            config=OutputConfig(min_area_px=0),
            entries=[PromptEntry.of("what is bright")],
            provenance=Provenance(),
            labelled=True,
        )
        plan = TilePlan.of(width, height, 64, 16)
        with open_results(spec, StageClock()) as results:
            pipeline = TilePipeline(scene=scene, plan=plan, area=spec.area, prompts=1)
            pipeline.run(bright, results.add_block, StageClock())
            results.finish([PromptAnswer(1.0)])
        grid = scene.grid
    if dtype == "uint8":
        np.testing.assert_array_equal(seen, hot & ~empty)
    with rasterio.open(paths[0]) as written:
        assert written.shape == (height, width)
        assert written.crs == grid.crs
        assert written.transform == grid.transform
        np.testing.assert_array_equal(written.read(1), seen)
    meta, _, found, columns = pyogrio.raw.read(paths[1])
    rows = dict(zip(meta["fields"], columns, strict=True))
    assert not found.size or rows["area_px"].sum() == seen.sum()
    drawn = np.zeros(seen.shape, np.uint8)
    for shape in shapely.from_wkb(found):
        geometry = to_pixels(shape, Grid(width, height, grid.transform, grid.crs))
        drawn += rasterio.features.rasterize([geometry], seen.shape).astype(np.uint8)
    np.testing.assert_array_equal(drawn, seen)
