"""Run predictors over cases and gather their scores."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from unigeoseg.bench.held_out import Case
from unigeoseg.bench.metrics import Overlap, Scores, overlap
from unigeoseg.bench.predictors import BASELINES, Predictor


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
    systems: dict[str, Predictor] = {name: predictor, **BASELINES}
    for case in cases:
        prompts = [instruction.prompt for instruction in case.instructions]
        for system, answer in systems.items():
            answers = answer(case.image.pixels, prompts) if prompts else []
            for instruction, given in zip(case.instructions, answers, strict=True):
                if given is not None:
                    compared = overlap(given.mask, instruction.mask, case.valid)
                    where = system, instruction.family, case.image.source
                    results.overlaps[where].append(compared)
        done()
    return results
