"""Which parts of a mask are kept."""

import numpy as np
import pytest
import torch
from networks import tiny_network, tiny_processor
from rasterio.windows import Window

from unigeoseg.predict.region_selection import (
    Choice,
    Focus,
    choose_regions,
    faint_parts,
    keep_clicked,
    with_choices,
)
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
    assert np.array_equal(kept > 0.5, score == np.float32(0.9))
    assert kept[11, 19] < 0.1


def test_the_clicked_parts_are_kept_whatever_their_score(score):
    kept = keep_clicked(score, [(2, 2), (8, 3)])
    assert np.array_equal(kept > 0.5, np.isin(score, np.float32([0.6, 0.8])))


def test_clicks_beside_every_part_choose_none(score):
    assert np.array_equal(keep_clicked(score, [(11, 19)]), keep_clicked(score, []))


def test_a_part_ends_at_a_share_of_its_own_high_scores(score):
    score[5, 12:18] = 0.4  # a rim of the part that is kept
    score[5, 1:9] = 0.4  # of one that is not
    kept = keep_clicked(score, []) > 0.5
    assert kept[1:6, 12:18].all() and kept.sum() == 30
    score[5, 12:18] = 0.3
    assert (keep_clicked(score, []) > 0.5).sum() == 24


def test_a_mask_without_parts_stays_as_it_is():
    score = np.full((4, 5), 0.2, np.float32)
    assert keep_clicked(score, [(1, 1)]) is score


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
    for part in (1, 2, 3):
        assert np.array_equal(Choice(score, labels, part).isolated_score() > 0.5, labels == part)


def test_a_territory_ends_where_another_part_is_nearer(score):
    labels = faint_parts(score)
    assert np.array_equal(np.unique(labels), [0, 1, 2, 3])
    lands = [Choice(score, labels, part).territory() for part in (1, 2, 3)]
    for part, land in enumerate(lands, start=1):
        assert land[labels == part].all()
        assert not land[(labels != part) & (labels > 0)].any()
    assert (sum(lands) <= 1).all()
    assert lands[0][2, 11] and not lands[0][2, 9]  # two cells from it; one from another
    one = np.where(labels == 3, labels - 2, 0)
    assert Choice(score, one, 1).territory().sum() == 24  # 2 x 2, and what is within two cells


def test_a_focus_keeps_what_lies_on_its_land():
    land = np.array([[False, True], [False, False], [False, False]])
    kept = Focus(land, (30, 40)).keep(np.full((6, 20), 0.8, np.float32), Window(10, 8, 20, 6))
    expected = np.zeros((6, 20), bool)
    expected[:2, 10:] = True
    assert np.array_equal(kept > 0.5, expected)
    assert np.unique(kept).tolist() == pytest.approx([0.4, 0.8])


def answered(count: int):
    """What `choose_regions` takes, of so many prompts, with nothing found yet."""
    network = tiny_network()
    texts = [Prompt.from_text("the roof")] * count
    prompts = tiny_processor().prompts(texts, [0] * count, (64, 64))
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        image = network.encode(noise)
        output = network.decode(image, prompts)
        output.logits[:] = -4.0
    return network, image, prompts, output


@torch.inference_mode()
def test_only_prompts_that_mean_one_region_are_changed():
    *_, output = given = answered(2)
    output.logits[:, 2:5, 2:5] = output.logits[:, 10:14, 8:12] = 3.0
    kept = with_choices(output.logits, choose_regions(*given, [1]))
    assert torch.equal(kept[0], output.logits[0])
    left = kept[1] > 0
    assert left.sum() in (9, 16)
    assert (output.logits[1] > 0).sum() == 25


@torch.inference_mode()
def test_nothing_found_stays_nothing():
    *_, output = given = answered(1)
    output.logits[:, 2:5, 2:5] = -0.1  # faint
    assert choose_regions(*given, [0]) == {}


@torch.inference_mode()
def test_a_mask_of_one_cell_is_no_part_and_stays():
    *_, output = given = answered(1)
    output.logits[:, 5, 5] = 3.0
    assert choose_regions(*given, [0]) == {}
