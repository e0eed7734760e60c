"""Which parts of a mask are kept."""

import numpy as np
import pytest

from unigeoseg.choice import keep_one


@pytest.fixture
def score() -> np.ndarray:
    """A large faint part, a small sure one, and a third that is neither."""
    score = np.full((12, 20), 0.1, np.float32)
    score[1:5, 1:9] = 0.6  # 32 pixels, 19.2 in all
    score[1:5, 12:18] = 0.9  # 24 pixels, 21.6 in all
    score[8:10, 3:5] = 0.8
    return score


def test_the_part_with_the_most_score_is_kept(score):
    kept = keep_one(score)
    assert (kept > 0.5).sum() == 24
    assert (kept[1:5, 12:18] == np.float32(0.9)).all()
    assert kept[2, 2] == pytest.approx(0.3)
    assert kept[11, 19] == np.float32(0.1)


def test_the_clicked_parts_are_kept_whatever_their_score(score):
    kept = keep_one(score, [(2, 2), (8, 3)])
    assert set(np.unique(kept[kept > 0.5]).tolist()) == {np.float32(0.6), np.float32(0.8)}


def test_clicks_beside_every_part_choose_none(score):
    assert np.array_equal(keep_one(score, [(11, 19)]), keep_one(score))


@pytest.mark.parametrize("level", [0.2, 0.7])
def test_a_mask_of_one_part_or_none_stays_as_it_is(level):
    score = np.full((4, 5), level, np.float32)
    assert keep_one(score) is score
