"""Interfaces of judges, writers and scorers, be they models or measurements.

Source: paper section 2, stages 5 (model filter), 6 (instructions) and 7 (cross-scoring).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.patches.patch import Patch


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of a judge or scorer about one candidate or draft.

    Attributes:
        accepted: Whether it is accepted.
        rule: The dimension that decided against it, or empty.
        value: Its score there, or None.
        limit: The threshold it missed, or None.
        scores: Score per dimension.
    """

    accepted: bool
    rule: str = ""
    value: float | None = None
    limit: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


class Judge(Protocol):
    """Decides which candidates are whole, distinct and worth describing."""

    name: str

    def judge(self, patch: Patch, candidates: Sequence[Candidate]) -> list[Verdict]:
        """One verdict per candidate, in order."""
        ...


class Writer(Protocol):
    """Writes referring expressions and reasoning questions."""

    name: str

    def write(
        self, patch: Patch, candidates: Sequence[Candidate], rng: np.random.Generator
    ) -> Iterable[Draft]:
        """Drafts about candidates of one patch; all are describable and were accepted."""
        ...


class Scorer(Protocol):
    """Scores finished drafts."""

    name: str

    def score(self, patch: Patch, drafts: Sequence[Draft]) -> list[Verdict]:
        """One verdict per draft, in order."""
        ...
