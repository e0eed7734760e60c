"""Files that hold whole rows: every row is read once, and nothing else changes."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import scenes
from rasterio.windows import Window

from unigeoseg.geo.area import Area
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import Scene, open_scene
from unigeoseg.geo.tiling import TilePlan
from unigeoseg.predict.tile_pipeline import TilePipeline
from unigeoseg.runtime.stage_clock import StageClock

WIDTH, HEIGHT = 210, 330


class Recording:
    """A source of whole rows that keeps what was read of it."""

    overviews, rowwise = True, True

    def __init__(self) -> None:
        self.windows: list[Window] = []

    def read(self, window: Window, shape: tuple[int, int]):
        self.windows.append(window)
        rows, cols = np.indices(shape)
        value = ((rows + window.row_off) * 7 + (cols + window.col_off) * 3) % 251
        return np.stack([value.astype(np.uint8)] * 3), value > 5

    def close(self) -> None:
        """Nothing is open."""


def swept(scene: Scene, area: Area | None = None) -> np.ndarray:
    """Blended scores of what tiles show of the first band, where it is valid."""
    whole = np.zeros((HEIGHT, WIDTH), np.float32)

    def take(window: Window, block: np.ndarray) -> None:
        whole[window.toslices()] = block[0]

    def look(window: Window, raster) -> np.ndarray:
        return (raster.array[:1] / 255 * raster.valid).astype(np.float32)

    plan, area = TilePlan.of(WIDTH, HEIGHT, 64, 16), area or Area.of_grid(scene.grid)
    TilePipeline(scene=scene, plan=plan, area=area, prompts=1).run(look, take, StageClock())
    return whole


def test_every_row_is_read_once():
    reader = Recording()
    scene = Scene("rows", Grid.of_image(WIDTH, HEIGHT), reader)
    reader.windows.clear()
    swept(scene)
    assert [window.width for window in reader.windows] == [WIDTH] * len(reader.windows)
    rows = [row for window in reader.windows for row in range(*window.toranges()[0])]
    assert rows == list(range(HEIGHT))


def test_an_area_reads_its_rows_alone():
    reader = Recording()
    scene = Scene("rows", Grid.of_image(WIDTH, HEIGHT), reader)
    reader.windows.clear()
    swept(scene, Area(Window(100, 120, 20, 20)))
    rows = {row for window in reader.windows for row in range(*window.toranges()[0])}
    assert len(rows) <= 2 * 64 and max(window.width for window in reader.windows) <= 2 * 64


@pytest.mark.parametrize("rows", [1, 7, HEIGHT])
def test_strips_give_what_blocks_give(tmp_path: Path, rows: int):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 4000, (5, HEIGHT, WIDTH), dtype=np.uint16)
    pixels[:, 40:90, 30:100] = 0
    place = {"crs": "EPSG:32650", "transform": scenes.UTM50, "nodata": 0, "compress": "deflate"}
    block = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    one = scenes.write(tmp_path / "blocks.tif", pixels, **place, **block)
    two = scenes.write(tmp_path / "strips.tif", pixels, **place, blockysize=rows)
    with rasterio.open(two) as written:
        assert written.block_shapes[0] == (rows, WIDTH)
    with open_scene(one) as blocks, open_scene(two) as strips:
        assert strips.rowwise and not blocks.rowwise
        np.testing.assert_array_equal(swept(strips), swept(blocks))
    with open_scene(two, gsd_m=1.0) as coarse:
        assert not coarse.rowwise
