"""Known shapes through tiles, blending and files: objects survive the seams."""

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import scenes
import shapely
from rasterio.crs import CRS
from rasterio.windows import Window

from unigeoseg.errors import OutputUnwritableError
from unigeoseg.geo.area import Area
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import Raster, Scene, scene_from_array
from unigeoseg.geo.tiling import TilePlan
from unigeoseg.predict.output.provenance import Provenance
from unigeoseg.predict.output.schema import PromptAnswer, PromptEntry
from unigeoseg.predict.output.spec import OutputConfig, OutputSpec
from unigeoseg.predict.output.writer import ResultWriter, open_results
from unigeoseg.predict.tile_pipeline import TilePipeline
from unigeoseg.runtime.stage_clock import StageClock

WIDTH, HEIGHT = 930, 750
GRID = Grid(WIDTH, HEIGHT, scenes.UTM50, CRS.from_epsg(32650))


def shapes() -> list[shapely.Geometry]:
    """In pixels: a river across the scene, a warehouse with a yard, a ring, a roof."""
    river = shapely.LineString([(-20, 40), (90, 120), (200, 100), (340, 230)]).buffer(9)
    yard = shapely.box(130, 20, 160, 40)
    warehouse = shapely.box(110, 5, 190, 60).difference(yard)
    ring = shapely.Point(60, 200).buffer(30).difference(shapely.Point(60, 200).buffer(12))
    roof = shapely.box(250, 20, 280, 50)
    parts = (river, warehouse, ring, roof)
    return [shapely.affinity.scale(each, 3, 3, origin=(0, 0)) for each in parts]


def truth() -> np.ndarray:
    """(H, W) uint8: 255 in a shape."""
    return rasterio.features.rasterize(shapes(), (HEIGHT, WIDTH), default_value=255)


def true_outlines() -> list[shapely.Geometry]:
    a, b, c, d, e, f = tuple(GRID.transform)[:6]
    window = shapely.box(0, 0, WIDTH, HEIGHT)
    return [
        shapely.affinity.affine_transform(each.intersection(window), (a, b, d, e, c, f))
        for each in shapes()
    ]


def oracle(window: Window, raster: Raster) -> np.ndarray:
    """Knows the answer, and is sure of it."""
    return (raster.array[:1] > 100).astype(np.float32)


def run(
    paths: list[Path],
    plan: TilePlan,
    *,
    scene: Scene | None = None,
    look=oracle,
    area: Area | None = None,
    prompts: int = 1,
    **config,
) -> ResultWriter:
    scene = scene or scene_from_array(truth(), GRID)
    area = area or Area.of_grid(scene.grid)
    spec = OutputSpec(
        paths=paths,
        grid=scene.grid,
        area=area,
        config=OutputConfig(**config),
        entries=[PromptEntry.of(f"target {number}") for number in range(prompts)],
        provenance=Provenance(),
        labelled=True,
    )
    with open_results(spec, StageClock()) as results:
        pipeline = TilePipeline(scene=scene, plan=plan, area=area, prompts=prompts)
        pipeline.run(look, results.add_block, StageClock())
        results.finish([PromptAnswer(0.5)] * prompts)
    return results


def iou(one: shapely.Geometry, other: shapely.Geometry) -> float:
    return one.intersection(other).area / one.union(other).area


@pytest.mark.parametrize(("tile", "overlap"), [(64, 16), (128, 0), (100, 70), (197, 31), (1000, 0)])
def test_shapes_come_back_whole_whatever_the_tiles(tmp_path, tile, overlap):
    out = tmp_path / "out.gpkg"
    run([out, tmp_path / "out.tif"], TilePlan.of(WIDTH, HEIGHT, tile, overlap))
    found = shapely.from_wkb(pyogrio.raw.read(out)[2])
    true = true_outlines()
    assert len(found) == len(true)
    for outline in true:
        assert max(iou(outline, each) for each in found) >= 0.99
    assert iou(shapely.union_all(found), shapely.union_all(true)) >= 0.99
    with rasterio.open(tmp_path / "out.tif") as written:
        assert Grid(written.width, written.height, written.transform, written.crs) == GRID
        np.testing.assert_array_equal(written.read(1), truth() > 100)


def test_an_anchored_plan_gives_cuts_the_same_tiles():
    plans = [
        TilePlan.of(size, 40, 20, 5, anchor=(left, 0)) for left, size in ((100, 90), (117, 70))
    ]
    starts = [
        {left + col.start for col in plan.cols}
        for left, plan in zip((100, 117), plans, strict=True)
    ]
    inside = {at for at in range(0, 300, 15) if 117 < at < 167}
    assert inside <= starts[0] and inside <= starts[1]


def test_an_area_gives_the_same_as_the_whole_and_reads_less(tmp_path):
    seen: list[Window] = []

    def watching(window: Window, raster: Raster) -> np.ndarray:
        seen.append(window)
        # what a network says depends on the tile's place
        rows, cols = np.indices(raster.valid.shape)
        return np.sin(raster.array[:1] / 300 + rows / 31 + cols / 17).astype(np.float32) ** 2

    plan = TilePlan.of(WIDTH, HEIGHT, 64, 16)
    run([tmp_path / "whole.tif"], plan, look=watching)
    whole = len(seen)
    corner = Area(Window(101, 133, 90, 77), shapely.Point(146, 170).buffer(37))
    run([tmp_path / "part.tif"], plan, look=watching, area=corner)
    assert len(seen) - whole < whole / 2
    with rasterio.open(tmp_path / "whole.tif") as one, rasterio.open(tmp_path / "part.tif") as two:
        there = corner.mask(corner.window)
        expected = np.where(there, one.read(1, window=corner.window), 0)
        np.testing.assert_array_equal(two.read(1), expected)
        assert two.transform == GRID.for_window(corner.window).transform
    assert 0.1 < expected.mean() < 0.9


def test_several_prompts_make_one_map_and_shared_edges_stay_shared(tmp_path):
    def halves(window: Window, raster: Raster) -> np.ndarray:
        """Label 1 west of a wavy line, 2 east of it, in the middle of the scene."""
        rows, cols = np.indices(raster.valid.shape)
        rows, cols = rows + window.row_off, cols + window.col_off
        west = cols < 150 + 10 * np.sin(rows / 9)
        inside = (np.abs(rows - 125) < 100) & (np.abs(cols - 150) < 120)
        return np.stack([west & inside, ~west & inside]).astype(np.float32)

    out = tmp_path / "out.gpkg"
    plan = TilePlan.of(WIDTH, HEIGHT, 64, 16)
    results = run([out], plan, look=halves, prompts=2, simplify_m=3.0)
    assert results.pixels.sum() == 199 * 239
    one, two = shapely.from_wkb(pyogrio.raw.read(out)[2])
    assert one.intersection(two).area == 0
    edge = one.intersection(two)
    assert edge.length == pytest.approx(99, rel=0.35)  # the line they share, not torn
    assert one.union(two).area == pytest.approx(199 * 239 / 4, rel=0.01)
    assert shapely.get_num_coordinates(one) < 60


def test_without_instances_a_label_is_one_feature(tmp_path):
    out = tmp_path / "out.gpkg"
    run([out], TilePlan.of(WIDTH, HEIGHT, 64, 16), instances=False)
    (found,) = shapely.from_wkb(pyogrio.raw.read(out)[2])
    assert found.area == pytest.approx((truth() > 100).sum() / 4)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path):
    def full(window: Window, raster: Raster) -> np.ndarray:
        for path in tmp_path.iterdir():  # as if the disk were taken away
            path.unlink()
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputUnwritableError, match="No space left"):
        run([tmp_path / "out.gpkg"], TilePlan.of(WIDTH, HEIGHT, 64, 16), look=full)
    assert list(tmp_path.iterdir()) == []
