from pathlib import Path

from networks import tiny_segmenter

from unigeoseg.geo.raster import open_scene
from unigeoseg.predict.views import ViewConfig
from unigeoseg.profiling.scene import (
    SceneTiming,
    curve_table,
    draw_curve,
    scene_table,
    timing_json,
    write_synthetic_scene,
)
from unigeoseg.profiling.scene import time_scene as timed

VIEWS = ViewConfig(tile=128, overlap=32, single_view=128, smallest=64)


def test_a_made_scene_is_timed_by_stage(tmp_path: Path):
    write_synthetic_scene(tmp_path / "scene.tif", 0.16)
    with open_scene(tmp_path / "scene.tif") as scene:
        assert scene.grid.shape == (400, 400) and scene.grid.gsd_m == 0.5
    timing = timed(tiny_segmenter(VIEWS), tmp_path / "scene.tif", "the roof")
    assert timing.megapixels == 0.16
    assert all(timing.stages[stage] > 0 for stage in ("read", "encode", "decode", "blend", "write"))
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
    assert "encode" in [
        row[0] for row in scene_table(timing).rows
    ] and '"megapixels": 0.16' in timing_json(timing)


def test_a_curve_is_a_table_and_an_image(tmp_path: Path):
    timings = [SceneTiming(10.0, 5.0, {}, 900.0), SceneTiming(100.0, 40.0, {}, 910.0)]
    assert curve_table(timings).rows[-1] == ("100", "910", "40", "0.40")
    draw_curve(timings, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
