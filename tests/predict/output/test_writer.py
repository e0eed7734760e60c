"""Windows of prompts to files: no seam of blocks, strips or areas shows in what is written."""

import json
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import scenes
import shapely
from networks import save_tiny, tiny_segmenter
from rasterio.crs import CRS
from rasterio.windows import Window

from unigeoseg.geo.area import Area
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import open_scene, scene_from_array
from unigeoseg.predict.output import outlines
from unigeoseg.predict.output.provenance import Provenance
from unigeoseg.predict.output.schema import COLUMNS, PromptAnswer, PromptEntry
from unigeoseg.predict.output.spec import OutputConfig, OutputSpec
from unigeoseg.predict.output.writer import ResultWriter, open_results
from unigeoseg.predict.result import Segmentation
from unigeoseg.predict.scene_to_files import SceneJob, segment_to_files
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.prompt import Box, Point, Prompt
from unigeoseg.runtime.stage_clock import StageClock


def write_windows(
    paths: list[Path],
    grid: Grid,
    windows: list[tuple[Window, np.ndarray]],
    *,
    area: Area | None = None,
    **config,
) -> ResultWriter:
    """Results of a box per window, with these scores."""
    spec = OutputSpec(
        paths=paths,
        grid=grid,
        area=area or Area.of_grid(grid),
        config=OutputConfig(**config),
        entries=[PromptEntry.of(Box(0, 0, 1 + at, 1)) for at in range(len(windows))],
        provenance=Provenance("tiny", None, "made"),
        labelled=False,
    )
    with open_results(spec, StageClock()) as results:
        for number, (window, score) in enumerate(windows):
            results.add_window(number, window, score.astype(np.float32))
        results.finish([PromptAnswer(0.5 + at / 100) for at in range(len(windows))])
    return results


def columns_of(path: Path) -> dict[str, list]:
    meta, _, _, columns = pyogrio.raw.read(path)
    return {name: list(values) for name, values in zip(meta["fields"], columns, strict=True)}


@pytest.mark.parametrize("height", [1, 511, 512, 513, 1024, 2047, 2048, 2049, 2560, 3000, 4097])
@pytest.mark.parametrize("width", [1, 513])
def test_masks_of_any_size_are_written_whole(tmp_path, height, width):
    """Rows of blocks are 512 high, and tiles of earlier versions were 2,048."""
    rng = np.random.default_rng(height)
    grid = Grid(width, height, scenes.UTM50, CRS.from_epsg(32650))
    score = (rng.random((height, width)) > 0.5).astype(np.float32)
    Segmentation(Prompt.from_text("roof"), grid, score, 0.5).save(tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as written:
        assert written.shape == (height, width) and written.transform == grid.transform
        np.testing.assert_array_equal(written.read(1), score)


@pytest.mark.parametrize("top", [0, 500, 2000, 2040, 2300])
def test_a_window_across_seams_of_a_tall_scene(tmp_path, top):
    grid = Grid(300, 2600, scenes.UTM50, CRS.from_epsg(32650))
    window = Window(40, top, 200, 300)
    score = np.zeros((300, 200))
    score[3:-3, 5:-5] = 0.9
    paths = [tmp_path / "mask.tif", tmp_path / "outlines.gpkg"]
    results = write_windows(paths, grid, [(window, score)])
    expected = np.zeros(grid.shape, np.uint8)
    expected[window.toslices()] = score > 0.5
    with rasterio.open(paths[0]) as written:
        np.testing.assert_array_equal(written.read(1), expected)
    assert columns_of(paths[1])["area_px"] == [294 * 190]
    assert (results.pixels.tolist(), results.area_px) == ([294 * 190], 300 * 2600)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_click_on_a_tall_scene_and_its_result_in_memory_are_written(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (2100, 30, 3), dtype=np.uint8)
    segmenter = tiny_segmenter()
    job = SceneJob(prompts=[Point(15, 2080)], paths=[tmp_path / "a.tif"])
    with scene_from_array(pixels) as scene:
        segment_to_files(segmenter, scene, job)
    segmentation = segmenter(pixels, Point(15, 2080))
    segmentation.save(tmp_path / "b.tif")
    with rasterio.open(tmp_path / "a.tif") as one, rasterio.open(tmp_path / "b.tif") as other:
        np.testing.assert_array_equal(one.read(1), segmentation.mask)
        np.testing.assert_array_equal(other.read(1), segmentation.mask)
        assert one.tags() == other.tags()


def test_python_and_the_command_line_s_way_write_the_same(tmp_path):
    """Columns, values and tags; for a text, a question, clicks and a box."""
    scene_path = scenes.roof(tmp_path)
    segmenter = Segmenter.from_pretrained(save_tiny(tmp_path / "model"))
    for number, prompt in enumerate(("the roof", "where?", [Point(25, 33)], Box(18, 28, 33, 38))):
        paths = [tmp_path / f"{number}{suffix}" for suffix in (".tif", ".geojson", ".gpkg")]
        with open_scene(scene_path) as scene:
            segment_to_files(segmenter, scene, SceneJob(prompts=[prompt], paths=paths))
        segmentation = segmenter(scene_path, prompt)
        saved = [path.with_name(f"saved-{path.name}") for path in paths]
        for path in saved:
            segmentation.save(path)
        with rasterio.open(paths[0]) as one, rasterio.open(saved[0]) as other:
            assert one.tags() == other.tags()
            np.testing.assert_array_equal(one.read(), other.read())
        rows, saved_rows = (
            [feature["properties"] for feature in json.loads(path.read_text())["features"]]
            for path in (paths[1], saved[1])
        )
        assert rows == saved_rows
        assert [feature.properties for feature in segmentation.features()] == rows
        assert columns_of(paths[2]) == columns_of(saved[2])
        assert all(list(row) == [column.name for column in COLUMNS] for row in rows)


def test_prompts_that_overlap_keep_outlines_of_their_own(tmp_path):
    grid = Grid(100, 100, scenes.UTM50, CRS.from_epsg(32650))
    windows = [
        (Window(0, 0, 60, 60), np.ones((60, 60))),
        (Window(40, 40, 50, 50), np.ones((50, 50))),
    ]
    paths = [tmp_path / "mask.tif", tmp_path / "outlines.gpkg"]
    write_windows(paths, grid, windows, simplify_m=1.0)
    found = columns_of(paths[1])
    assert found["area_px"] == [3600, 2500]
    assert found["confidence"] == [0.5, 0.51]
    assert found["prompt"] == ["box 0, 0, 1, 1", "box 0, 0, 2, 1"]
    with rasterio.open(paths[0]) as written:
        mask = written.read(1)
    assert mask.max() == 1 and mask.sum() == 3600 + 2500 - 400


def test_an_area_limits_windows(tmp_path):
    grid = Grid(100, 100, scenes.UTM50, CRS.from_epsg(32650))
    area = Area(Window(20, 30, 40, 50), shapely.Polygon([(20, 30), (60, 30), (20, 80)]))
    windows = [
        (Window(0, 0, 100, 100), np.ones((100, 100))),
        (Window(0, 0, 10, 10), np.ones((10, 10))),  # off the area
    ]
    paths = [tmp_path / "mask.tif", tmp_path / "outlines.gpkg"]
    results = write_windows(paths, grid, windows, area=area)
    inside = area.mask(area.window)
    with rasterio.open(paths[0]) as written:
        np.testing.assert_array_equal(written.read(1), inside)
        assert written.transform == grid.for_window(area.window).transform
    assert columns_of(paths[1])["area_px"] == [inside.sum()]
    assert (results.pixels.tolist(), results.area_px) == ([inside.sum(), 0], inside.sum())


def test_small_regions_are_left_out_and_one_feature_per_prompt_holds_the_others(tmp_path):
    grid = Grid(100, 100, scenes.UTM50, CRS.from_epsg(32650))  # 0.25 m2 a pixel
    score = np.zeros((50, 50))
    score[:20, :20], score[30:34, 30:34], score[45, 45] = 0.9, 0.8, 0.7
    paths = [tmp_path / "outlines.gpkg"]
    for config, areas in (
        ({}, [16, 400]),
        ({"min_area_px": 0}, [1, 16, 400]),
        ({"min_area_m2": 5.0}, [400]),
        ({"instances": False}, [416]),
        ({"instances": False, "min_area_px": 0}, [417]),
    ):
        write_windows(paths, grid, [(Window(7, 9, 50, 50), score)], **config)
        assert sorted(columns_of(paths[0])["area_px"]) == areas
    assert columns_of(paths[0])["score"] == pytest.approx(
        [(400 * 0.9 + 16 * 0.8 + 0.7) / 417], abs=1e-4
    )


def test_regions_that_wait_on_the_disk_are_written_in_their_order(tmp_path, monkeypatch):
    grid = Grid(60, 60, scenes.UTM50, CRS.from_epsg(32650))
    windows = [(Window(at, at, 9, 9), np.ones((9, 9))) for at in range(50)]
    paths = [tmp_path / "memory.gpkg", tmp_path / "disk.gpkg"]
    write_windows(paths[:1], grid, windows)
    monkeypatch.setattr(outlines, "_SPOOL_BYTES", 100)
    monkeypatch.setattr(outlines, "_BATCH", 7)
    write_windows(paths[1:], grid, windows)
    assert columns_of(paths[0]) == columns_of(paths[1])
    assert {path.name for path in tmp_path.iterdir()} == {"memory.gpkg", "disk.gpkg"}


def test_results_without_regions_have_the_columns_too(tmp_path):
    grid = Grid(60, 60, scenes.UTM50, CRS.from_epsg(32650))
    nothing = [(Window(0, 0, 9, 9), np.zeros((9, 9)))]
    something = [(Window(0, 0, 9, 9), np.ones((9, 9)))]
    for suffix in (".gpkg", ".fgb"):
        paths = [tmp_path / f"{name}{suffix}" for name in ("nothing", "something")]
        write_windows(paths[:1], grid, nothing)
        write_windows(paths[1:], grid, something)
        empty, full = (pyogrio.read_info(path, force_feature_count=True) for path in paths)
        assert (empty["features"], full["features"]) == (0, 1)
        assert empty["fields"].tolist() == [column.name for column in COLUMNS]
        assert empty["fields"].tolist() == full["fields"].tolist()
        assert empty["dtypes"].tolist() == full["dtypes"].tolist()


def test_without_a_crs_square_metres_are_numbers_that_are_empty(tmp_path):
    write_windows(
        [tmp_path / "a.gpkg"], Grid.of_image(60, 60), [(Window(0, 0, 9, 9), np.ones((9, 9)))]
    )
    info = pyogrio.read_info(tmp_path / "a.gpkg")
    kinds = dict(zip(info["fields"].tolist(), info["dtypes"].tolist(), strict=True))
    assert kinds["area_m2"] == kinds["length_m"] == kinds["score"] == "float64"
    assert np.isnan(columns_of(tmp_path / "a.gpkg")["area_m2"]).all()
