"""The interface of a system under test: pixels and prompts in, an answer per prompt out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from unigeoseg.prompt import Prompt

Pixels = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A system's answer to one prompt.

    Attributes:
        mask: (H, W) bool.
        score: Its confidence, from 0 to 1.
        words: Its answer in words, or empty.
    """

    mask: NDArray[np.bool_]
    score: float = 1.0
    words: str = ""


Predictor = Callable[[Pixels, Sequence[Prompt]], Sequence[Answer | None]]
"""Pixels (H, W, 3) and prompts in, an answer per prompt out; None where the system cannot take the
prompt, such as a text for fill-box."""


def stated_fields(kind: type, values: object) -> object:
    """JSON of another system as the values of a record of ours: fields that both have.

    Fields of other names are left out, and so are null and NaN, which say that a value is unknown.

    Args:
        kind: The dataclass of the record.
        values: Any JSON value; what is no object stays as it is.
    """
    if not isinstance(values, dict):
        return values
    names = [field.name for field in fields(kind)]
    return {name: values[name] for name in names if _is_stated(values.get(name))}


def _is_stated(value: object) -> bool:
    return value is not None and value == value  # only NaN differs from itself
