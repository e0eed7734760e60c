"""What is measured of a region, on regions that stand out and regions that do not."""

import numpy as np
import pytest
from patches import BUILDING, FOREST, ROAD, patch

from unigeoseg.data.candidates.measuring import measure_candidates
from unigeoseg.data.instructions.evidence_judge import Evidence, EvidenceJudge

ROOF = (BUILDING, (50, 60, 90, 100))


def judged(rectangles, limits=None, **changes):
    scene = patch(rectangles, **changes)
    noise = np.random.default_rng(0).integers(-6, 7, scene.pixels.shape)
    scene.pixels[:] = np.clip(scene.pixels + noise, 0, 255)
    return EvidenceJudge(limits).judge(scene, measure_candidates(scene, lambda rejection: None))


def test_a_roof_on_grass_stands_out():
    (verdict,) = judged({1: ROOF}, colours={1: (220, 220, 220)})
    assert verdict.accepted
    assert verdict.scores["edge"] > 0.8
    assert verdict.scores["colour"] > 0.9
    assert verdict.scores["compact"] == pytest.approx(1, abs=0.05)
    assert verdict.scores["whole"] == verdict.scores["framed"] == 1


def test_what_looks_like_its_surroundings_is_not_accepted():
    (verdict,) = judged({1: ROOF}, colours={1: (120, 130, 90)})
    assert not verdict.accepted
    assert verdict.rule == "colour"
    assert verdict.value < verdict.limit == Evidence().colour


def test_an_object_that_is_hidden_in_the_middle_is_in_pieces():
    strips = {at: (ROAD, (50, 52 + 8 * at, 90, 54 + 8 * at)) for at in range(2, 6)}
    verdicts = judged({1: ROOF, **strips}, colours={1: (220, 220, 220)})
    assert verdicts[0].scores["whole"] < 0.5
    assert verdicts[0].rule == "whole"


def test_a_region_in_a_corner_is_cut_on_two_sides():
    (verdict,) = judged({1: (FOREST, (0, 0, 60, 60))}, Evidence(framed=0.6))
    assert (verdict.rule, verdict.value, verdict.limit) == ("framed", 0.5, 0.6)


def test_a_thin_diagonal_is_not_compact():
    corners = {at: 10 + at * 8 for at in range(1, 25)}
    steps = {at: (BUILDING, (x, x, x + 8, x + 10)) for at, x in corners.items()}
    scene = patch(steps)
    scene.regions[scene.regions > 0] = 1
    (found,) = measure_candidates(scene, lambda rejection: None)[:1]
    (verdict,) = EvidenceJudge().judge(scene, [found])
    assert verdict.scores["compact"] < 0.75


def test_a_region_that_fills_the_patch_has_no_surroundings():
    (verdict,) = judged({1: (FOREST, (0, 0, 256, 256))})
    assert verdict.rule == "framed"
    assert np.isfinite(list(verdict.scores.values())).all()


def test_nothing_gives_nothing():
    assert EvidenceJudge().judge(patch({}), []) == []
