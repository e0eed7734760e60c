"""The form of programs: text and values are the same thing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigeoseg.data.programs import program
from unigeoseg.data.programs.program import expression, format_program, parse_program
from unigeoseg.errors import ProgramError

categories = st.integers(1, 235).map(lambda number: expression("category", number))


def wrapped(name: str, *arguments: st.SearchStrategy) -> st.SearchStrategy:
    return st.tuples(*arguments).map(lambda values: expression(name, *values))


def conditions(single_regions: st.SearchStrategy, sets: st.SearchStrategy) -> st.SearchStrategy:
    simple = st.one_of(
        wrapped("in", st.sampled_from(program.PLACES)),
        wrapped("colour", st.sampled_from(program.COLOURS)),
        wrapped("running", st.sampled_from(program.COURSES)),
        wrapped("beside", st.one_of(single_regions, sets)),
        wrapped("left-of", single_regions),
        wrapped("between", single_regions, single_regions),
    )
    return st.one_of(simple, wrapped("not", simple))


single_regions = st.one_of(
    wrapped("only", categories),
    wrapped("rank", st.integers(1, 9), st.sampled_from(program.SIDES), categories),
    wrapped("nearest", categories, wrapped("largest", categories)),
)
filtered = wrapped("filter", categories, conditions(single_regions, categories))
selections = st.one_of(single_regions, filtered, wrapped("only", filtered))


@given(selections)
def test_text_and_back(selection):
    text = format_program(selection)
    assert parse_program(text) == selection
    assert json.loads(json.dumps(text)) == text
    assert text.isascii()


def test_white_space_does_not_matter():
    text = "( program 1\n (only\t(category 25) ) )"
    assert parse_program(text) == expression("only", expression("category", 25))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(",
        ")",
        "()",
        "program 1",
        "(program 1)",
        "(program 1 ())",
        "(program 1 x)",
        "(program 2 (category 1))",
        "(program 1 (category 0))",
        "(program 1 (category -1))",
        "(program 1 (category one))",
        "(program 1 (category 1) (category 2))",
        "(program 1 (category 1)) (program 1 (category 1))",
        "(program 1 (only (only (category 1))))",
        "(program 1 (in left))",
        "(program 1 (filter (category 1) (in middle)))",
        "(program 1 (filter (category 1) (left-of (category 2))))",
        "(program 1 (remove (category 1)))",
        "(program 1 " + "(only " * 10_000,
    ],
)
def test_what_is_no_program_is_refused(text):
    with pytest.raises(ProgramError) as error:
        parse_program(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
