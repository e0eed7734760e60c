"""Where rasters come from, and what of them is read: URLs, mosaics, bands by name, odd files."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import scenes
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from range_server import serving
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.windows import Window

from unigeoseg.errors import (
    BandsError,
    GridMismatchError,
    NoGeoreferenceError,
    OptionError,
    RasterUnreadableError,
)
from unigeoseg.geo.raster import open_scene
from unigeoseg.geo.stretch import Stretch


def cog(folder: Path, side: int = 2048) -> Path:
    """A COG with overviews that does not compress: side x side x 3 bytes and a third more."""
    pixels = np.random.default_rng(0).integers(0, 255, (3, side, side), dtype=np.uint8)
    plain = scenes.write(folder / "plain.tif", pixels, crs="EPSG:32650", transform=scenes.UTM50)
    rasterio.shutil.copy(plain, folder / "cog.tif", driver="COG", blocksize=256, compress="deflate")
    return folder / "cog.tif"


def test_only_the_bytes_of_a_window_travel(tmp_path):
    local = cog(tmp_path)
    with serving(tmp_path) as served, open_scene(f"{served.url}/cog.tif") as scene:
        opened = served.sent
        window = scene.read(Window(1000, 1000, 200, 200))
        assert served.sent - opened < local.stat().st_size / 10
        assert opened < local.stat().st_size / 3  # the stretch and the header, from overviews
    with open_scene(local) as scene:
        np.testing.assert_array_equal(scene.read(Window(1000, 1000, 200, 200)).array, window.array)


def test_a_coarser_scene_is_read_from_overviews(tmp_path):
    local = cog(tmp_path)
    with serving(tmp_path) as served, open_scene(f"{served.url}/cog.tif", gsd_m=4.0) as scene:
        raster = scene.read()
        assert served.sent < local.stat().st_size / 3
    assert raster.grid.shape == (256, 256)
    assert raster.grid.gsd_m == pytest.approx(4.0)
    assert raster.array.std() < 20  # noise that was averaged


def test_a_network_that_breaks_off_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    local = cog(tmp_path, 1024)
    with serving(tmp_path, most=local.stat().st_size // 2) as served:
        with pytest.raises(RasterUnreadableError, match=r"cog\.tif is damaged"):
            with open_scene(f"{served.url}/cog.tif") as scene:
                scene.read()
        with pytest.raises(RasterUnreadableError, match="not a readable raster"):
            open_scene(f"{served.url}/none.tif")
    with pytest.raises(RasterUnreadableError, match="not a readable raster"):
        open_scene("http://127.0.0.1:9/scene.tif")


def test_signed_addresses_and_buckets_reach_gdal_as_they_are(tmp_path, monkeypatch):
    (tmp_path / "bucket").mkdir()
    scenes.roof(tmp_path / "bucket")
    with serving(tmp_path) as served:
        for name, value in (
            ("AWS_S3_ENDPOINT", served.url.removeprefix("http://")),
            ("AWS_HTTPS", "NO"),
            ("AWS_VIRTUAL_HOSTING", "FALSE"),
            ("AWS_NO_SIGN_REQUEST", "YES"),
        ):
            monkeypatch.setenv(name, value)
        signed = f"{served.url}/bucket/roof.tif?X-Amz-Signature=0a&X-Amz-Expires=900"
        buckets = ["s3://bucket/roof.tif", "/vsis3/bucket/roof.tif"]
        for address in (*buckets, signed, f"/vsicurl/{served.url}/bucket/roof.tif"):
            with open_scene(address) as scene:
                np.testing.assert_array_equal(scene.read().array, scenes.roof_pixels())


def test_a_vrt_is_a_scene(tmp_path):
    scenes.roof(tmp_path)
    vrt = tmp_path / "scene.vrt"
    rasterio.shutil.copy(tmp_path / "roof.tif", vrt, driver="VRT")
    with open_scene(vrt) as scene, open_scene(tmp_path / "roof.tif") as same:
        assert scene.grid == same.grid
        np.testing.assert_array_equal(scene.read().array, same.read().array)


def named(folder: Path, names: list[str]) -> Path:
    pixels = np.stack([np.full((8, 8), 10 * n, np.uint8) for n in range(1, len(names) + 1)])
    path = scenes.write(folder / "named.tif", pixels, crs="EPSG:32650", transform=scenes.UTM50)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = names
        dataset.colorinterp = [rasterio.enums.ColorInterp.undefined] * len(names)
    return path


@pytest.mark.parametrize(
    ("names", "bands", "expected"),
    [
        (["B01", "B02", "B03", "B04"], None, [40, 30, 20]),
        (["SR_B2", "SR_B3", "SR_B4"], None, [30, 20, 10]),
        (["blue", "Green", "RED", "nir"], None, [30, 20, 10]),
        (["a", "b", "c", "d"], None, [10, 20, 30]),
        (["a", "b", "c", "d"], ["c", "A", 4], [30, 10, 40]),
        (["a", "b", "c", "d"], ["planetscope"], [30, 20, 10]),
        ([str(n) for n in range(12)], ["Sentinel-2"], [40, 30, 20]),
        ([str(n) for n in range(200)], [25, 2, 3], [250, 20, 30]),
    ],
)
def test_bands_by_name_and_sensor(tmp_path, names, bands, expected):
    if len(names) == 200:
        names = names[:25]
    with open_scene(named(tmp_path, names), bands) as scene:
        assert scene.read().array[:, 0, 0].tolist() == expected


def test_bands_that_are_not_there(tmp_path):
    path = named(tmp_path, ["a", "b"])
    with pytest.raises(BandsError, match="no band named 'red'; its names are a, b"):
        open_scene(path, ["red"])
    with pytest.raises(BandsError, match="has 2 bands; naip has 3 or 4"):
        open_scene(path, ["naip"])


def test_places_that_cannot_be_right(tmp_path):
    pixels = scenes.roof_pixels()
    wrong = scenes.write(tmp_path / "w.tif", pixels, crs="EPSG:4326", transform=scenes.UTM50)
    with pytest.raises(GridMismatchError, match="said to be in degrees"):
        open_scene(wrong)
    points = [
        GroundControlPoint(r, c, 117 + c / 1e4, 39 - r / 1e4) for r in (0, 64) for c in (0, 64)
    ]
    gcps = scenes.write(tmp_path / "g.tif", pixels, gcps=points, crs="EPSG:4326")
    with pytest.raises(GridMismatchError, match="ground control points alone; warp it"):
        open_scene(gcps)
    with pytest.raises(NoGeoreferenceError, match="no CRS to measure"):
        open_scene(scenes.photo(tmp_path), gsd_m=2)
    with pytest.raises(OptionError, match=r"scene has 0\.5 m"):
        open_scene(scenes.roof(tmp_path), gsd_m=0.2)


def test_a_stretch_goes_through_text_exactly(tmp_path):
    stretch = Stretch((0.1, 1e-9, 3.0), (1 / 3, 2e5, 4.5))
    assert Stretch.parse(stretch.text()) == stretch
    assert Stretch.read("5,10") == Stretch((5, 5, 5), (10, 10, 10))
    with pytest.raises(OptionError, match="no stretch can be read"):
        Stretch.read(str(Path(__file__)))


def test_the_look_at_a_large_scene_is_bounded_and_sees_all_of_it(tmp_path, monkeypatch):
    """Above a size, samples stand for the whole; a window asked for has no say."""
    monkeypatch.setattr("unigeoseg.geo.raster._DECIMATED", 1000)
    ramp = np.tile(np.arange(1500, dtype=np.uint16) + 500, (3, 1500, 1))
    path = scenes.write(
        tmp_path / "r.tif", ramp, crs="EPSG:32650", transform=scenes.UTM50, nodata=0
    )
    with open_scene(path) as scene:
        assert scene.stretch.low[0] == pytest.approx(500 + 1500 * 0.02, abs=20)
        assert scene.stretch.high[0] == pytest.approx(500 + 1500 * 0.98, abs=20)


@settings(deadline=None, max_examples=25)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    count=st.integers(1, 6),
    nodata=st.sampled_from([None, 0]),
    turned=st.sampled_from([0, 17]),
    crs=st.sampled_from([None, "EPSG:32650", "EPSG:3857"]),
    seed=st.integers(0, 99),
)
def test_windows_are_cuts_of_the_whole(
    tmp_path_factory, *, width, height, dtype, count, nodata, turned, crs, seed
):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 120, (count, height, width)).astype(dtype)
    pixels[:, : height // 3] = 0 if nodata == 0 and height > 1 else pixels[:, : height // 3]
    if dtype == "float32" and pixels.size > count:
        pixels[:, -1, -1] = np.nan
    transform = Affine(2, 0, 5e5, 0, -2, 4e6) @ Affine.rotation(turned)
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    place = {"crs": CRS.from_string(crs), "transform": transform} if crs else {}
    scenes.write(path, pixels, nodata=nodata, **place)
    with open_scene(path) as scene:
        assert scene.grid.shape == (height, width)
        assert not crs or scene.grid.transform.almost_equals(transform)
        whole = scene.read()
        x, y = int(rng.integers(width)), int(rng.integers(height))
        window = Window(
            x, y, int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1))
        )
        part = scene.read(window)
    rows, cols = window.toslices()
    np.testing.assert_array_equal(part.array, whole.array[:, rows, cols])
    np.testing.assert_array_equal(part.valid, whole.valid[rows, cols])
    assert part.grid == whole.grid.for_window(window)
