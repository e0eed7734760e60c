"""The model that ships: its size, and that it does what it is for on the simplest of scenes."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from unigeoseg.model.io.store import weights_directory
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.prompt import Box, Point


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return Segmenter.from_pretrained("nano")


@pytest.fixture(scope="module")
def yard() -> tuple[np.ndarray, np.ndarray]:
    """A bright roof on rough dark ground, 300 x 400 pixels, and the roof's mask."""
    rng = np.random.default_rng(0)
    ground = np.repeat(rng.normal(80, 14, (300, 400, 1)), 3, axis=2)
    pixels = (ground + rng.normal(0, 4, ground.shape)).astype(np.uint8)
    roof = np.zeros((300, 400), bool)
    roof[120:180, 150:240] = True
    pixels[roof] = (205, 200, 190)
    return pixels, roof


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_it_is_small_and_documented():
    directory = weights_directory("nano")
    assert sum(path.stat().st_size for path in directory.iterdir()) < 60e6
    assert json.loads((directory / "config.json").read_text())["name"] == "nano"
    card = (directory / "README.md").read_text()
    for word in ("licence", "non-commercial", "cannot", "held out"):
        assert word in card.lower()
    with safe_open(directory / "model.safetensors", "pt") as weights:
        assert len(list(weights.keys())) > 100


def test_a_box_and_a_point_find_the_roof(nano: Segmenter, yard):
    pixels, roof = yard
    assert iou(nano(pixels, Box(146, 115, 246, 186)).mask, roof) > 0.8
    assert iou(nano(pixels, Point(195, 150)).mask, roof) > 0.7


def test_clicks_are_looked_at_again_at_the_scale_of_what_they_hit(nano: Segmenter, yard):
    with nano.open(yard[0]) as session:
        session.segment([Point(195, 150)])
        first, second = (view.window for view in session._encoded)
    assert (first.width, first.height) == (384, 300)
    assert second.width < 300
    assert second.col_off <= 150 and second.col_off + second.width >= 240


def test_masks_move_with_the_scene(nano: Segmenter, yard):
    pixels, _ = yard
    moved = np.roll(pixels, (40, -32), axis=(0, 1))
    here = nano(pixels, Box(146, 115, 246, 186)).mask
    there = nano(moved, Box(114, 155, 214, 226)).mask
    assert iou(np.roll(here, (40, -32), axis=(0, 1)), there) > 0.97


def test_the_answer_does_not_depend_on_the_day(nano: Segmenter, yard):
    pixels, _ = yard
    assert np.array_equal(nano(pixels, "the building").score, nano(pixels, "the building").score)


def test_data_of_16_bits_is_answered_like_8_bits(nano: Segmenter, yard, tmp_path: Path):
    pixels, roof = yard
    wide = pixels.astype(np.uint16) * 40 + 300
    assert iou(nano(wide, Box(146, 115, 246, 186)).mask, roof) > 0.8
