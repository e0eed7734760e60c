"""Run predictors over cases and gather their scores."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unigeoseg.bench.baselines import fill_box, grab_cut, region_grow
from unigeoseg.bench.held_out import Case
from unigeoseg.bench.metrics import Overlap, Scores, overlap
from unigeoseg.prompt import Prompt

Predictor = Callable[[NDArray[np.uint8], Sequence[Prompt]], Sequence[NDArray[np.bool_]]]
"""Pixels (H, W, 3) and prompts in, one mask (H, W) bool per prompt out."""

BASELINES: Mapping[str, tuple[str, Callable[[NDArray[np.uint8], Prompt], NDArray[np.bool_]]]] = {
    "fill the box": ("box", fill_box),
    "GrabCut": ("box", grab_cut),
    "region grow": ("point", region_grow),
}
"""Name of each baseline, the family it can answer, and how."""


@dataclass
class Results:
    """Overlaps by (system, family, source)."""

    overlaps: dict[tuple[str, str, str], list[Overlap]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def scores(self, system: str, family: str, source: str | None = None) -> Scores:
        """Scores of a system on a family, on one source or all."""
        return Scores.of(
            each
            for (its_system, its_family, its_source), overlaps in sorted(self.overlaps.items())
            if (its_system, its_family) == (system, family) and source in (None, its_source)
            for each in overlaps
        )

    @property
    def sources(self) -> list[str]:
        """Names of the sources that were seen."""
        return sorted({source for _, _, source in self.overlaps})


def evaluate(
    predictor: Predictor,
    cases: Iterable[Case],
    *,
    name: str,
    done: Callable[[], None] = lambda: None,
) -> Results:
    """Score `predictor`, under `name`, and the baselines on the same cases.

    Args:
        predictor: The system under test; it sees pixels and prompts alone.
        cases: What to ask.
        name: What to call it in the results.
        done: Called after each case.
    """
    results = Results()
    for case in cases:
        prompts = [instruction.prompt for instruction in case.instructions]
        masks = predictor(case.image.pixels, prompts) if prompts else []
        for instruction, mask in zip(case.instructions, masks, strict=True):
            family, source = instruction.family, case.image.source
            answers = {name: mask} | {
                system: answer(case.image.pixels, instruction.prompt)
                for system, (answers_family, answer) in BASELINES.items()
                if answers_family == family
            }
            for system, answered in answers.items():
                compared = overlap(answered, instruction.mask, case.valid)
                results.overlaps[system, family, source].append(compared)
        done()
    return results
