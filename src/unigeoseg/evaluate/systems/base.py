"""What every system under test takes and gives: pixels and prompts in, an answer per prompt out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unigeoseg.prompt import Prompt

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a system says to one prompt.

    Attributes:
        mask: (H, W) bool.
        score: How sure it is, from 0 to 1.
        words: Its answer in words, or empty.
    """

    mask: NDArray[np.bool_]
    score: float = 1.0
    words: str = ""


Predictor = Callable[[Pixels, Sequence[Prompt]], Sequence[Answer | None]]
"""Pixels (H, W, 3) and prompts in, an answer per prompt out; None where the system cannot take the
prompt, such as a text for fill-box."""
