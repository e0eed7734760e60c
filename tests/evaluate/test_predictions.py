"""Lines of predictions, as other systems write them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from unigeoseg.errors import DataError
from unigeoseg.evaluate.predictions import Prediction, PredictionFile
from unigeoseg.geo.masks import encode_mask

ROW = {"id": "a", "rle": encode_mask(np.ones((3, 4), bool))}


def parsed(**values: object) -> Prediction:
    return Prediction.parse(json.dumps(ROW | values).encode(), "p.jsonl, line 1")


def test_what_a_system_leaves_out_is_not_known():
    for prediction in (parsed(), parsed(score=None, answer=None), parsed(score=math.nan)):
        assert (prediction.id, prediction.answer, prediction.rle) == ("a", "", ROW["rle"])
        assert math.isnan(prediction.score) and math.isnan(prediction.seconds)


def test_what_a_system_adds_is_left_alone():
    assert parsed(score=1, model="theirs", extra=[1]).score == 1.0


def test_a_line_comes_back():
    prediction = Prediction("b", ROW["rle"], 0.5, "a roof", 0.25)
    assert Prediction.parse(prediction.line().encode(), "p") == prediction


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"rle": None}, "'rle' is missing"),
        ({"rle": {"size": [3, 0], "counts": ""}}, "not two numbers above 0"),
        ({"rle": {"size": [3], "counts": ""}}, "not two numbers above 0"),
        ({"rle": {"size": [3, 4.5], "counts": ""}}, "4.5 is float, expected int"),
        ({"rle": {"size": [3, 4], "counts": 7}}, "7 is int, expected str"),
        ({"id": 1}, "1 is int, expected str"),
        ({"score": "sure"}, "'sure' is str, expected float"),
    ],
)
def test_a_line_that_is_wrong_names_its_field(values, problem):
    with pytest.raises(DataError, match=r"^p\.jsonl, line 1: ") as error:
        parsed(**values)
    assert problem in str(error.value)


def test_a_file_names_its_first_line_that_is_wrong(tmp_path: Path):
    path = tmp_path / "p.jsonl"
    good = json.dumps(ROW)
    path.write_text(f"{good}\n\n{good}\n[]\nno json\n")
    file = PredictionFile.open(path)
    assert (list(file.predictions), file.repeated, file.malformed) == (["a"], 1, 2)
    assert file.example.startswith("p.jsonl, line 4: ")
