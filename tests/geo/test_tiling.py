import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from unigeoseg.errors import OptionError
from unigeoseg.geo.tiling import TilePlan, blend_tiles, plan_tiles

side = st.integers(1, 120)


@given(side, side, st.integers(1, 50), st.data())
def test_tiles_cover_the_scene_and_stay_inside(width, height, tile, data):
    overlap = data.draw(st.integers(0, tile - 1))
    seen = np.zeros((height, width), int)
    for window in plan_tiles(width, height, tile, overlap):
        assert (window.width, window.height) == (min(tile, width), min(tile, height))
        assert window.col_off + window.width <= width
        assert window.row_off + window.height <= height
        rows, cols = window.toslices()
        seen[rows, cols] += 1
    assert seen.min() >= 1


def test_a_small_scene_is_one_window_of_its_size():
    assert plan_tiles(30, 20, 512, 64) == [Window(0, 0, 30, 20)]
    assert plan_tiles(512, 512, 512, 64) == [Window(0, 0, 512, 512)]


def test_last_tiles_are_shifted_back_to_the_edge():
    assert [window.col_off for window in plan_tiles(100, 40, 40, 10)] == [0, 30, 60]
    assert [window.col_off for window in plan_tiles(101, 40, 40, 10)] == [0, 30, 60, 61]


@pytest.mark.parametrize("overlap", [-1, 40, 41])
def test_overlap_stays_below_the_tile(overlap):
    message = rf"overlap must be >= 0 and < tile \(40\), got {overlap}"
    with pytest.raises(OptionError, match=message):
        plan_tiles(100, 100, 40, overlap)


def test_a_tile_has_a_side():
    with pytest.raises(OptionError, match="tile must be >= 1, got 0"):
        plan_tiles(100, 100, 0, 0)


def blended(plan: TilePlan, scores) -> np.ndarray:
    """Blocks of a blend in their places, each pixel once."""
    window = plan.window
    whole = np.full((window.height, window.width), np.nan, np.float32)
    for block_window, (block,) in blend_tiles(plan, (score[None] for score in scores)):
        place = block_window.toslices()
        assert np.isnan(whole[place]).all()
        whole[place] = block
    return whole


@given(st.integers(10, 80), st.integers(10, 80))
def test_blending_agreeing_tiles_gives_the_score_itself(width, height):
    truth = np.random.default_rng(0).random((height, width), np.float32)
    plan = TilePlan.of(width, height, 32, 12)
    whole = blended(plan, (truth[window.toslices()] for window in plan.windows()))
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, truth, atol=1e-5)


def test_blending_disagreeing_tiles_is_a_smooth_crossing():
    plan = TilePlan.of(60, 8, 40, 20)
    assert [window.col_off for window in plan.windows()] == [0, 20]
    row = blended(plan, [np.zeros((8, 40), np.float32), np.ones((8, 40), np.float32)])[4]
    assert row[:20].max() == 0 and row[40:].min() == 1
    assert np.abs(np.diff(row)).max() < 0.2


def test_a_single_tile_is_not_changed():
    score = np.random.default_rng(0).random((3, 4), np.float32)
    assert np.array_equal(blended(TilePlan.of(4, 3, 9, 0), [score]), score)
