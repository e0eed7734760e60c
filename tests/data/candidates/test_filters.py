"""The five rules of the paper, at their limits."""

import numpy as np
import pytest
from patches import BUILDING, CAR, POND, ROAD, WATER, patch

from unigeoseg.data.candidates.filters import FilterRules, filter_candidates
from unigeoseg.data.candidates.measuring import measure_candidates

VEHICLE = 229


def filtered(rectangles, rules=None, seed=0, **changes):
    """Region ids that are kept, those that are described, and the broken rules per region."""
    scene, noted = patch(rectangles, **changes), []
    measured = measure_candidates(scene, lambda rejection: None)
    left = filter_candidates(scene, measured, np.random.default_rng(seed), noted.append, rules)
    return (
        [candidate.region for candidate in left],
        [candidate.region for candidate in left if candidate.describable],
        {int(candidate.detail.split()[1]): candidate.rule for candidate in noted},
    )


@pytest.mark.parametrize(("width", "rule"), [(32, "least_share"), (33, None)])
def test_smallest_share(width, rule):
    _, _, noted = filtered({1: (BUILDING, (50, 50, 50 + width, 60))})  # 0.5 % are 327.7 pixels
    assert noted.get(1) == rule


@pytest.mark.parametrize(("height", "rule"), [(179, None), (180, "most_share")])
def test_largest_share(height, rule):
    regions, _, noted = filtered({1: (WATER, (0, 0, 256, height))})
    assert noted.get(1) == rule
    assert regions == ([] if rule else [1])


@pytest.mark.parametrize(("gap", "near"), [(14, True), (15, True), (16, False)])
def test_others_of_a_category_lie_farther_than_15_px(gap, near):
    # pixel centres of neighbours with `gap - 1` pixels between them are `gap` apart
    pair = {1: (BUILDING, (10, 10, 60, 60)), 2: (BUILDING, (59 + gap, 10, 109 + gap, 60))}
    regions, described, noted = filtered(pair)
    assert regions == [1, 2]
    assert described == ([] if near else [1, 2])
    assert noted == ({1: "apart_px", 2: "apart_px"} if near else {})


def many(count: int) -> dict:
    return {
        key + 1: (BUILDING, (x := 85 * (key % 3), y := 85 * (key // 3), x + 40, y + 40))
        for key in range(count)
    }


def test_at_most_six_of_a_category_and_two_are_described():
    regions, described, noted = filtered(many(7))
    assert (len(regions), described) == (7, [])
    assert set(noted.values()) == {"most_alike"}
    regions, described, noted = filtered(many(6))
    assert (len(regions), len(described)) == (6, 2)
    assert list(noted.values()) == ["per_category"] * 4
    samples = {tuple(filtered(many(6), seed=seed)[1]) for seed in range(12)}
    assert len(samples) > 3  # another two each time


def test_kin_count_as_one_category():
    pair = {
        1: (CAR, (10, 10, 60, 60)),
        2: (VEHICLE, (62, 10, 112, 60)),
        3: (ROAD, (0, 70, 256, 80)),
    }
    _, described, noted = filtered(pair)
    assert noted == {1: "apart_px", 2: "apart_px"}
    assert described == [3]


def test_limits_are_the_callers():
    _, described, _ = filtered(many(7), FilterRules(most_alike=7, per_category=3))
    assert len(described) == 3
    assert filtered({1: (POND, (50, 50, 60, 60))}, FilterRules(least_share=0))[0] == [1]


def test_a_value_and_its_limit_are_noted():
    noted = []
    scene = patch({1: (BUILDING, (50, 50, 60, 60))})
    measured = measure_candidates(scene, noted.append)
    assert filter_candidates(scene, measured, np.random.default_rng(0), noted.append) == []
    (rejection,) = noted
    assert (rejection.stage, rejection.value, rejection.limit) == ("rule", 100 / 256**2, 0.005)
