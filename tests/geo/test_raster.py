import numpy as np
import pytest
import scenes
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from unigeoseg.errors import (
    BandsError,
    EmptyRasterError,
    GridMismatchError,
    RasterNotFoundError,
    RasterUnreadableError,
)
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import Raster, open_scene, scene_from_array
from unigeoseg.geo.stretch import Stretch

GREY, RED, GREEN, BLUE, ALPHA = (
    ColorInterp.gray,
    ColorInterp.red,
    ColorInterp.green,
    ColorInterp.blue,
    ColorInterp.alpha,
)


def levels(count: int, dtype: str = "uint8") -> np.ndarray:
    """(count, 16, 16) where band n is all n * 10, from 1."""
    return np.stack([np.full((16, 16), 10 * n, dtype) for n in range(1, count + 1)])


def first_pixel(path, bands=None) -> list[int]:
    with open_scene(path, bands) as scene:
        return scene.read().array[:, 0, 0].tolist()


def test_raster_checks_sizes_at_birth():
    grid, valid = Grid.of_image(5, 4), np.ones((4, 5), bool)
    Raster(np.zeros((3, 4, 5)), valid, grid)
    with pytest.raises(GridMismatchError, match=r"\(3, 5, 4\), expected"):
        Raster(np.zeros((3, 5, 4)), valid, grid)
    with pytest.raises(GridMismatchError, match=r"valid is \(5, 4\)"):
        Raster(np.zeros((3, 4, 5)), valid.T, grid)
    with pytest.raises(GridMismatchError, match="uint8, expected"):
        Raster(np.zeros((3, 4, 5)), valid.astype(np.uint8), grid)


def test_scene_of_8_bits_is_left_as_it_is(roof_scene):
    with open_scene(roof_scene) as scene:
        raster = scene.read()
        assert scene.name == "roof.tif"
        assert scene.stretch == Stretch()
    assert raster.array.dtype == np.uint8
    assert raster.valid.all()
    assert raster.grid.crs.to_epsg() == 32650
    np.testing.assert_array_equal(raster.array, scenes.roof_pixels())


def test_window_is_read_on_its_own_grid(roof_scene):
    x0, y0, x1, y1 = scenes.ROOF
    with open_scene(roof_scene) as scene:
        raster = scene.read(Window(x0, y0, x1 - x0, y1 - y0))
    assert (raster.array == 220).all()
    assert raster.grid.to_map(0, 0) == (500_010, 4_399_985)


def test_window_may_reach_outside(roof_scene):
    with open_scene(roof_scene) as scene:
        raster = scene.read(Window(-2, 60, 8, 8))
        assert raster.valid.sum() == 6 * 4
        assert raster.valid[:4, 2:].all()
        assert (raster.array[:, raster.valid] == 40).all()
        assert (raster.array[:, ~raster.valid] == 0).all()
        assert not scene.read(Window(100, 100, 4, 4)).valid.any()


def test_window_is_resampled_to_a_shape(roof_scene):
    with open_scene(roof_scene) as scene:
        small = scene.read(shape=(16, 32))
        assert small.array.shape == (3, 16, 32)
        assert small.grid.bounds == pytest.approx(scene.grid.bounds)
        assert abs(small.array.mean() - scene.read().array.mean()) < 1
        with pytest.raises(GridMismatchError, match="clip it first"):
            scene.read(Window(-1, 0, 8, 8), shape=(4, 4))


def test_scene_of_16_bits_is_stretched_over_valid_pixels(four_band_scene):
    with open_scene(four_band_scene) as scene:
        raster = scene.read()
        assert scene.stretch.low[0] > 100
        assert scene.stretch.high[2] > scene.stretch.high[1] > scene.stretch.high[0]
        part = scene.read(Window(30, 30, 8, 8))
    assert not raster.valid[:8, :8].any()
    assert raster.valid.sum() == 64 * 64 - 64
    assert raster.array[:, 0, 0].tolist() == [0, 0, 0]
    assert raster.array[:, 63, 63].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(part.array, raster.array[:, 30:38, 30:38])


def test_pixels_that_are_not_valid_keep_their_value(tmp_path):
    pixels = scenes.roof_pixels()
    with open_scene(scenes.write(tmp_path / "white.tif", pixels, nodata=220)) as scene:
        raster = scene.read()
    np.testing.assert_array_equal(raster.valid, pixels[0] == 40)
    np.testing.assert_array_equal(raster.array, pixels)


def test_nan_is_not_valid(tmp_path):
    pixels = np.linspace(0, 1, 3 * 256, dtype=np.float32).reshape(3, 16, 16)
    pixels[1, 2, 3] = np.nan
    with open_scene(scenes.write(tmp_path / "nan.tif", pixels)) as scene:
        raster = scene.read()
    assert (~raster.valid).sum() == 1
    assert raster.array[1, 2, 3] == 0


def test_a_constant_band_does_not_divide_by_zero(tmp_path):
    path = scenes.write(tmp_path / "flat.tif", levels(3, "int16"))
    assert first_pixel(path) == [0, 0, 0]


def test_photo_without_georeference_opens_without_warning(photo_scene):
    with open_scene(photo_scene) as scene:
        assert not scene.grid.georeferenced
        assert scene.grid == Grid.of_image(64, 64)
        assert scene.read().array.shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        ([GREY], [10, 10, 10]),
        ([GREY, ALPHA], [10, 10, 10]),
        ([GREY, GREY], [10, 10, 10]),
        ([BLUE, GREEN, RED], [30, 20, 10]),
        ([GREY, GREY, GREY], [10, 20, 30]),
        ([GREY, BLUE, GREEN, RED], [40, 30, 20]),
        ([ALPHA, GREY, GREY, GREY], [20, 30, 40]),
        ([RED, GREEN, BLUE, ALPHA], [10, 20, 30]),
    ],
)
def test_choice_of_red_green_and_blue(tmp_path, meaning, expected):
    path = scenes.write(tmp_path / "bands.tif", levels(len(meaning)), colorinterp=meaning)
    assert first_pixel(path) == expected


def test_bands_are_those_asked_for(tmp_path):
    path = scenes.write(tmp_path / "bands.tif", levels(4))
    assert first_pixel(path, (4, 1, 2)) == [40, 10, 20]
    assert first_pixel(path, (3,)) == [30, 30, 30]
    with pytest.raises(BandsError, match="no band 5; bands are counted from 1 to 4"):
        open_scene(path, (1, 2, 5))
    with pytest.raises(BandsError, match="got 2 bands"):
        open_scene(path, (1, 2))


def test_transparent_pixels_are_not_valid(tmp_path):
    pixels = levels(4)
    pixels[3] = 255
    pixels[3, :4] = 0
    path = scenes.write(tmp_path / "alpha.png", pixels)
    with open_scene(path) as scene:
        raster = scene.read()
    assert not raster.valid[:4].any() and raster.valid[4:].all()


def test_palette_is_expanded(tmp_path):
    pixels = np.zeros((1, 16, 16), np.uint8)
    pixels[0, 8:] = 1
    colours = {0: (200, 10, 20, 255), 1: (1, 2, 3, 255)}
    path = scenes.write(tmp_path / "palette.tif", pixels, colormap=colours)
    with open_scene(path) as scene:
        array = scene.read().array
    assert array[:, 0, 0].tolist() == [200, 10, 20]
    assert array[:, 9, 0].tolist() == [1, 2, 3]


def test_a_large_scene_with_one_valid_pixel_is_not_empty(tmp_path):
    pixels = np.zeros((1, 2500, 2500), np.uint16)
    pixels[0, 2001, 2001] = 7
    path = scenes.write(tmp_path / "sparse.tif", pixels, nodata=0, compress="deflate")
    with open_scene(path) as scene:
        assert scene.read(Window(2000, 2000, 4, 4)).valid.sum() == 1


def test_missing_damaged_and_empty_scenes_say_so(tmp_path, roof_scene):
    with pytest.raises(RasterNotFoundError, match="does not exist; check the path"):
        open_scene(tmp_path / "no.tif")
    text = tmp_path / "text.tif"
    text.write_text("not a raster")
    with pytest.raises(RasterUnreadableError, match="not a readable raster"):
        open_scene(text)
    cut = tmp_path / "cut.tif"
    cut.write_bytes(roof_scene.read_bytes()[:4000])
    with pytest.raises(RasterUnreadableError, match=r"cut\.tif"), open_scene(cut) as scene:
        scene.read()
    nothing = scenes.write(tmp_path / "nothing.tif", np.zeros((3, 16, 16), np.uint8), nodata=0)
    with pytest.raises(EmptyRasterError, match="no valid pixel"):
        open_scene(nothing)


@pytest.mark.parametrize("shape", [(16, 24), (16, 24, 3), (3, 16, 24), (1, 16, 24), (5, 16, 24)])
def test_arrays_of_any_layout_read_like_files(shape):
    array = np.full(shape, 7, np.uint8)
    with scene_from_array(array) as scene:
        raster = scene.read(Window(20, 10, 8, 8))
    assert scene.grid == Grid.of_image(24, 16)
    assert raster.valid.sum() == 4 * 6
    assert (raster.array[:, raster.valid] == 7).all()


def test_array_of_four_channels_has_alpha():
    array = np.full((8, 8, 4), 255, np.uint8)
    array[:2, :, 3] = 0
    assert scene_from_array(array).read().valid.sum() == 6 * 8


def test_array_is_stretched_and_resampled_like_a_file(tmp_path, four_band_scene):
    with open_scene(four_band_scene) as filed:
        whole = filed.read()
    held = scene_from_array(whole.array, whole.grid, name="held")
    assert held.grid == whole.grid
    assert held.read(shape=(32, 32)).array.shape == (3, 32, 32)
    ramp = np.arange(256, dtype=np.float64).reshape(16, 16)
    ramp[0, 0] = np.nan
    raster = scene_from_array(ramp).read()
    assert not raster.valid[0, 0]
    assert raster.array[:, 15, 15].tolist() == [255, 255, 255]


def test_arrays_that_are_no_image_are_refused():
    with pytest.raises(BandsError, match=r"shape \(4,\)"):
        scene_from_array(np.zeros(4, np.uint8))
    with pytest.raises(BandsError, match="complex128"):
        scene_from_array(np.zeros((4, 4), complex))
    with pytest.raises(EmptyRasterError, match="has no pixel"):
        scene_from_array(np.zeros((0, 4), np.uint8))
    with pytest.raises(EmptyRasterError, match="no valid pixel"):
        scene_from_array(np.full((4, 4), np.nan))
    with pytest.raises(GridMismatchError, match=r"pixels are \(4, 5\)"):
        scene_from_array(np.zeros((4, 5), np.uint8), Grid.of_image(4, 5))
