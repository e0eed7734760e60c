"""Dataclasses as JSON, and messages that name the field."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from unigeoseg.errors import DataError
from unigeoseg.runtime.records import record_from, record_from_json, record_json


@dataclass(frozen=True, slots=True)
class Square:
    kind: Literal["square"] = "square"
    side: int = 1


@dataclass(frozen=True, slots=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclass(frozen=True)
class Drawing:
    name: str
    shape: Square | Circle = field(default_factory=Square)
    layers: tuple[int, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    folder: Path | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("the name is empty")


def test_a_record_comes_back_as_it_was():
    drawing = Drawing("plan", Circle(radius=2.0), (1, 2), {"ink": 0.5}, Path("a/b"))
    assert record_from_json(Drawing, record_json(drawing), "plan.json") == drawing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "plan.json is not JSON"),
        ("[1]", "plan.json: expected an object"),
        ("{}", "plan.json: name: 'name' is missing"),
        ('{"name": 3}', "plan.json: name: 3 is int, expected str"),
        ('{"name": ""}', "plan.json: the name is empty"),
        ('{"name": "a", "colour": 1}', "plan.json: unknown fields colour"),
        ('{"name": "a", "layers": [1, "2"]}', r"plan.json: layers\[1\]: '2' is str, expected int"),
        ('{"name": "a", "layers": [true]}', r"plan.json: layers\[0\]: True is bool, expected int"),
        ('{"name": "a", "layers": "12"}', "plan.json: layers: '12' is str, expected a list"),
        ('{"name": "a", "layers": null}', "plan.json: layers: None is NoneType, expected a list"),
        ('{"name": "a", "weights": {"ink": NaN}}', "nan is not a finite number"),
        ('{"name": "a", "shape": {"kind": "star"}}', "plan.json: shape: 'star' is missing or unkn"),
        ('{"name": "a", "shape": {"kind": "circle", "side": 1}}', "shape: unknown fields side"),
        ('{"name": 1, "layers": 2, "weights": [], "folder": 4, "x": 5}', "; and 2 more"),
    ],
)
def test_what_is_wrong_is_named(text, message):
    with pytest.raises(DataError, match=message):
        record_from_json(Drawing, text, "plan.json")


def test_secret_values_are_not_repeated():
    values = {"name": ["hunter2"], "layers": "hunter2", "folder": 3}
    with pytest.raises(DataError, match="name: got list, expected str; layers: got str") as raised:
        record_from(Drawing, values, "plan.json", secret=True)
    assert "hunter2" not in str(raised.value)


@dataclass(frozen=True)
class Line:
    """A shape from before there were kinds."""

    length: int = 1


@dataclass(frozen=True)
class Sketch:
    shape: Line | Square = field(default_factory=Line)


def test_one_dataclass_of_a_union_may_lack_the_kind():
    for sketch in (Sketch(Line(3)), Sketch(Square(side=2))):
        assert record_from_json(Sketch, record_json(sketch), "sketch.json") == sketch
    assert record_json(Sketch()) == '{"shape": {"length": 1}}'
    for shape, message in (
        ({"kind": "circle"}, "shape: unknown kind 'circle'; known are 'square', or none"),
        ({"side": 2}, "shape: unknown fields side; known are length"),
        ({"kind": "square", "length": 2}, "shape: unknown fields length"),
        ([], r"shape: \[\] is list, expected an object"),
    ):
        with pytest.raises(DataError, match=message):
            record_from(Sketch, {"shape": shape}, "sketch.json")
