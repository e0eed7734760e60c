"""The two scorers: one finds faults in words, the other in what is selected."""

from dataclasses import replace

import numpy as np
import pytest
from patches import BUILDING, ROAD, patch

from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.instructions.scorers import SceneScorer, TextScorer
from unigeoseg.prompt import Point, Prompt, Task

TOWN = {
    1: (ROAD, (0, 120, 256, 136)),
    2: (BUILDING, (20, 20, 60, 60)),
    3: (BUILDING, (100, 68, 150, 118)),
}
GOOD = "the larger of the two buildings in the upper part, next to the road"


def draft(text=GOOD, task=Task.REFERRING, **changes) -> Draft:
    good = Draft(
        family="referring",
        prompt=Prompt.from_text(text, task),
        regions=(3,),
        mask=patch(TOWN).regions == 3,
        category=BUILDING,
        writer="made",
        program="(program 1 (largest (category 25)))",
    )
    return replace(good, **changes)


@pytest.mark.parametrize(
    ("text", "task", "rule"),
    [
        (GOOD, Task.REFERRING, ""),
        ("the road", Task.REFERRING, "complex"),
        ("a " + "very large " * 20 + "building", Task.REFERRING, "concise"),
        ("the larger of the the two buildings on the left", Task.REFERRING, "clear"),
        (
            "Which of the buildings here would keep people dry?",
            Task.REASONING,
            "implicit",
        ),
        (
            "Which of the right-angled shapes here would keep people dry?",
            Task.REASONING,
            "",
        ),
    ],
)
def test_words(text, task, rule):
    (verdict,) = TextScorer().score(patch(TOWN), [draft(text, task)])
    assert verdict.rule == rule
    assert verdict.accepted == (not rule)
    assert all(0 <= score <= 1 for score in verdict.scores.values())


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, ""),
        ({"program": ""}, ""),
        ({"program": "(program 1 (smallest (category 25)))"}, "consistent"),
        ({"program": "(program 1 (only (category 25)))"}, "consistent"),
        ({"program": "(program 1"}, "consistent"),
        ({"program": "(program 1 (category 9999))"}, "consistent"),
        ({"regions": (2,)}, "consistent"),
        ({"mask": np.zeros((256, 256), bool)}, "consistent"),
    ],
)
def test_scene(changes, rule):
    (verdict,) = SceneScorer().score(patch(TOWN), [draft(**changes)])
    assert verdict.rule == rule
    assert verdict.accepted == (not rule)


def test_what_shows_no_longer_from_afar_is_not_unique_enough():
    # 16 pixels of a car are seen, 4 are not: from afar another car is the only one
    scene = patch({1: (63, (10, 10, 14, 14)), 2: (63, (100, 100, 110, 110))})
    program = "(program 1 (smallest (category 63)))"
    near = draft(program=program, regions=(1,), mask=scene.regions == 1, category=63)
    (verdict,) = SceneScorer().score(scene, [near])
    assert verdict.scores["unique"] == 0.5
    assert verdict.rule == "visible"


def test_points_have_no_words():
    pointed = draft(prompt=Prompt.from_points([Point(120, 90)]), family="point", program="")
    assert TextScorer().score(patch(TOWN), [pointed])[0].accepted
    assert SceneScorer().score(patch(TOWN), [pointed])[0].accepted
