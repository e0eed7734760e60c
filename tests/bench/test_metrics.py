"""The metrics' definitions, and what must not change them."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigeoseg.bench.metrics import Overlap, Scores, overlap

OVERLAPS = st.lists(
    st.integers(0, 50).flatmap(
        lambda union: st.builds(Overlap, st.integers(0, union), st.just(union))
    ),
    min_size=1,
    max_size=30,
)


def square(x0: int, x1: int) -> np.ndarray:
    mask = np.zeros((10, 10), bool)
    mask[:, x0:x1] = True
    return mask


def test_by_hand():
    scores = Scores.of([overlap(square(0, 4), square(2, 6)), overlap(square(0, 5), square(0, 5))])
    assert scores.giou == pytest.approx((20 / 60 + 1) / 2)
    assert scores.ciou == pytest.approx(70 / 110)
    assert scores.precision_at(0.5) == 0.5


def test_empty_masks():
    empty = square(0, 0)
    assert overlap(empty, empty).iou == 1
    assert overlap(empty, square(0, 2)).iou == overlap(square(0, 2), empty).iou == 0
    assert Scores.of([overlap(empty, empty)]).ciou == 1


def test_precision_is_strict():
    assert Scores.of([Overlap(1, 2)]).precision_at(0.5) == 0


def test_only_valid_pixels_count():
    valid = square(0, 4)
    assert overlap(square(0, 4), square(2, 6), valid) == Overlap(20, 40)
    with pytest.raises(ValueError, match="must be equal"):
        overlap(square(0, 4), np.zeros((3, 3), bool))


@given(OVERLAPS, st.randoms(use_true_random=False))
def test_order_and_batches_do_not_matter(overlaps: list[Overlap], rng: random.Random):
    whole = Scores.of(overlaps)
    shuffled = rng.sample(overlaps, len(overlaps))
    cut = rng.randint(0, len(overlaps))
    parts = Scores.of(shuffled[:cut]) + Scores.of(shuffled[cut:])
    for threshold in (0.5, 0.7, 0.9):
        assert parts.precision_at(threshold) == whole.precision_at(threshold)
    assert (parts.giou, parts.ciou) == (whole.giou, whole.ciou)
    assert 0 <= whole.giou <= 1


def test_the_interval_holds_the_mean_and_repeats():
    scores = Scores.of([Overlap(index % 7, 7) for index in range(100)])
    low, high = scores.giou_interval()
    assert low < scores.giou < high
    assert (low, high) == scores.giou_interval()
