import json
from dataclasses import replace

import numpy as np
import pytest

from unigeoseg.errors import DataError, PromptError
from unigeoseg.geo.masks import encode_mask
from unigeoseg.prompt import Box, Point, Prompt
from unigeoseg.sample import Sample


def sample(**changes) -> Sample:
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    roof = Sample(
        image="place/roof.tif",
        width=6,
        height=4,
        prompt=Prompt.from_box(Box(2, 1, 5, 3), [Point(3, 2), Point(0, 0, False)]),
        rle=encode_mask(mask),
        category="building",
        source="place",
        licence="CC-BY-4.0",
        group="place-1",
    )
    return replace(roof, **changes)


def test_id_is_stable_and_follows_image_prompt_and_mask():
    assert sample().id == "3b0957fc4d27b322"
    said = sample(category="roof", answer="because", group="g", split="val", scores={"clear": 1.0})
    assert said.id == sample().id
    others = [
        sample(image="other.tif"),
        sample(prompt=Prompt.from_text("the roof")),
        sample(rle=encode_mask(np.ones((4, 6), bool))),
    ]
    assert len({sample().id, *(other.id for other in others)}) == 4


def test_whole_numbers_have_the_same_id_as_their_floats():
    floats = Prompt.from_box(Box(2.0, 1.0, 5.0, 3.0), [Point(3.0, 2.0), Point(0.0, 0.0, False)])
    assert sample(prompt=floats).id == sample().id


@pytest.mark.parametrize("prompt", [sample().prompt, Prompt.from_text("où est le toit ?")])
def test_row_gives_the_sample_back(prompt):
    before = sample(
        prompt=prompt,
        answer="here",
        family="attribute",
        category_id=3,
        split="train",
        writer="offline",
        program="(only building)",
        regions=(4, 2),
        scores={"clarity": 0.75},
    )
    after = Sample.from_row(json.loads(json.dumps(before.as_row())))
    assert after == before
    assert after.id == before.id


def test_mask_is_decoded():
    assert sample().mask().sum() == 6


def test_rules_of_a_sample():
    with pytest.raises(DataError, match=r"is \[4, 6\] \(H, W\), expected \[6, 4\]"):
        sample(width=4, height=6)
    with pytest.raises(DataError, match="name of its image"):
        sample(image="")


def test_rows_that_are_no_sample_are_refused():
    row = sample().as_row()
    with pytest.raises(DataError, match="KeyError 'rle'"):
        Sample.from_row({name: value for name, value in row.items() if name != "rle"})
    with pytest.raises(DataError, match="unexpected keyword argument 'colour'"):
        Sample.from_row(row | {"colour": "red"})
    with pytest.raises(DataError, match="'dancing' is not a valid Task"):
        Sample.from_row(row | {"prompt": row["prompt"] | {"task": "dancing"}})
    with pytest.raises(PromptError, match="no area"):
        Sample.from_row(row | {"prompt": row["prompt"] | {"box": [1, 1, 1, 1]}})
