"""Visible regions, measured; what is no target and what is too small is noted."""

from patches import BUILDING, POND, patch

from unigeoseg.data.candidates.measuring import measure_candidates

BACKGROUND = 24


def test_regions_are_measured():
    scene = patch({1: (BUILDING, (10, 20, 40, 60)), 2: (POND, (20, 30, 30, 50))})
    house, pond = measure_candidates(scene, lambda rejection: None)
    assert (house.region, house.category, house.area_px) == (1, BUILDING, 1000)
    assert house.box == (10, 20, 40, 60)
    assert house.mask.sum() == 1000
    assert (pond.box, pond.centre) == ((20, 30, 30, 50), (25.0, 40.0))
    assert not house.describable


def test_what_is_dropped_is_noted():
    noted = []
    scene = patch(
        {
            1: (BACKGROUND, (0, 0, 99, 99)),
            2: (BUILDING, (100, 100, 103, 105)),
            3: (POND, (150, 150, 250, 250)),
            4: (BUILDING, (150, 150, 250, 250)),
        },
        x=64,
        y=32,
    )
    assert [rejection.region for rejection in measure_candidates(scene, noted.append)] == [4]
    assert {rejection.stage for rejection in noted} == {"candidate"}
    place = "in the patch at x 64, y 32"
    assert [
        (rejection.rule, rejection.detail, rejection.value, rejection.limit) for rejection in noted
    ] == [
        ("not_a_target", f"region 1 {place}", None, None),
        ("speck", f"region 2 {place}", 15, 16),
        ("speck", f"region 3 {place}", 0, 64),  # nothing of it is visible
    ]
