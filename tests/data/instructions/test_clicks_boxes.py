"""Points lie on the region, in the paper's numbers; the box is tight."""

from collections import Counter

import numpy as np
import pytest
from patches import BUILDING, patch

from unigeoseg.data.candidates.measuring import measure_candidates
from unigeoseg.data.instructions.clicks_boxes import box_draft, point_draft
from unigeoseg.prompt import Box


def target(width: int):
    (found,) = measure_candidates(
        patch({1: (BUILDING, (10, 20, 10 + width, 30))}), lambda rejection: None
    )
    return found


def test_points_are_distinct_pixel_centres_of_the_region():
    region = target(40)
    counts = Counter()
    for seed in range(600):
        draft = point_draft(region, np.random.default_rng(seed))
        places = {(point.x, point.y) for point in draft.prompt.points}
        counts[len(places)] += 1
        assert len(places) == len(draft.prompt.points)
        assert all(region.mask[int(y), int(x)] and x % 1 == y % 1 == 0.5 for x, y in places)
    assert [counts[number] / 600 for number in (1, 2, 3)] == pytest.approx(
        [0.6, 0.2, 0.2], abs=0.06
    )
    assert draft.prompt.instruction(256, 256).startswith("Please segment")


def test_small_regions_get_one_point():
    drawn = [point_draft(target(19), np.random.default_rng(seed)) for seed in range(40)]
    assert {len(draft.prompt.points) for draft in drawn} == {1}


def test_box():
    draft = box_draft(target(40))
    assert draft.prompt.box == Box(10, 20, 50, 30)
    assert (draft.family, draft.regions) == ("box", (1,))
    assert draft.mask.sum() == 400
