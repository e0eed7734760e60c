"""The stages on one patch, in order."""

from dataclasses import replace

import numpy as np
import patches

from unigeoseg.data.builder.stages import PUBLISHED, Stages
from unigeoseg.data.builder.tools import offline_stages
from unigeoseg.data.instructions.protocols import Verdict
from unigeoseg.data.sources.annotated import LabelledObject, LabelledText
from unigeoseg.prompt import Task

SCENE = patches.patch(
    {
        1: (patches.BUILDING, (10, 10, 60, 60)),
        2: (patches.BUILDING, (180, 20, 210, 50)),
        3: (patches.POND, (100, 150, 170, 230)),
    }
)


class Strict:
    """Refuses what it is told to."""

    name = "strict"

    def __init__(self, *refused: object) -> None:
        self.refused = refused

    def judge(self, patch, candidates):
        return [self.say(each.region) for each in candidates]

    def score(self, patch, drafts):
        return [self.say(draft.family) for draft in drafts]

    def say(self, what: object) -> Verdict:
        if what in self.refused:
            return Verdict(False, "strictness", 0.25, 0.5)
        return Verdict(True, scores={"calm": 0.75})


def stages(judge: Strict, *scorers: Strict) -> Stages:
    return replace(offline_stages(0), judge=judge, scorers=scorers)


def test_what_the_judge_refuses_is_neither_shown_nor_described():
    noted = []
    found = list(stages(Strict(1))(SCENE, noted.append))
    drawn = [each.draft for each in found if each.draft.family in ("point", "box")]
    told = [each.draft for each in found if each.draft.family not in ("point", "box")]
    assert sorted(draft.regions for draft in drawn) == [(2,), (3,)]
    assert told and not any(draft.regions == (1,) for draft in told)
    (judged,) = [each for each in noted if each.stage == "judge"]
    assert (judged.rule, judged.value, judged.limit) == ("strictness", 0.25, 0.5)
    assert judged.detail == "region 1 in the patch at x 0, y 0"


def test_the_judge_sees_what_may_be_shown_and_not_described_too():
    """Two buildings that lie too close to be told apart are judged all the same."""
    close = patches.patch(
        {1: (patches.BUILDING, (10, 10, 60, 60)), 2: (patches.BUILDING, (65, 10, 115, 60))}
    )
    noted = []
    found = [each.draft for each in stages(Strict(1))(close, noted.append)]
    assert {draft.family for draft in found} <= {"point", "box"}
    assert [draft.regions for draft in found] == [(2,)]
    assert [each.rule for each in noted if each.stage == "judge"] == ["strictness"]


def test_a_draft_needs_every_scorer_and_keeps_the_scores_of_all():
    noted = []
    found = list(stages(Strict(), Strict(), Strict("referring"))(SCENE, noted.append))
    assert found and "referring" not in {each.draft.family for each in found}
    assert found[0].scores == {"strict/calm": 0.75}
    refused = [each for each in noted if each.stage == "score"]
    assert refused and refused[0].detail.startswith("strict: ")


def test_the_same_seed_says_the_same_and_another_does_not():
    def said(seed: int) -> list[str]:
        return [
            each.draft.prompt.instruction(256, 256)
            for each in replace(offline_stages(seed), scorers=())(SCENE, lambda _: None)
        ]

    assert said(1) == said(1)
    assert any(said(1) != said(seed) for seed in (2, 3, 4))


def test_published_instructions_go_on_as_they_are():
    target = LabelledObject(25, 20, 30, np.ones((4, 6), bool))
    texts = (
        LabelledText("the pool  behind the house", Task.REFERRING, target, 25),
        LabelledText("where is nothing?", Task.REASONING, None, 0, "nowhere"),
    )
    told = replace(SCENE, texts=texts, regions=np.zeros_like(SCENE.regions), categories={})
    one, other = (each.draft for each in offline_stages(0)(told, lambda _: None))
    assert (one.family, one.writer, one.category) == ("referring", PUBLISHED, 25)
    assert one.prompt.text == "the pool behind the house"
    assert one.mask.sum() == 24 and one.mask[30:34, 20:26].all()
    assert (other.family, other.answer) == ("attribute", "nowhere") and not other.mask.any()
