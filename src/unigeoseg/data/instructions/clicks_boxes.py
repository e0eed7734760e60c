"""Interactive instructions: points on a region, or its box.

Source: paper section 2, stage 6: one point below 200 pixels, else one, two or three in 60, 20 and
20 % of the cases; or the tight box.
"""

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.draft import Draft, Family
from unigeoseg.prompt import Box, Point, Prompt

WRITER = "points and boxes/1"
"""Name that the drafts carry."""

_SMALL_PX = 200
_COUNT_SHARES = (0.6, 0.2, 0.2)  # of one, two and three points


def point_draft(target: Candidate, rng: np.random.Generator) -> Draft:
    """Pixel centres drawn inside the region, no two the same."""
    count = 1 if target.area_px < _SMALL_PX else 1 + int(rng.choice(3, p=_COUNT_SHARES))
    rows, columns = np.nonzero(target.mask)
    indices = rng.choice(len(rows), size=count, replace=False)
    points = [Point(float(columns[at]) + 0.5, float(rows[at]) + 0.5) for at in indices]
    return _draft("point", Prompt.from_points(points), target)


def box_draft(target: Candidate) -> Draft:
    """The tight box of the region."""
    return _draft("box", Prompt.from_box(Box(*target.box)), target)


def _draft(family: Family, prompt: Prompt, target: Candidate) -> Draft:
    return Draft(family, prompt, (target.region,), target.mask, target.category, WRITER)
