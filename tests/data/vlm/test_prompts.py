from string import Template

import pytest

from unigeoseg.data.vlm import prompts
from unigeoseg.data.vlm.answers import (
    Answer,
    Cues,
    Expression,
    Judgement,
    ReasonedQuestion,
    Score,
    parse_answer,
)
from unigeoseg.errors import OptionError

ANSWERS: dict[str, type[Answer]] = {
    "judge": Judgement,
    "referring": Expression,
    "attribute": ReasonedQuestion,
    "context_cues": Cues,
    "context_question": ReasonedQuestion,
    "score_a": Score,
    "score_b": Score,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_example_that_ends_each_prompt_is_a_valid_answer(name):
    example = prompts.prompt_text(name).rstrip().rsplit("\n", 1)[-1]
    assert parse_answer(ANSWERS[name], example)


@pytest.mark.parametrize("name", ANSWERS)
def test_each_prompt_names_every_field_of_its_answer(name):
    for field in ANSWERS[name].model_fields:
        assert f'"{field}"' in prompts.prompt_text(name)


def test_placeholders_are_filled_once_and_values_are_not_templates():
    filled = prompts.fill_prompt("judge", colour="red", category="$colour {x} $$")
    assert "thin red line" in filled
    assert "region is: $colour {x} $$\n" in filled


@pytest.mark.parametrize("name", ANSWERS)
def test_a_missing_or_unknown_value_is_an_error(name):
    wanted = Template(prompts.prompt_text(name)).get_identifiers()
    assert wanted
    values = dict.fromkeys(wanted, "x")
    assert "$" not in prompts.fill_prompt(name, **values)
    with pytest.raises(OptionError, match="has the placeholders"):
        prompts.fill_prompt(name, **values, surplus="x")
    values.pop(wanted[0])
    with pytest.raises(OptionError, match=f"has the placeholders .*{wanted[0]}"):
        prompts.fill_prompt(name, **values)


def test_an_unknown_prompt_is_an_error():
    with pytest.raises(OptionError, match="no prompt 'poem' of version 1"):
        prompts.fill_prompt("poem")
