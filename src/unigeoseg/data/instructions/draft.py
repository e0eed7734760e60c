"""Drafts: instructions that were written for regions of a patch, and those that were accepted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unigeoseg.prompt import Prompt

PUBLISHED = "published"
"""The writer of instructions that came with their source."""

Family = Literal[
    "point",
    "box",
    "referring",
    "attribute",
    "context",
    "category",
    "described",
    "question",
    "absent",
]
"""The paper's four instruction families, interactive being points or a box and reasoning attribute
or context; and those of `whole_category`, which mean all of a category or nothing."""

ONE_REGION: frozenset[Family] = frozenset({"point", "box", "referring", "attribute", "context"})
"""Families whose instructions mean a single region."""


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """One instruction and what it selects.

    Attributes:
        family: Which kind it is.
        prompt: The instruction; coordinates in pixels of the patch.
        regions: Ids of the regions that it selects; empty if it selects none of them.
        mask: (H, W) bool, what it selects.
        category: Taxonomy id of what is selected; 0 where a source does not name one.
        writer: Who wrote it: name and version of a generator, or `PUBLISHED`.
        program: The selection as a program over the patch's scene graph, or empty.
        answer: Reply to a reasoning question, or empty.
    """

    family: Family
    prompt: Prompt
    regions: tuple[int, ...]
    mask: NDArray[np.bool_]
    category: int
    writer: str
    program: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class ScoredDraft:
    """A draft that every scorer accepted.

    Attributes:
        draft: The draft.
        scores: Score per dimension, named "scorer/dimension".
    """

    draft: Draft
    scores: Mapping[str, float] = field(default_factory=dict)
