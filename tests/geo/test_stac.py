"""STAC items as scenes: local and over HTTP, files of one band and of several."""

import json
from pathlib import Path

import numpy as np
import pytest
import scenes
from range_server import serving

from unigeoseg.errors import (
    BandsError,
    GridMismatchError,
    OptionError,
    RasterNotFoundError,
    RasterUnreadableError,
)
from unigeoseg.geo.raster import open_scene
from unigeoseg.geo.stretch import Stretch

PLACE = {"crs": "EPSG:32650", "transform": scenes.UTM50}
TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"
STATISTICS = {"minimum": 100, "maximum": 9000, "mean": 1000.0, "stddev": 300.0}


def band(folder: Path, name: str, value: int, side: int = 64) -> str:
    pixels = np.full((1, side, side), value, np.uint16)
    pixels[0, 0, 0] = value + 500
    return scenes.write(folder / f"{name}.tif", pixels, **PLACE).name


def item(folder: Path, assets: dict, name: str = "item.json") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    content = {"type": "Feature", "stac_version": "1.1.0", "id": "a", "assets": assets}
    path.write_text(json.dumps(content))
    return path


def sentinel(folder: Path, **extra: dict) -> dict:
    """Files of one band each, as Sentinel-2 comes, with what the two versions of STAC say."""
    old = {"eo:bands": [{"name": "B04", "common_name": "red"}], "raster:bands": [{}]}
    old["raster:bands"][0]["statistics"] = STATISTICS
    assets = {"red": {"href": f"./{band(folder, 'B04', 1000)}", "type": TIFF} | old}
    for name, common, value in (("B03", "green", 2000), ("B02", "blue", 3000), ("B08", "nir", 4)):
        stated = {"name": name, "eo:common_name": common, "statistics": STATISTICS}
        assets[common] = {"href": band(folder, name, value), "type": TIFF, "bands": [stated]}
    thumbnail = {"href": "thumb.jpg", "type": "image/jpeg", "roles": ["thumbnail"]}
    return assets | {"thumbnail": thumbnail, "metadata": {"href": "m.xml"}} | extra


def test_bands_of_an_item_become_one_scene(tmp_path):
    path = item(tmp_path, sentinel(tmp_path))
    with open_scene(path, stretch=Stretch((0, 0, 0), (255 * 20,) * 3)) as scene:
        assert scene.read().array[:, 9, 9].tolist() == [50, 100, 150]
        assert scene.grid.crs.to_epsg() == 32650 and scene.grid.shape == (64, 64)
    with open_scene(path, ["B08", "red", "B03"], stretch=Stretch.parse("0,5100")) as scene:
        assert scene.read().array[:, 9, 9].tolist() == [0, 50, 100]
    with open_scene(path, ["nir"], gsd_m=1.0) as scene:
        assert scene.read().array.shape == (3, 32, 32)
        assert scene.stretch == Stretch((400, 400, 400), (1600, 1600, 1600))


def test_an_items_statistics_are_its_stretch(tmp_path):
    path = item(tmp_path, sentinel(tmp_path))
    with open_scene(path) as scene:  # two deviations round the mean, within the extremes
        assert scene.stretch == Stretch((400, 400, 400), (1600, 1600, 1600))
    stated = sentinel(tmp_path)
    del stated["green"]["bands"][0]["statistics"]
    with open_scene(item(tmp_path, stated)) as scene:  # measured, where one is missing
        assert scene.stretch.low[0] == 1000
    stated["green"]["bands"][0]["statistics"] = {"minimum": 0, "maximum": 5000}
    with open_scene(item(tmp_path, stated)) as scene:
        assert (scene.stretch.low[1], scene.stretch.high[1]) == (0, 5000)


def test_what_was_made_to_be_looked_at_comes_first(tmp_path):
    scenes.roof(tmp_path)
    assets = sentinel(tmp_path, visual={"href": "roof.tif", "type": TIFF})
    path = item(tmp_path, assets)
    for bands in (None, ["visual"]):
        with open_scene(path, bands) as scene:
            np.testing.assert_array_equal(scene.read().array, scenes.roof_pixels())
            assert scene.stretch == Stretch()


def test_bands_of_one_file_are_read_at_once(tmp_path):
    pixels = np.stack([np.full((8, 8), 10 * n, np.uint8) for n in (1, 2, 3, 4)])
    scenes.write(tmp_path / "naip.tif", pixels, **PLACE)
    stated = [{"name": name, "common_name": name} for name in ("red", "green", "blue", "nir")]
    image = {"href": "naip.tif", "type": TIFF, "eo:bands": stated, "roles": ["data"]}
    path = item(tmp_path, {"image": image})
    for bands, expected in (
        (None, [10, 20, 30]),
        (["nir", "red", "green"], [40, 10, 20]),
        ([4, 3, 2], [40, 30, 20]),
        (["naip"], [10, 20, 30]),
        (["image"], [10, 20, 30]),
    ):
        with open_scene(path, bands) as scene:
            assert scene.read().array[:, 0, 0].tolist() == expected


def test_over_http_only_what_is_shown_travels(tmp_path):
    item(tmp_path, sentinel(tmp_path), "items/S2A_1")
    for name in ("B04", "B03", "B02"):
        (tmp_path / f"{name}.tif").rename(tmp_path / "items" / f"{name}.tif")
    with serving(tmp_path) as served:
        with open_scene(f"{served.url}/items/S2A_1") as scene:  # the file of B08 is not there
            assert scene.read().array[:, 9, 9].tolist() == [128, 255, 255]
        with pytest.raises(RasterUnreadableError, match=r"cannot be fetched.*404"):
            open_scene(f"{served.url}/items/none")
        local = {"a": {"href": "file:///etc/hostname.tif", "type": TIFF}}
        item(tmp_path, local, "items/bad.json")
        with pytest.raises(OptionError, match="give an item whose files"):
            open_scene(f"{served.url}/items/bad.json")


def test_items_that_cannot_be_used(tmp_path):
    with pytest.raises(RasterNotFoundError, match="does not exist"):
        open_scene(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(RasterUnreadableError, match="is not JSON"):
        open_scene(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"type": "Catalog"}')
    with pytest.raises(RasterUnreadableError, match="JSON of type 'Catalog'; give one STAC item"):
        open_scene(tmp_path / "x.json")
    assets = sentinel(tmp_path)
    with pytest.raises(RasterUnreadableError, match="no asset that is a raster, only metadata, x"):
        open_scene(item(tmp_path, {"metadata": assets["metadata"], "x": "text"}))
    odd = {"href": "B04.tif", "bands": "red", "eo:bands": [3, {"name": 4}], "raster:bands": {}}
    with open_scene(item(tmp_path, {"a": odd, "b": {"href": 5}, "c": []})) as scene:
        assert scene.stretch.low[0] == 1000  # what is not as it should be is not there
    path = item(tmp_path, assets)
    with pytest.raises(BandsError, match=r"no bands \['B99'\]; give three of red, green, blue"):
        open_scene(path, ["B99"])
    with pytest.raises(BandsError, match="no bands"):
        open_scene(path, [1, 2, 3])
    del assets["red"]
    with pytest.raises(BandsError, match="no band red, green and blue; give --bands"):
        open_scene(item(tmp_path, assets))
    (tmp_path / "B08.tif").unlink()
    with pytest.raises(RasterNotFoundError, match=r"B08\.tif does not exist"):
        open_scene(path, ["nir"])
    band(tmp_path, "B08", 4, side=32)
    with pytest.raises(GridMismatchError, match="different grids"):
        open_scene(path, ["nir", "blue", "green"])
