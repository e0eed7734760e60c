"""What a benchmark runs: a system that gets pixels and prompts, and gives a mask for each.

That is all it gets. A predictor is known by a name:

- fill-box, grab-cut, region-grow: baselines that need no learning.
- sam:NAME, sam2:NAME, sam3:NAME: a model of the `transformers` library, see `sam`.
- http://... or https://...: any system behind a server, see `remote`.
- Anything else: a model of ours, as `Segmenter.from_pretrained` takes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from unigeoseg.bench.baselines import fill_box, grab_cut, region_grow
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


@dataclass(frozen=True, slots=True)
class Baseline:
    """A method without learning.

    Attributes:
        family: What it can answer: "point" or "box".
        segment: Gives the mask (H, W) bool.
    """

    family: str
    segment: Callable[[Pixels, Prompt], NDArray[np.bool_]]

    def __call__(self, pixels: Pixels, prompts: Sequence[Prompt]) -> list[Answer | None]:
        """Answer the prompts of its family."""
        return [
            Answer(self.segment(pixels, prompt)) if _family(prompt) == self.family else None
            for prompt in prompts
        ]


def _family(prompt: Prompt) -> str:
    return "box" if prompt.box else "point" if prompt.points else "text"


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "fill-box": Baseline("box", fill_box),
        "grab-cut": Baseline("box", grab_cut),
        "region-grow": Baseline("point", region_grow),
    }
)


@lru_cache(maxsize=1)
def predictor(name: str, *, words: bool = False) -> Predictor:
    """Load a system by its name, once per process.

    Args:
        name: As the module says.
        words: Ask models of ours for words too.

    Raises:
        OptionError: If the name has no meaning.
        CheckpointError: If there are no weights of that name.
        MissingExtraError: If a library is not installed.
    """
    if name in BASELINES:
        return BASELINES[name]
    kind, colon, rest = name.partition(":")
    if colon and kind in ("http", "https"):
        from unigeoseg.bench.remote import Remote

        return Remote(name)
    if colon and kind in ("sam", "sam2", "sam3"):
        from unigeoseg.bench.sam import load

        return load(kind, rest)
    return _ours(name, words=words)


def _ours(name: str, *, words: bool) -> Predictor:
    from unigeoseg.segment import Segmenter

    segmenter = Segmenter.from_pretrained(name)

    def answers(pixels: Pixels, prompts: Sequence[Prompt]) -> list[Answer | None]:
        with segmenter.open(pixels) as session:
            found = session.segment(prompts, answer=words)
        return [Answer(each.mask, each.confidence, each.answer or "") for each in found]

    return answers
