"""The second implementation of programs against the first, and against cases drawn by hand."""

import numpy as np
import patches
import pytest

from unigeoseg.data.programs.execute import execute_program as first
from unigeoseg.data.programs.graph import scene_graph
from unigeoseg.data.programs.program import COLOURS, COURSES, PLACES, SIDES, parse_program
from unigeoseg.data.programs.reference import NoSelection, reference_selection
from unigeoseg.errors import AmbiguousError

CATEGORIES = (patches.ROAD, patches.BUILDING, patches.POND, patches.FOREST)


def pick(rng: np.random.Generator, options) -> str:
    return str(options[int(rng.integers(len(options)))])


def a_set(rng: np.random.Generator, depth: int) -> str:
    if depth == 0 or rng.random() < 0.5:
        return f"(category {pick(rng, CATEGORIES)})"
    return f"(filter {a_set(rng, depth - 1)} {a_test(rng, depth - 1)})"


def a_one(rng: np.random.Generator, depth: int) -> str:
    kind = pick(rng, ("only", "largest", "smallest", "rank", "in-row", "nearest", "farthest"))
    members = a_set(rng, depth)
    if kind in ("rank", "in-row"):
        return f"({kind} {rng.integers(1, 4)} {pick(rng, SIDES)} {members})"
    if kind in ("nearest", "farthest"):
        return f"({kind} {members} (only {a_set(rng, depth)}))"
    return f"({kind} {members})"


def a_test(rng: np.random.Generator, depth: int) -> str:
    kind = pick(rng, ("word", "relation", "turn", "between", "not"))
    if kind == "not" and depth:
        return f"(not {a_test(rng, depth - 1)})"
    if kind == "relation":
        anchor = a_set(rng, 0) if rng.random() < 0.6 else a_one(rng, 0)
        return f"({pick(rng, ('beside', 'near', 'inside', 'around'))} {anchor})"
    if kind == "turn":
        return f"({pick(rng, ('left-of', 'right-of', 'above', 'below'))} {a_one(rng, 0)})"
    if kind == "between":
        return f"(between {a_one(rng, 0)} {a_one(rng, 0)})"
    words = {"in": PLACES, "at-edge": SIDES, "colour": COLOURS, "running": COURSES}
    word = pick(rng, list(words))
    return f"({word} {pick(rng, words[word])})"


def outcome(run, *arguments) -> set[int] | None:
    try:
        return set(run(*arguments))
    except (AmbiguousError, NoSelection):
        return None


@pytest.mark.parametrize("seed", range(12))
def test_both_implementations_select_the_same(seed):
    rng = np.random.default_rng(seed)
    patch = patches.random_patch(seed)
    graph = scene_graph(patch)
    selected = 0
    for _ in range(60):
        inner = a_one(rng, 2) if rng.random() < 0.6 else a_set(rng, 2)
        program = f"(program 1 {inner})"
        expected = outcome(first, parse_program(program), graph)
        assert outcome(reference_selection, program, patch) == expected, program
        selected += expected is not None
    assert selected >= 3


def test_hand_drawn_cases():
    scene = patches.patch(
        {
            1: (patches.BUILDING, (10, 10, 50, 50)),
            2: (patches.BUILDING, (200, 10, 220, 30)),
            3: (patches.POND, (100, 180, 160, 240)),
            4: (patches.FOREST, (110, 190, 130, 210)),
        },
        colours={1: (240, 240, 240)},
    )
    cases = {
        "(largest (category 25))": {1},
        "(rank 1 right (category 25))": {2},
        "(filter (category 25) (colour white))": {1},
        "(filter (category 25) (in upper-left))": {1},
        "(filter (category 4) (inside (category 23)))": {4},
        "(filter (category 25) (not (near (category 25))))": {1, 2},
        "(only (category 25))": None,
        "(largest (category 4))": None,
        "(category 80)": None,
    }
    for inner, expected in cases.items():
        assert outcome(reference_selection, f"(program 1 {inner})", scene) == expected, inner


@pytest.mark.parametrize(
    "text",
    ["", "(", "(program 1)", "(program 2 (category 25))", "(program 1 (category x))",
     "(program 1 (dance (category 25)))", "(program 1 (category 25)) (", "(program 1 category)"],
)  # fmt: skip
def test_what_is_no_program_selects_nothing(text):
    with pytest.raises(NoSelection, match="malformed"):
        reference_selection(text, patches.patch({1: (patches.BUILDING, (10, 10, 50, 50))}))
