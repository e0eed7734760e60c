"""Scorers that measure: one the words of a draft, the other its target in the scene.

They replace the two models of paper section 2, stage 7; a draft stays if it passes both. What only
a reader can judge, such as whether a text sounds natural, they do not measure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.instructions.protocols import Verdict
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.programs.execute import ProgramExecutor
from unigeoseg.data.programs.graph import SceneGraph, scene_graph
from unigeoseg.data.programs.program import Expression, parse_program
from unigeoseg.data.taxonomy.categories import leaked_word, taxonomy
from unigeoseg.errors import AmbiguousError, ProgramError
from unigeoseg.geo.masks import label_components
from unigeoseg.prompt import Task

_WORD_COUNTS = {Task.REFERRING: (4, 12, 30), Task.REASONING: (6, 22, 50)}
"""Fewest words, a good number of them, and most."""

_VISIBLE_DIVISOR = 200  # a mask of one in so many pixels of a patch has full visibility


class TextScorer:
    """Scores the words of a draft.

    Its dimensions, each from 0 to 1: `implicit` (1 unless a question names its category),
    `complex` (words against those that say it well), `concise` (1 up to that many, 0 at the
    most), `clear` (share of words that differ, and no doubled word).
    """

    name = "text/1"
    limits: Mapping[str, float] = {"implicit": 1.0, "complex": 0.25, "concise": 0.1, "clear": 0.5}

    def score(self, patch: Patch, drafts: Sequence[Draft]) -> list[Verdict]:
        """One verdict per draft, in order; points and boxes have no words and pass."""
        return [
            Verdict(True)
            if draft.prompt.task not in _WORD_COUNTS
            else _verdict(_text_scores(draft), self.limits)
            for draft in drafts
        ]


class SceneScorer:
    """Scores what a draft selects.

    Its dimensions, each from 0 to 1: `consistent` (1 if the program selects the draft's regions
    and the mask is theirs), `unique` (the same on the scene at half its resolution; 1/2 where it
    is no longer clear), `visible` (area against 0.5 % of the patch), `whole` (share of the
    mask's largest piece).
    """

    name = "scene/1"
    limits: Mapping[str, float] = {"consistent": 1.0, "unique": 0.5, "visible": 0.2, "whole": 0.5}

    def score(self, patch: Patch, drafts: Sequence[Draft]) -> list[Verdict]:
        """One verdict per draft, in order."""
        full, half = (
            ProgramExecutor(scene_graph(patch)),
            ProgramExecutor(SceneGraph(_halved(patch))),
        )
        # several drafts share the mask of one region
        by_mask = {id(draft.mask): _mask_scores(draft.mask) for draft in drafts}
        return [
            _verdict(
                {**_selection_scores(draft, full, half), **by_mask[id(draft.mask)]}, self.limits
            )
            for draft in drafts
        ]


def _verdict(scores: dict[str, float], limits: Mapping[str, float]) -> Verdict:
    for rule, limit in limits.items():
        if scores[rule] < limit:
            return Verdict(False, rule, scores[rule], limit, scores)
    return Verdict(True, scores=scores)


def _text_scores(draft: Draft) -> dict[str, float]:
    text, task = draft.prompt.text, draft.prompt.task
    fewest, good, upper = _WORD_COUNTS[task]
    words = re.findall(r"[\w'-]+", text.lower())
    count = len(words)
    entry = taxonomy().get(draft.category)
    explicit = task is Task.REASONING and entry is not None and leaked_word(text, entry) is not None
    doubled = any(first == second for first, second in pairwise(words))
    return {
        "implicit": 0.0 if explicit else 1.0,
        "complex": 0.0 if count < fewest else min(1.0, count / good),
        "concise": float(np.clip((upper - count) / (upper - good), 0.0, 1.0)),
        "clear": 0.0 if doubled or not words else len(set(words)) / count,
    }


def _mask_scores(mask: NDArray[np.bool_]) -> dict[str, float]:
    """Visibility of a mask by its area, and the share of its largest 8-connected piece."""
    area = int(np.count_nonzero(mask))
    pieces = np.bincount(label_components(mask).ravel())[1:]
    return {
        "visible": min(1.0, _VISIBLE_DIVISOR * area / mask.size),
        "whole": float(pieces.max() / area) if area else 0.0,
    }


def _selection_scores(
    draft: Draft, full: ProgramExecutor, half: ProgramExecutor
) -> dict[str, float]:
    selection = _selection(draft)
    regions = full.graph.patch.regions
    mask_fits = not draft.regions or np.array_equal(np.isin(regions, draft.regions), draft.mask)
    return {
        "consistent": _agreement(selection, full, draft, 0.0) if mask_fits else 0.0,
        "unique": _agreement(selection, half, draft, 0.5),
    }


def _selection(draft: Draft) -> Expression | str | None:
    """The program's expression, an empty text where there is none, None if it cannot be read."""
    try:
        return parse_program(draft.program) if draft.program else ""
    except ProgramError:
        return None


def _agreement(
    selection: Expression | str | None, run: ProgramExecutor, draft: Draft, unclear: float
) -> float:
    """1 if a program selects the draft's regions, 0 if others, `unclear` if it is ambiguous."""
    if not isinstance(selection, Expression):
        return 0.0 if selection is None else 1.0
    try:
        return float({node.region for node in run.run(selection)} == set(draft.regions))
    except AmbiguousError:
        return unclear
    except ProgramError:
        return 0.0


def _halved(patch: Patch) -> Patch:
    """The patch at half its resolution."""
    regions = np.ascontiguousarray(patch.regions[::2, ::2])
    pixels = np.ascontiguousarray(patch.pixels[::2, ::2])
    gsd_m = None if patch.gsd_m is None else 2 * patch.gsd_m
    return replace(patch, regions=regions, pixels=pixels, gsd_m=gsd_m)
