"""Typed records as JSON: frozen dataclasses written to JSON, and validated when they are read.

One converter for the whole package: a field of the wrong type, a missing or an unknown field is an
error that names the file and the path of the field. Numbers are never made of texts.
"""

import json
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from unigeoseg.errors import DataError

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

_PROBLEMS_SHOWN = 3
_LONGEST_VALUE = 40  # characters of a value in a message
_TAG = "kind"  # the field that tells the dataclasses of a union apart


def record_from_json(kind: type[T], text: str | bytes, origin: str) -> T:
    """A record from JSON.

    Args:
        kind: A dataclass, or what its fields may be: numbers, texts, lists, mappings, unions of
            dataclasses that a field `kind` of a `Literal` type tells apart; one of them may lack
            it, and is meant where a value has no `kind`.
        text: JSON in UTF-8.
        origin: Names the file, and the line if there are several, in messages.

    Raises:
        DataError: If it is not JSON, or not of that kind; the message names each wrong field.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{origin} is not JSON: {error}") from error
    return record_from(kind, values, origin)


def record_from(kind: type[T], values: object, origin: str, *, secret: bool = False) -> T:
    """A record from plain values, as JSON, TOML or a database row gives them.

    Args:
        kind: As `record_from_json`.
        values: What `json.loads` would give.
        origin: As `record_from_json`.
        secret: Whether values may be secrets, which messages do not repeat then.

    Raises:
        DataError: If a value is not of that kind; the message names each wrong field.
    """
    from cattrs import transform_error

    try:
        return _converter().structure(values, kind)
    except Exception as error:  # cattrs gathers what hooks and __post_init__ raise, of any type
        describe = _secret_problem if secret else _problem
        problems = [_located(line) for line in transform_error(error, "", describe)]
        listed = "; ".join(problems[:_PROBLEMS_SHOWN])
        left = len(problems) - _PROBLEMS_SHOWN
        more = f"; and {left} more" if left > 0 else ""
        raise DataError(f"{origin}: {listed}{more}") from error


def record_values(record: object) -> Any:  # noqa: ANN401 - any plain JSON value
    """A record as plain values: mappings, lists, texts, numbers, None."""
    return _converter().unstructure(record)


def record_json(record: object, *, indent: int | None = None) -> str:
    """A record as JSON, its fields in their order."""
    return json.dumps(record_values(record), ensure_ascii=False, indent=indent)


@cache
def _converter() -> "Converter":
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True)
    for kind, accepted in ((int, (int,)), (float, (int, float)), (str, (str,)), (bool, (bool,))):
        converter.register_structure_hook(kind, _exactly(kind, accepted))
    converter.register_structure_hook(Path, lambda value, _: Path(_text(value)))
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook_factory(_is_list_like, _from_list)
    converter.register_structure_hook_factory(_has_default_variant, _from_variant)
    return converter


def _is_list_like(kind: object) -> bool:
    """Whether a kind is `list[T]` or `tuple[T, ...]`."""
    return get_origin(kind) is list or (get_origin(kind) is tuple and get_args(kind)[1:] == (...,))


def _from_list(kind: type[T], converter: "Converter") -> Callable[[object, object], T]:
    """A hook that takes lists alone: the letters of a text are no list of texts."""
    from cattrs.cols import homogenous_tuple_structure_factory, list_structure_factory

    is_list = get_origin(kind) is list
    factory = list_structure_factory if is_list else homogenous_tuple_structure_factory
    structure_items = factory(kind, converter)

    def structure(value: object, _: object) -> T:
        if not isinstance(value, list | tuple):
            raise _WrongTypeError(value, "a list")
        items: T = structure_items(value, kind)
        return items

    return structure


def _has_default_variant(kind: object) -> bool:
    """Whether a kind is a union of dataclasses of which one alone has no field `kind`."""
    if get_origin(kind) is not UnionType or not all(map(is_dataclass, get_args(kind))):
        return False
    return [_TAG in get_type_hints(variant) for variant in get_args(kind)].count(False) == 1


def _from_variant(kind: type[T], converter: "Converter") -> Callable[[object, object], T]:
    """A hook that takes the dataclass of a union that `kind` names, or the one without it."""
    variants = {
        tag: variant
        for variant in get_args(kind)
        for tag in get_args(get_type_hints(variant).get(_TAG)) or (None,)
    }

    def structure(value: object, _: object) -> T:
        if not isinstance(value, dict):
            raise _WrongTypeError(value, "an object")
        tag = value.get(_TAG)
        if tag not in variants:
            tags = ", ".join(repr(name) for name in variants if name)
            raise ValueError(f"unknown kind {_shortened(tag)}; known are {tags}, or none")
        record: T = converter.structure(value, variants[tag])
        return record

    return structure


class _WrongTypeError(TypeError):
    """A value of another type than its field's.

    Attributes:
        without_value: What is wrong, for messages that must not repeat the value.
    """

    def __init__(self, value: object, expected: str) -> None:
        came = type(value).__name__
        super().__init__(f"{_shortened(value)} is {came}, expected {expected}")
        self.without_value = f"got {came}, expected {expected}"


def _exactly(kind: type[T], accepted: tuple[type, ...]) -> Callable[[object, object], T]:
    """A hook that takes values of some types and makes nothing else of them."""

    def structure(value: object, _: object) -> T:
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise _WrongTypeError(value, kind.__name__)
        if isinstance(value, float) and not math.isfinite(value):
            raise TypeError(f"{value} is not a finite number")
        return kind(value)  # type: ignore[call-arg]

    return structure


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongTypeError(value, "str")
    return value


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def _problem(error: BaseException, _: type | None) -> str:
    """One error of cattrs in words; it adds where the field is."""
    from cattrs import ForbiddenExtraKeysError

    if isinstance(error, ForbiddenExtraKeysError):
        names = ", ".join(field.name for field in fields(error.cl))
        return f"unknown fields {', '.join(sorted(error.extra_fields))}; known are {names}"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing or unknown"
    if isinstance(error, AttributeError):  # a field of a number, a text or a list was wanted
        return "expected an object"
    return str(error) or type(error).__name__


def _secret_problem(error: BaseException, kind: type | None) -> str:
    """One error in words that repeat no value, unless the record's own check says it."""
    return error.without_value if isinstance(error, _WrongTypeError) else _problem(error, kind)


def _located(problem: str) -> str:
    """A problem as "field: what is wrong", of cattrs' "what is wrong @ .field"."""
    message, _, place = problem.rpartition(" @ ")
    return f"{place.lstrip('.')}: {message}" if place else message
