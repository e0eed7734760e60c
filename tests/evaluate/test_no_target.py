"""Precision and recall of "no target"."""

import numpy as np
import pytest

from unigeoseg.evaluate.metrics import Overlap
from unigeoseg.evaluate.no_target import no_target_ratios, no_target_table
from unigeoseg.evaluate.score import ScoredSample
from unigeoseg.evaluate.suites.held_out import ABSENT


def scored(family: str, truth: int, found: int) -> ScoredSample:
    both = min(truth, found)
    overlap = Overlap(both, truth + found - both)
    return ScoredSample(
        "a", "g", "referring", family, "roof", "s", "nothing", overlap, truth, 0.5, 0.1
    )


def test_no_target_by_hand():
    found = no_target_ratios(
        [
            scored(ABSENT, 0, 0),
            scored(ABSENT, 0, 0),
            scored(ABSENT, 0, 9),
            scored("category", 9, 0),
            scored("question", 9, 9),
            scored("box", 9, 0),  # a box always means something
        ]
    )
    assert (found["precision"].hits, found["precision"].samples) == (2, 3)
    assert (found["recall"].hits, found["recall"].samples) == (2, 3)
    assert found["recall"].value == pytest.approx(2 / 3)
    nothing = no_target_ratios([scored("category", 9, 9)])
    assert all(each.samples == 0 and np.isnan(each.value) for each in nothing.values())
    assert not no_target_table([scored("category", 9, 9)]).rows
