"""Single settings of a recipe by name, `lr=1e-4`, `batch.images=4`: changed, checked, told."""

import ast
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin

from unigeoseg.errors import OptionError

T = TypeVar("T")


def changed(config: T, settings: Iterable[str]) -> T:
    """A recipe with settings changed.

    Args:
        config: A dataclass, whose parts may be dataclasses.
        settings: Each "name=value", the name with dots between parts, the value as Python writes
            it; a text needs no quotes.

    Raises:
        OptionError: If there is no such setting, or the value is of another kind or none of those
            that it can have.
    """
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise OptionError(f"the setting {setting!r} is no name=value, such as lr=1e-4")
        config = _set(config, name.strip().split("."), value.strip(), setting)
    return config


def _set(config: T, names: list[str], value: str, setting: str) -> T:
    known = [each.name for each in fields(config)] if is_dataclass(config) else []
    first, rest = names[0], names[1:]
    if first not in known:
        raise OptionError(
            f"the setting {setting!r} names {first!r}, which is not there; here are "
            f"{', '.join(known) or 'no settings'}"
        )
    current = getattr(config, first)
    new = _set(current, rest, value, setting) if rest else _read(value, current, setting)
    made = replace(config, **{first: new})  # type: ignore[type-var]
    check_choices(made)
    return made


def _read(value: str, current: object, setting: str) -> Any:  # noqa: ANN401 - of any setting
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        read = value
    if isinstance(current, float) and type(read) is int:
        read = float(read)
    if isinstance(current, tuple) and isinstance(read, list):
        read = tuple(read)
    if type(read) is not type(current):
        raise OptionError(
            f"the setting {setting!r} is a {type(read).__name__}, expected a "
            f"{type(current).__name__} such as {current!r}"
        )
    return read


def check_choices(config: object) -> None:
    """Check the settings of a dataclass that have one of a few values.

    Raises:
        OptionError: If one has another.
    """
    for each in fields(config):  # type: ignore[arg-type]
        value, allowed = getattr(config, each.name), get_args(each.type)
        if get_origin(each.type) is Literal and value not in allowed:
            raise OptionError(
                f"{each.name} is {value!r}, expected one of {', '.join(map(repr, allowed))}"
            )


def check_least(config: object, least: int, *names: str) -> None:
    """Check the settings of these names, which are numbers.

    Raises:
        OptionError: If one is below `least`.
    """
    for name in names:
        if (value := getattr(config, name)) < least:
            raise OptionError(f"{name} is {value}, expected {least} or more")


def plain(config: object) -> dict[str, Any]:
    """A dataclass as it comes back from JSON: tuples are lists, functions their names."""
    told: dict[str, Any] = json.loads(json.dumps(asdict(config), default=_named))  # type: ignore[call-overload]
    return told


def by_name(told: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The single values of what `plain` tells, by their names with dots between parts."""
    values: dict[str, Any] = {}
    for name, value in told.items():
        inner = isinstance(value, Mapping)
        values |= by_name(value, f"{prefix}{name}.") if inner else {prefix + name: value}
    return values


def _named(part: object) -> object:
    """A function of a recipe as JSON: its name, and what it is given."""
    if isinstance(part, partial):
        return [_named(part.func), part.args, part.keywords]
    # what has no name of its own goes by its kind: where it is in memory differs from run to run
    return getattr(part, "__qualname__", type(part).__qualname__)
