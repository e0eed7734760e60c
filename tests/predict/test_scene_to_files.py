"""Whole scenes by text, with a tiny network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scenes
import shapely
import torch
from networks import tiny_segmenter
from rasterio.windows import Window

from unigeoseg.errors import PromptError
from unigeoseg.geo.area import Area
from unigeoseg.geo.raster import open_scene, scene_from_array
from unigeoseg.geo.stretch import Stretch
from unigeoseg.model.config import ConfidenceConfig
from unigeoseg.predict.region_selection import Focus
from unigeoseg.predict.scene_to_files import SceneJob, segment_to_files
from unigeoseg.predict.views import ViewConfig
from unigeoseg.prompt import Point, Prompt
from unigeoseg.runtime.stage_clock import StageClock

VIEWS = ViewConfig(tile=64, overlap=16, single_view=64, smallest=64)
TEXT = Prompt.from_text("the roof")


def mosaic(folder: Path) -> Path:
    """250 x 230 pixels of 16 bits, some without data."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(100, 4000, (3, 230, 250)).astype(np.uint16)
    pixels[:, :30, :30] = 0
    return scenes.write(
        folder / "mosaic.tif", pixels, crs="EPSG:32650", transform=scenes.UTM50, nodata=0
    )


def cut(mosaic: Path, name: str, window: Window) -> Path:
    with rasterio.open(mosaic) as source, open_scene(mosaic) as scene:
        grid = scene.grid.for_window(window)
        return scenes.write(
            mosaic.with_name(name),
            source.read(window=window),
            crs=grid.crs,
            transform=grid.transform,
            nodata=0,
        )


def threshold_at(path: Path) -> float:
    """A threshold that splits the scores of a network that was not trained."""
    with open_scene(path) as scene, tiny_segmenter(VIEWS).open(scene) as session:
        return float(np.median(session.segment([TEXT])[0].score))


def mask_of(path: Path, options: dict, stretch: Stretch | None = None) -> np.ndarray:
    out = path.with_suffix(".mask.tif")
    with open_scene(path, stretch=stretch) as scene:
        segment_to_files(
            tiny_segmenter(VIEWS), scene, SceneJob(prompts=[TEXT], paths=[out], **options)
        )
    with rasterio.open(out) as written:
        return written.read(1)


def outputs_at(threshold: float):
    from unigeoseg.predict.output.spec import OutputConfig

    return {"outputs": OutputConfig(threshold=threshold)}


def test_a_stream_gives_the_mask_that_memory_gives(tmp_path):
    path = mosaic(tmp_path)
    at = threshold_at(path)
    with open_scene(path) as scene, tiny_segmenter(VIEWS).open(scene) as session:
        (in_memory,) = session.segment([TEXT])
    streamed = mask_of(path, outputs_at(at))
    # one blending: the very same scores
    np.testing.assert_array_equal(streamed, in_memory.score > at)
    assert 0.2 < streamed.mean() < 0.8
    assert not streamed[:20, :20].any()


def singular(network) -> None:
    """Let a network take every text to mean one region."""
    with torch.no_grad():
        network.one.logit.bias.fill_(1e3)


def test_one_region_of_many_tiles_is_chosen_from_afar(tmp_path):
    path, segmenter = mosaic(tmp_path), tiny_segmenter(VIEWS)
    with open_scene(path) as scene:
        assert segmenter.focus(scene, [TEXT]) == {}  # it means all
        singular(segmenter.network)
        focus = Focus(np.zeros((4, 5), bool), scene.grid.shape)
        focus.land[1, 2] = True
        segmenter.focus = lambda *_: {0: focus}
        with segmenter.open(scene) as session:
            (in_memory,) = session.segment([TEXT])
        out = tmp_path / "one.tif"
        segment_to_files(segmenter, scene, SceneJob(prompts=[TEXT], paths=[out], **outputs_at(0.5)))
    inside = np.zeros(in_memory.score.shape, bool)
    inside[57:115, 100:150] = True  # 230 x 250 pixels in 4 x 5 cells
    assert in_memory.mask.any() and not in_memory.mask[~inside].any()
    with rasterio.open(out) as written:
        assert np.array_equal(written.read(1), in_memory.mask)


def test_a_scene_is_seen_whole_to_choose(tmp_path):
    segmenter = tiny_segmenter(VIEWS)
    singular(segmenter.network)
    decode = segmenter.network.decode
    with open_scene(mosaic(tmp_path)) as scene:

        def two_parts(features, inputs):
            output = decode(features, inputs)
            output.logits[:] = -5
            output.logits[:, 1:3, 1:3], output.logits[:, 8:12, 8:12] = 5, 5
            return output

        segmenter.network.decode = two_parts
        click = Prompt.from_points([Point(3, 3)])
        focus = segmenter.focus(scene, [click, TEXT])
        assert list(focus) == [1]
        assert focus[1].shape == scene.grid.shape and focus[1].land.any()
        assert focus[1].land[1, 1] != focus[1].land[9, 9]


def test_two_extents_agree_exactly_where_both_are(tmp_path):
    """The same place gives the same mask: files cut apart, with the mosaic's stretch."""
    path = mosaic(tmp_path)
    at = threshold_at(path)
    with open_scene(path) as scene:
        stretch = scene.stretch
    parts = [Window(0, 0, 190, 230), Window(43, 10, 207, 220)]
    one, two = (
        mask_of(cut(path, f"part{number}.tif", window), outputs_at(at), stretch)
        for number, window in enumerate(parts)
    )
    margin = 64  # what tiles at a border see
    common = Window(43 + margin, 10 + margin, 190 - 43 - 2 * margin, 220 - 2 * margin)
    first = one[common.toslices()]
    second = two[common.row_off - 10 :, common.col_off - 43 :][: common.height, : common.width]
    np.testing.assert_array_equal(first, second)
    assert first.size > 1500 and 0.1 < first.mean() < 0.9


def test_two_areas_of_a_scene_agree_exactly(tmp_path):
    path = mosaic(tmp_path)
    options = outputs_at(threshold_at(path))
    whole = mask_of(path, options)
    for window in (Window(20, 30, 100, 90), Window(77, 61, 150, 120)):
        part = mask_of(path, options | {"area": Area(window)})
        np.testing.assert_array_equal(part, whole[window.toslices()])


def test_the_share_is_of_the_area_itself(tmp_path):
    area = Area(Window(20, 30, 100, 90), shapely.Polygon([(20, 30), (120, 30), (20, 120)]))
    with open_scene(mosaic(tmp_path)) as scene:
        job = SceneJob(prompts=[TEXT], paths=[tmp_path / "out.tif"], area=area, **outputs_at(0.0))
        (summary,) = segment_to_files(tiny_segmenter(VIEWS), scene, job)
    assert summary.share == 1


def test_an_area_of_a_small_scene_chooses_no_region(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "unigeoseg.predict.view_predictor.means_one_region", lambda *_: asked.append(1) or []
    )
    with scene_from_array(np.full((60, 60, 3), 90, np.uint8)) as scene:
        for area, calls in ((None, 1), (Area(Window(0, 0, 30, 30)), 1)):
            job = SceneJob(prompts=[TEXT], paths=[tmp_path / f"{area is None}.tif"], area=area)
            segment_to_files(tiny_segmenter(VIEWS), scene, job)
            assert len(asked) == calls


def test_the_stretch_is_kept_in_the_tags_and_read_back(tmp_path):
    path = mosaic(tmp_path)
    with open_scene(path) as scene:
        stretch = scene.stretch
    mask_of(path, {})
    with rasterio.open(path.with_suffix(".mask.tif")) as written:
        tags = written.tags()
    assert Stretch.from_tags(tags) == stretch
    assert tags["LABEL_1"] == "the roof"


def test_classes_are_labels_of_one_map(tmp_path):
    path, out = mosaic(tmp_path), tmp_path / "classes.tif"
    prompts = [Prompt.from_text(name) for name in ("roof", "water", "road")]
    job = SceneJob(prompts=prompts, paths=[out], classes=True, **outputs_at(0.0))
    with open_scene(path) as scene:
        summaries = segment_to_files(tiny_segmenter(VIEWS), scene, job)
    with rasterio.open(out) as written:
        labels = written.read(1)
        assert [written.tags()[f"LABEL_{n}"] for n in (1, 2, 3)] == ["roof", "water", "road"]
    assert [summary.entry.name for summary in summaries] == ["roof", "water", "road"]
    assert sum(summary.share for summary in summaries) == pytest.approx((labels > 0).mean())


def test_tiles_without_data_are_not_looked_at(tmp_path):
    pixels = np.zeros((230, 250), np.float32)
    pixels[:] = np.nan
    pixels[100:140, 100:140] = 3.0
    segmenter, calls = tiny_segmenter(VIEWS), []
    segmenter.network.encoder.register_forward_hook(lambda *_: calls.append(1))
    clock = StageClock()
    with scene_from_array(pixels) as scene:
        job = SceneJob(prompts=[TEXT], paths=[tmp_path / "out.tif"])
        segment_to_files(segmenter, scene, job, clock=clock)
    assert 0 < len(calls) <= 4 + 1  # the words are read once without a scene
    assert clock.seconds["encode"] > 0 and clock.seconds["read"] > 0


def test_jobs_that_cannot_be_done_are_refused():
    with pytest.raises(PromptError, match="both texts and points or boxes"):
        SceneJob(prompts=[TEXT, Prompt.from_points([Point(1, 1)])], paths=[])
    with pytest.raises(PromptError, match="no prompt was given"):
        SceneJob(prompts=[], paths=[])
    with pytest.raises(PromptError, match="got 256 texts"):
        SceneJob(prompts=[f"roof {number}" for number in range(256)], paths=[])


def test_a_stream_is_as_confident_as_memory(tmp_path):
    path, segmenter = mosaic(tmp_path), tiny_segmenter(VIEWS)
    lines = ConfidenceConfig(referring=(0.5, 1.0), nothing=(-3.0, 2.0))
    segmenter.network.config = replace(segmenter.network.config, confidence=lines)
    with open_scene(path) as scene, segmenter.open(scene) as session:
        (kept,) = session.segment([TEXT])
        (streamed,) = segment_to_files(
            segmenter, scene, SceneJob(prompts=[TEXT], paths=[tmp_path / "m.tif"])
        )
    assert streamed.confidence == pytest.approx(kept.confidence, abs=1e-4)
