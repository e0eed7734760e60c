"""The call users learn, on tiny scenes with a tiny network."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scenes
import torch
from networks import save_tiny, tiny_segmenter
from rasterio.windows import Window

from unigeoseg.errors import (
    CheckpointNotFoundError,
    EmptyInstructionError,
    OutputExistsError,
    PromptError,
    PromptOutsideRasterError,
)
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import open_scene, scene_from_array
from unigeoseg.model.config import ConfidenceConfig
from unigeoseg.model.values import SegmentationOutput
from unigeoseg.predict.result import Segmentation
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.predict.view_predictor import ViewAnswer, pooled_confidence
from unigeoseg.predict.views import View, ViewConfig, plan_views
from unigeoseg.prompt import Box, Point, Prompt, Task


def test_a_mask_lies_on_the_scenes_grid(roof_scene: Path):
    found = tiny_segmenter()(roof_scene, "the roof")
    with open_scene(roof_scene) as scene:
        assert found.grid == scene.grid
    assert found.score.shape == (64, 64)
    assert found.score.dtype == np.float32
    assert 0 <= found.score.min() and found.score.max() <= 1
    assert 0 <= found.confidence <= 1


def test_a_directory_is_a_model(roof_scene: Path, tmp_path: Path):
    segmenter = Segmenter.from_pretrained(save_tiny(tmp_path / "model"))
    direct = tiny_segmenter()(roof_scene, "the roof").score
    # half precision on disk
    assert segmenter(roof_scene, "the roof").score == pytest.approx(direct, abs=0.02)


def test_an_unknown_model_is_refused():
    with pytest.raises(CheckpointNotFoundError, match="neither a model of ours"):
        Segmenter.from_pretrained("no-such-model")


@pytest.mark.parametrize("prompt", [Point(25, 33), Box(18, 28, 33, 38), [Point(25, 33)], "roof"])
def test_arrays_and_every_kind_of_prompt(prompt):
    pixels = np.moveaxis(scenes.roof_pixels(), 0, 2)
    assert tiny_segmenter()(pixels, prompt).mask.shape == (64, 64)


def test_a_second_prompt_reuses_the_encoded_view(roof_scene: Path):
    segmenter, calls = tiny_segmenter(), []
    segmenter.network.encoder.register_forward_hook(lambda *_: calls.append(1))
    with segmenter.open(roof_scene) as session:
        first = session.segment(["the roof"])[0]
        session.segment(["the water"])
        again = session.segment(["the roof"])[0]
    assert len(calls) == 1
    assert np.array_equal(first.score, again.score)


def test_prompts_together_give_what_they_give_alone(roof_scene: Path):
    segmenter = tiny_segmenter()
    prompts = ["the roof", Point(25, 33), "where could boats float ?"]
    with segmenter.open(roof_scene) as session:
        together = session.segment(prompts)
    for prompt, found in zip(prompts, together, strict=True):
        assert segmenter(roof_scene, prompt).score == pytest.approx(found.score, abs=1e-5)


def test_a_large_scene_is_covered_by_tiles():
    views = ViewConfig(tile=64, overlap=16, single_view=64, smallest=64)
    pixels = np.random.default_rng(0).integers(0, 255, (150, 100, 3), dtype=np.uint8)
    steps = []
    found = tiny_segmenter(views)(pixels, "the roof", progress=lambda *step: steps.append(step))
    assert steps == [(number, 6) for number in range(1, 7)]
    assert (found.score > 0).all()


def test_a_window_round_a_prompt_stays_in_the_scene():
    grid = Grid.of_image(1000, 600)
    config = ViewConfig()
    for prompt in (
        Prompt.from_points([Point(2, 2)]),
        Prompt.from_points([Point(2, 2), Point(900, 500)]),
        Prompt.from_box(Box(950, 550, 999, 599)),
        Prompt.from_box(Box(0, 0, 1000, 600)),
    ):
        (view,) = plan_views(prompt, grid, config)
        window = view.window
        assert 0 <= window.col_off and window.col_off + window.width <= 1000
        assert 0 <= window.row_off and window.row_off + window.height <= 600
        for point in prompt.points:
            assert window.col_off <= point.x < window.col_off + window.width
        assert view.shape[0] % 32 == 0 and view.shape[1] % 32 == 0


def test_a_box_decides_the_scale_of_its_window():
    grid = Grid.of_image(4000, 4000)
    config = ViewConfig(box_margin=2.0, click=256)
    small, large = (
        plan_views(Prompt.from_box(Box(2000, 2000, 2000 + side, 2000 + side)), grid, config)[0]
        for side in (100, 1000)
    )
    assert (small.window.width, large.window.width) == (200, 2000)
    assert small.shape == large.shape == (256, 256)


def test_nodata_is_in_no_mask(four_band_scene: Path):
    found = tiny_segmenter()(four_band_scene, "the roof")
    assert (found.score[:8, :8] == 0).all()
    assert (found.score[20:, 20:] > 0).all()


def test_prompts_off_the_scene_are_refused(roof_scene: Path):
    segmenter = tiny_segmenter()
    with pytest.raises(PromptOutsideRasterError, match="64 x 64"):
        segmenter(roof_scene, Point(64, 3))
    with pytest.raises(EmptyInstructionError, match="empty"):
        segmenter(roof_scene, "  ")
    with pytest.raises(PromptError, match="got int"):
        segmenter(roof_scene, 3)
    with pytest.raises(PromptError, match="no prompt"), segmenter.open(roof_scene) as session:
        session.segment([])


def two_regions(grid: Grid) -> Segmentation:
    score = np.zeros((64, 64), np.float32)
    score[10:20, 10:30] = 0.9
    score[40:44, 40:44] = 0.7
    return Segmentation(Prompt.from_text("the roof"), grid, score, confidence=0.8)


def test_features_are_measured_in_the_scenes_units(roof_scene: Path):
    with open_scene(roof_scene) as scene:
        features = two_regions(scene.grid).features()
    assert [feature.properties["area_px"] for feature in features] == [200, 16]
    assert [feature.properties["area_m2"] for feature in features] == [50.0, 4.0]
    assert features[0].properties["score"] == pytest.approx(0.9, abs=1e-4)
    assert features[0].geometry.bounds == (500_005, 4_399_990, 500_015, 4_399_995)


def test_save_by_suffix(roof_scene: Path, tmp_path: Path):
    with open_scene(roof_scene) as scene:
        found = two_regions(scene.grid)
    found.save(tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as written, rasterio.open(roof_scene) as source:
        assert written.transform == source.transform and written.crs == source.crs
        assert np.array_equal(written.read(1), found.mask)
    found.save(tmp_path / "regions.geojson")
    collection = json.loads((tmp_path / "regions.geojson").read_text())
    assert len(collection["features"]) == 2
    with pytest.raises(OutputExistsError, match="exists"):
        found.save(tmp_path / "mask.tif")
    found.save(tmp_path / "mask.tif", overwrite=True)


def test_the_same_place_is_the_same_in_a_window_and_a_scene(roof_scene: Path):
    with open_scene(roof_scene) as scene:
        part = scene.read(Window(10, 10, 40, 40))
        whole = scene.read()
    assert np.array_equal(part.array, whole.array[:, 10:50, 10:50])


def test_confidence_is_by_task_and_of_an_empty_mask_that_nothing_is_there():
    segmenter, view = tiny_segmenter(), View(Window(0, 0, 32, 32), (32, 32))
    prompts = [Prompt.from_box(Box(2, 2, 9, 9)), Prompt.from_text("roof", Task.REFERRING)]
    prompts += [Prompt.from_text("where could boats float ?", Task.REASONING), prompts[1]]
    logits = torch.full((4, 8, 8), 5.0)
    logits[3] = -5
    sure = torch.tensor([1.0, 1.0, 1.0, -2.0])
    output = SegmentationOutput(logits, (), sure, -torch.ones(4), torch.zeros(4, 1, 1), None)
    valid = np.ones((32, 32), bool)
    config = ConfidenceConfig(referring=(0.5, 1.0), reasoning=(0.0, -1.0), nothing=(-2.0, -1.0))

    def confidences(valid: np.ndarray) -> list[float]:
        return segmenter.scores(output, view, valid, prompts)[1]

    plain = [0.731059, 0.731059, 0.731059, 0.880797]  # sigmoid of 1, and of 2
    assert confidences(valid) == pytest.approx(plain, abs=1e-6)
    segmenter.network.config = replace(segmenter.network.config, confidence=config)
    lines = [0.731059, 0.817574, 0.268941, 0.952574]  # sigmoid of 1, 1.5, -1 and 3
    assert confidences(valid) == pytest.approx(lines, abs=1e-6)
    # masks are empty where there is no data: sigmoid of -3
    assert confidences(~valid) == pytest.approx([0.047426] * 3 + [0.952574], abs=1e-6)


def test_one_part_is_kept_where_one_region_is_meant_and_all_of_the_scene_is_seen(monkeypatch):
    segmenter, view = tiny_segmenter(), View(Window(0, 0, 32, 32), (32, 32))
    logits = torch.full((1, 8, 8), -5.0)
    logits[0, 1:3, 1:3], logits[0, 5:7, 4:7] = 5, 5
    features = segmenter.encode(np.zeros((1, 3, 32, 32), np.uint8))

    def areas(prompt: Prompt, one: float, side: int = 32) -> int:
        said = SegmentationOutput(
            logits, (), torch.zeros(1), torch.tensor([one]), torch.zeros(1, 1, 1), None
        )
        monkeypatch.setattr(segmenter.network, "decode", lambda *_: said)
        grid = scene_from_array(np.zeros((side, side, 3), np.uint8)).grid
        output = segmenter.decode(features, view, [prompt], grid)
        ((score,), _) = segmenter.scores(output, view, np.ones((32, 32), bool), [prompt])
        return int((score > 0.5).sum())

    text, click = Prompt.from_text("the largest roof"), Prompt.from_points([Point(7.5, 7.5)])
    assert 0 < areas(text, 1) < areas(text, -1)
    assert 0 < areas(click, 1) < areas(text, -1)
    assert areas(text, 1, side=64) == areas(text, -1)  # another tile may hold what is meant
    assert areas(click, 1, side=64) == areas(click, 1)


def test_several_looks_have_one_confidence():
    view = View(Window(0, 0, 32, 32), (32, 32))

    def pooled(*looks: tuple[float, int]) -> float:
        return pooled_confidence([ViewAnswer(view, *look) for look in looks])

    assert pooled((0.9, 0), (0.4, 30), (0.8, 10)) == pytest.approx(0.5)
    assert pooled((0.9, 0), (0.6, 0)) == 0.6
    assert pooled() == 0
