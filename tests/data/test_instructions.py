"""Instructions: what the words select is what the mask holds."""

import numpy as np
import pytest

from unigeoseg.data.instructions import FAMILIES, Instruction
from unigeoseg.data.lexicon import LEXICON
from unigeoseg.data.regions import View
from unigeoseg.prompt import Task

LAYOUT = {  # id: category and box x0, y0, x1, y1
    1: ("building", (20, 20, 60, 50)),
    2: ("building", (180, 30, 230, 100)),
    3: ("building", (100, 190, 120, 215)),
    4: ("water", (0, 230, 256, 256)),
    5: ("airplane", (30, 150, 60, 180)),
}


def view() -> View:
    regions = np.zeros((256, 256), np.uint16)
    for key, (_, (x0, y0, x1, y1)) in LAYOUT.items():
        regions[y0:y1, x0:x1] = key
    return View(
        regions=regions,
        categories={key: category for key, (category, _) in LAYOUT.items()},
        labelled=frozenset({"building", "water", "airplane", "road"}),
        source="made",
    )


def draw(family: str, count: int = 200) -> list[Instruction]:
    seen = view()
    drawn = [FAMILIES[family](seen, np.random.default_rng(seed)) for seed in range(count)]
    return [instruction for instruction in drawn if instruction]


def selected(instruction: Instruction) -> set[int]:
    return set(np.unique(view().regions[instruction.mask]).tolist())


EXPECTED = {
    "largest": {2},
    "biggest": {2},
    "smallest": {3},
    "leftmost": {1},
    "farthest to the left": {1},
    "nearest the left edge": {1},
    "rightmost": {2},
    "farthest to the right": {2},
    "topmost": {1},
    "farthest to the bottom": {3},
    "bottommost": {3},
    "in the upper left": {1},
    "in the upper right": {2},
    "at the bottom": {3},
}


def test_referring_expressions_select_exactly_their_target():
    """Read back by hand-written rules that do not share code with the generator."""
    checked = set()
    for instruction in draw("referring", 600):
        text = instruction.prompt.text
        if instruction.category != "building":
            continue
        for words, ids in EXPECTED.items():
            if words in text and "image" not in text and "scene" not in text:
                assert selected(instruction) == ids, text
                checked.add(words)
    assert len(checked) >= 10


def test_one_object_alone_is_never_called_the_largest():
    for instruction in draw("referring", 400):
        if instruction.category == "airplane":
            assert "est" not in instruction.prompt.text.split()[1]


def test_interactive_prompts_point_at_their_target():
    for instruction in draw("point"):
        for point in instruction.prompt.points:
            assert instruction.mask[int(point.y), int(point.x)] == point.positive
    for instruction in draw("box"):
        box = instruction.prompt.box
        rows, columns = np.nonzero(instruction.mask)
        tight = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        drawn = np.array([box.x0, box.y0, box.x1, box.y1])
        assert np.abs(drawn - tight).max() <= 0.07 * np.ptp(tight[[0, 2]]) + 0.07 * 256
        assert drawn.min() >= 0 and drawn.max() <= 256


def test_click_counts_follow_the_paper():
    """Section 2: one point below 200 pixels, else 1, 2 or 3 with 60, 20 and 20 %."""
    counts = [
        sum(point.positive for point in instruction.prompt.points)
        for instruction in draw("point", 600)
    ]
    shares = [counts.count(number) / len(counts) for number in (1, 2, 3)]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.07)


@pytest.mark.parametrize("family", ["category", "attribute"])
def test_categories_mean_all_of_them(family: str):
    masks = {"building": {1, 2, 3}, "water": {4}, "airplane": {5}}
    drawn = draw(family)
    assert {instruction.category for instruction in drawn} == set(masks)
    for instruction in drawn:
        assert selected(instruction) == masks[instruction.category]


def test_what_is_absent_selects_nothing():
    drawn = draw("absent")
    assert {instruction.category for instruction in drawn} == {"road"}
    assert not any(instruction.mask.any() for instruction in drawn)


def test_questions_do_not_say_the_name():
    for category, entry in LEXICON.items():
        for question in entry.questions:
            for name in (*entry.singular, *entry.plural):
                said = f" {question.lower().strip('?.')} "
                assert f" {name} " not in said, (category, question)


def test_the_same_seed_says_the_same():
    first, second = draw("referring", 30), draw("referring", 30)
    assert [each.prompt for each in first] == [each.prompt for each in second]


def test_attribute_questions_are_reasoning():
    assert {instruction.prompt.task for instruction in draw("attribute", 20)} == {Task.REASONING}
