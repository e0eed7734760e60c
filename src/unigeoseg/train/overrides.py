"""Overrides of single settings of a configuration, by name: `lr=1e-4`, `batch.images=4`.

A setting's name has dots between the parts of the configuration. Settings are overridden and
checked here, and written as plain values beside a run, to be compared when it is resumed.
"""

import ast
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin

from unigeoseg.errors import OptionError

T = TypeVar("T")

RENAMED: Mapping[str, str] = {"recompute": "activation_checkpointing"}
"""Settings by their earlier names: configurations that were stored with those are still read."""


def override_settings(config: T, settings: Iterable[str]) -> T:
    """A configuration with some settings replaced.

    Args:
        config: A dataclass, whose fields may be dataclasses.
        settings: Each "name=value", the name with dots between parts, the value as Python writes
            it; a text needs no quotes.

    Raises:
        OptionError: If there is no such setting, or the value is of another type or none of those
            that it can have.
    """
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise OptionError(f"the setting {setting!r} is no name=value, such as lr=1e-4")
        config = _replaced(config, name.strip().split("."), value.strip(), setting)
    return config


def _replaced(config: T, path: list[str], value: str, setting: str) -> T:
    """A configuration with the field at `path` replaced by a parsed value."""
    names = [field.name for field in fields(config)] if is_dataclass(config) else []
    name, inner_path = path[0], path[1:]
    if name not in names:
        raise OptionError(f"the setting {setting!r} names {name!r}, {_unknown(name, names)}")
    current = getattr(config, name)
    if inner_path:
        new = _replaced(current, inner_path, value, setting)
    else:
        new = _parsed(value, current, setting)
    overridden = replace(config, **{name: new})  # type: ignore[type-var]
    check_choices(overridden)
    return overridden


def _unknown(name: str, names: list[str]) -> str:
    """What to say of a setting that a part of the configuration does not have."""
    if RENAMED.get(name) in names:
        return f"which is called {RENAMED[name]} now"
    return f"which is not there; here are {', '.join(names) or 'no settings'}"


def _parsed(text: str, current: object, setting: str) -> Any:  # noqa: ANN401 - of any setting
    """A typed value, of the type of the current one: whole numbers become floats where due."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(current, float) and type(value) is int:
        value = float(value)
    if isinstance(current, tuple) and isinstance(value, list):
        value = tuple(value)
    if type(value) is not type(current):
        raise OptionError(
            f"the setting {setting!r} is a {type(value).__name__}, expected a "
            f"{type(current).__name__} such as {current!r}"
        )
    return value


def check_choices(config: object) -> None:
    """Check the fields of a dataclass whose type is a `Literal`.

    Raises:
        OptionError: If one has a value that its type does not list.
    """
    for field in fields(config):  # type: ignore[arg-type]
        value, allowed = getattr(config, field.name), get_args(field.type)
        if get_origin(field.type) is Literal and value not in allowed:
            raise OptionError(
                f"{field.name} is {value!r}, expected one of {', '.join(map(repr, allowed))}"
            )


def check_at_least(config: object, minimum: int, *names: str) -> None:
    """Check numeric fields of a configuration.

    Raises:
        OptionError: If one is below `minimum`.
    """
    for name in names:
        if (value := getattr(config, name)) < minimum:
            raise OptionError(f"{name} is {value}, expected {minimum} or more")


def config_values(config: object) -> dict[str, Any]:
    """A configuration as plain values, as they come back from JSON.

    Tuples are lists; a function or an object that is no dataclass stands by its name.
    """
    values: dict[str, Any] = json.loads(json.dumps(asdict(config), default=_callable_name))  # type: ignore[call-overload]
    return values


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that `config_values` gave in an earlier version, by the names of today."""
    return {RENAMED.get(name, name): value for name, value in values.items()}


def flat_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values of a configuration as one mapping, names with dots between parts."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, Mapping)
        flat |= flat_settings(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


def _callable_name(part: object) -> object:
    """A function of a configuration as JSON: its name, and the arguments bound to it."""
    if isinstance(part, partial):
        return [_callable_name(part.func), part.args, part.keywords]
    # an object without a name goes by its class: its address in memory differs from run to run
    return getattr(part, "__qualname__", type(part).__qualname__)
