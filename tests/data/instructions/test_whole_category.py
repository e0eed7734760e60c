"""Instructions for all of a category."""

import numpy as np
import pytest

from unigeoseg.data.instructions import whole_category
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.taxonomy.categories import category_by_name, leaked_word, taxonomy
from unigeoseg.data.taxonomy.wording import find_leak
from unigeoseg.prompt import Prompt, Task

BUILDING, AIRPLANE, WATER = (
    category_by_name(name).id for name in ("building", "airplane", "water")
)


def patch_of(unknown: bool = False, labelled=(BUILDING, AIRPLANE)) -> Patch:
    regions = np.zeros((64, 64), np.uint16)
    regions[4:20, 4:20], regions[40:60, 30:50] = 1, 2
    regions[30:36, :] = 3
    if unknown:
        regions[62:] = UNKNOWN_REGION
    return Patch(
        source="town",
        key="a.png",
        x=0,
        y=0,
        group="town/a",
        licence="made by the tests",
        gsd_m=None,
        grid=None,
        pixels=np.zeros((64, 64, 3), np.uint8),
        regions=regions,
        categories={1: BUILDING, 2: BUILDING, 3: WATER},
        labelled=frozenset(labelled),
    )


def test_only_what_is_labelled_wherever_it_occurs_has_a_whole():
    assert whole_category.whole_categories(patch_of()) == [BUILDING]
    assert whole_category.whole_categories(patch_of(labelled=(BUILDING, WATER))) == sorted(
        [BUILDING, WATER]
    )


def test_what_is_certainly_missing():
    assert whole_category.missing_categories(patch_of()) == [AIRPLANE]
    ship = category_by_name("ship").id
    assert whole_category.missing_categories(patch_of(), never=(ship,)) == sorted([AIRPLANE, ship])
    assert whole_category.missing_categories(patch_of(unknown=True)) == []


def test_what_a_source_never_shows_is_a_target_that_can_be_asked_for():
    assert whole_category.never_shown("town") == ()
    for source, names in whole_category.NEVER_SHOWN.items():
        never = whole_category.never_shown(source)
        assert len(never) == len(names) == len(set(never)), source
        assert all(taxonomy()[category].target for category in never), source


def test_a_name_means_all_of_it():
    rng = np.random.default_rng(0)
    drafts = [whole_category.name_draft(patch_of(), BUILDING, rng) for _ in range(30)]
    assert all(draft.regions == (1, 2) and draft.mask.sum() == 256 + 400 for draft in drafts)
    assert len({draft.prompt.text for draft in drafts}) > 8
    words = {*taxonomy()[BUILDING].plural, taxonomy()[BUILDING].label}
    assert all(any(word in draft.prompt.text for word in words) for draft in drafts)


@pytest.mark.parametrize("category", [BUILDING, WATER, AIRPLANE])
def test_a_question_does_not_name_it(category):
    rng, entry = np.random.default_rng(0), taxonomy()[category]
    for _ in range(20):
        question = whole_category.question_draft(patch_of(), category, rng)
        assert leaked_word(question.prompt.text, entry) is None
        assert question.prompt.task is Task.REASONING
        found = category != AIRPLANE
        assert (entry.label in question.answer) == found
        assert question.family == ("question" if found else "absent")
        assert question.mask.any() == found


def test_a_description_reads_as_a_reference():
    rng = np.random.default_rng(0)
    drafts = [whole_category.description_draft(patch_of(), BUILDING, rng) for _ in range(20)]
    assert all(Prompt.from_text(each.prompt.text).task is Task.REFERRING for each in drafts)
    assert {each.family for each in drafts} == {"described"}


def test_no_generator_uses_words_that_are_held_out():
    rng = np.random.default_rng(0)
    for category, entry in taxonomy().items():
        if entry.target:
            said = [
                draft.prompt.text
                for _ in range(10)
                for draft in (
                    whole_category.name_draft(patch_of(), category, rng),
                    whole_category.question_draft(patch_of(), category, rng),
                )
                if draft is not None
            ]
            assert not set(said) & set(entry.held_out.questions)
            held_out = entry.held_out.names
            assert not any(find_leak(text, names=(), phrases=held_out) for text in said), entry
