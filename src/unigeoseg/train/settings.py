"""Single settings of a recipe, changed by name: `lr=1e-4`, `batch.images=4`."""

import ast
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from unigeoseg.errors import OptionError

T = TypeVar("T")


def changed(config: T, settings: Iterable[str]) -> T:
    """A recipe with settings changed.

    Args:
        config: A dataclass, whose parts may be dataclasses.
        settings: Each "name=value", the name with dots between parts, the value as Python writes
            it; a text needs no quotes.

    Raises:
        OptionError: If there is no such setting, or the value is of another kind.
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
    return replace(config, **{first: new})  # type: ignore[type-var]


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
