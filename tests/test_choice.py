"""Which parts of a mask are kept."""

import numpy as np
import pytest
import torch

from networks import tiny_network, tiny_processor
from unigeoseg.choice import alone, chosen, faint_parts, keep_clicked
from unigeoseg.prompt import Prompt


@pytest.fixture
def score() -> np.ndarray:
    """A large faint part, a small sure one, and a third that is neither."""
    score = np.full((12, 20), 0.02, np.float32)
    score[1:5, 1:9] = 0.6  # 32 pixels, 19.2 in all
    score[1:5, 12:18] = 0.9  # 24 pixels, 21.6 in all
    score[8:10, 3:5] = 0.8
    return score


def test_without_a_click_the_part_with_the_most_score_is_kept(score):
    kept = keep_clicked(score, [])
    assert (kept > 0.5).sum() == 24
    assert (kept[1:5, 12:18] == np.float32(0.9)).all()
    assert kept[2, 2] == pytest.approx(0.3)
    assert kept[11, 19] == np.float32(0.02)


def test_the_clicked_parts_are_kept_whatever_their_score(score):
    kept = keep_clicked(score, [(2, 2), (8, 3)])
    assert set(np.unique(kept[kept > 0.5]).tolist()) == {np.float32(0.6), np.float32(0.8)}


def test_clicks_beside_every_part_choose_none(score):
    assert np.array_equal(keep_clicked(score, [(11, 19)]), keep_clicked(score, []))


@pytest.mark.parametrize("level", [0.2, 0.7])
def test_a_mask_of_one_part_or_none_stays_as_it_is(level):
    score = np.full((4, 5), level, np.float32)
    assert keep_clicked(score, []) is score


def test_faint_parts_count_and_come_in_the_order_of_their_score(score):
    score[1:5, 1:9] = 0.2
    score[11, 0] = 0.9  # a speck
    labels = faint_parts(score)
    assert labels[2, 13] == 1
    assert labels[2, 2] == 2
    assert labels[8, 3] == 3
    assert labels.max() == 3
    assert (faint_parts(np.zeros((3, 4), np.float32)) == 0).all()


def test_a_faint_part_that_is_meant_fills_the_mask_alone(score):
    score[1:5, 1:9] = 0.2
    labels = faint_parts(score)
    kept = alone(score, labels, 2)
    assert np.array_equal(kept > 0.5, labels == 2)
    assert np.array_equal(alone(score, labels, 1) > 0.5, labels == 1)


@torch.inference_mode()
def test_only_prompts_that_mean_one_region_are_changed():
    network = tiny_network()
    prompts = tiny_processor().prompts([Prompt.from_text("the roof")] * 2, [0, 0], (64, 64))
    image = network.encode(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    output = network.decode(image, prompts)
    output.logits[:] = -4.0
    output.logits[:, 2:5, 2:5] = output.logits[:, 10:14, 8:12] = 3.0
    kept = chosen(network, image, prompts, output, [1])
    assert torch.equal(kept[0], output.logits[0])
    left = kept[1] > 0
    assert left.sum() in (9, 16)
    assert (output.logits[1] > 0).sum() == 25


@torch.inference_mode()
def test_nothing_found_stays_nothing():
    network = tiny_network()
    prompts = tiny_processor().prompts([Prompt.from_text("the roof")], [0], (64, 64))
    image = network.encode(torch.zeros(1, 3, 64, 64))
    output = network.decode(image, prompts)
    output.logits[:] = -4.0
    assert torch.equal(chosen(network, image, prompts, output, [0]), output.logits)
