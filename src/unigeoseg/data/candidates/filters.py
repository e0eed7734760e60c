"""Rules that a region must meet before anything is written about it.

Source: paper section 2, stage 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.ledger import RejectionHandler
from unigeoseg.data.patches.patch import Patch, patch_rejection
from unigeoseg.data.programs.graph import Node, SceneGraph, scene_graph
from unigeoseg.data.taxonomy.confusable import confusable


@dataclass(frozen=True, slots=True)
class FilterRules:
    """Limits of the rules; the paper's by default.

    Attributes:
        least_share: Smallest share of the patch that a region covers.
        most_share: Largest share.
        most_alike: Most regions of its category in the patch, itself among them, for referring
            and reasoning.
        apart_px: Another region of its category lies farther than this.
        per_category: At most so many regions per category and patch are described.
    """

    least_share: float = 0.005
    most_share: float = 0.7
    most_alike: int = 6
    apart_px: int = 15
    per_category: int = 2


def filter_candidates(
    patch: Patch,
    found: Sequence[Candidate],
    rng: np.random.Generator,
    reject: RejectionHandler,
    rules: FilterRules | None = None,
) -> list[Candidate]:
    """Candidates of the right size; those that may be described too are marked `describable`.

    Regions whose categories may be taken for each other count as of one category: near-duplicates,
    broader and narrower ones (`language.execute.confusable`).

    Args:
        patch: The patch.
        found: Its candidates.
        rng: Draws which of a category's regions are described.
        reject: Takes note of each rule that was broken, by the names of `Rules`.
        rules: The limits; the paper's without it.
    """
    rules = rules or FilterRules()
    sized = [each for each in found if _sized(patch, each, rules, reject)]
    apart = [each for each in sized if _apart(patch, each, rules, reject)]
    chosen = _sample(patch, apart, rng, rules, reject)
    return [replace(each, describable=each.region in chosen) for each in sized]


def _sized(patch: Patch, each: Candidate, rules: FilterRules, reject: RejectionHandler) -> bool:
    share = each.area_px / patch.regions.size
    if share < rules.least_share:
        _note(patch, each, reject, ("least_share", share, rules.least_share))
    elif share > rules.most_share:
        _note(patch, each, reject, ("most_share", share, rules.most_share))
    else:
        return True
    return False


def _apart(patch: Patch, each: Candidate, rules: FilterRules, reject: RejectionHandler) -> bool:
    """Whether few regions are like it, and none of them near."""
    graph = scene_graph(patch)
    node = graph.nodes[each.region]
    alike = [
        other
        for other in graph.nodes.values()
        if other is not node
        and (_alike(node.category, other.category) or _alike(other.category, node.category))
    ]
    if len(alike) + 1 > rules.most_alike:
        _note(patch, each, reject, ("most_alike", len(alike) + 1, rules.most_alike))
        return False
    gap = _gap(graph, node, alike)
    if gap is not None and gap <= rules.apart_px:
        _note(patch, each, reject, ("apart_px", gap, rules.apart_px))
        return False
    return True


def _alike(asked: int, found: int) -> bool:
    return confusable(asked, found) is not False


def _gap(graph: SceneGraph, node: Node, others: Sequence[Node]) -> float | None:
    """Pixels to the closest of some regions."""
    return min((graph.distance(node, other) / 100 for other in others), default=None)


def _sample(
    patch: Patch,
    apart: Sequence[Candidate],
    rng: np.random.Generator,
    rules: FilterRules,
    reject: RejectionHandler,
) -> set[int]:
    """Region ids of at most so many candidates of each category."""
    chosen: set[int] = set()
    for category in sorted({each.category for each in apart}):
        alike = [each for each in apart if each.category == category]
        order = rng.permutation(len(alike))
        chosen |= {alike[at].region for at in order[: rules.per_category]}
        for at in order[rules.per_category :]:
            _note(patch, alike[at], reject, ("per_category", len(alike), rules.per_category))
    return chosen


def _note(
    patch: Patch, each: Candidate, reject: RejectionHandler, broken: tuple[str, float, float]
) -> None:
    rule, value, limit = broken
    reject(patch_rejection(patch, "rule", rule, f"region {each.region}", (value, limit)))
