"""Filtering of candidates: rules that a region meets before anything is written about it.

Source: paper section 2, stage 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.ledger import RejectionHandler
from unigeoseg.data.patches.patch import Patch, patch_rejection
from unigeoseg.data.programs.graph import Node, SceneGraph, scene_graph
from unigeoseg.data.programs.outlines import UNITS_PER_PX
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
    candidates: Sequence[Candidate],
    rng: np.random.Generator,
    reject: RejectionHandler,
    rules: FilterRules | None = None,
) -> list[Candidate]:
    """Candidates of an allowed size; those that may be described too are marked `describable`.

    Regions whose categories may be taken for each other count as of one category: near-duplicates,
    broader and narrower ones (`taxonomy.confusable`).

    Args:
        patch: The patch.
        candidates: Its candidates.
        rng: Draws which of a category's regions are described.
        reject: Records each rule that was broken, by the names of `FilterRules`.
        rules: The limits; the paper's without it.
    """
    rules = rules or FilterRules()
    sized = [
        candidate for candidate in candidates if _has_allowed_size(patch, candidate, rules, reject)
    ]
    isolated = [candidate for candidate in sized if _is_isolated(patch, candidate, rules, reject)]
    described = _sample_per_category(patch, isolated, rng, rules, reject)
    return [replace(candidate, describable=candidate.region in described) for candidate in sized]


def _has_allowed_size(
    patch: Patch, candidate: Candidate, rules: FilterRules, reject: RejectionHandler
) -> bool:
    share = candidate.area_px / patch.regions.size
    if share < rules.least_share:
        _reject(patch, candidate, reject, ("least_share", share, rules.least_share))
    elif share > rules.most_share:
        _reject(patch, candidate, reject, ("most_share", share, rules.most_share))
    else:
        return True
    return False


def _is_isolated(
    patch: Patch, candidate: Candidate, rules: FilterRules, reject: RejectionHandler
) -> bool:
    """Whether few regions may be taken for it, and none of them is near."""
    graph = scene_graph(patch)
    node = graph.nodes[candidate.region]
    rivals = [
        rival
        for rival in graph.nodes.values()
        if rival is not node
        and (_may_mean(node.category, rival.category) or _may_mean(rival.category, node.category))
    ]
    if len(rivals) + 1 > rules.most_alike:
        _reject(patch, candidate, reject, ("most_alike", len(rivals) + 1, rules.most_alike))
        return False
    gap = _gap_px(graph, node, rivals)
    if gap is not None and gap <= rules.apart_px:
        _reject(patch, candidate, reject, ("apart_px", gap, rules.apart_px))
        return False
    return True


def _may_mean(queried: int, actual: int) -> bool:
    return confusable(queried, actual) is not False


def _gap_px(graph: SceneGraph, node: Node, rivals: Sequence[Node]) -> float | None:
    """Pixels to the closest of some regions; None if there are none."""
    return min((graph.distance(node, rival) / UNITS_PER_PX for rival in rivals), default=None)


def _sample_per_category(
    patch: Patch,
    isolated: Sequence[Candidate],
    rng: np.random.Generator,
    rules: FilterRules,
    reject: RejectionHandler,
) -> set[int]:
    """Region ids of at most so many candidates of each category."""
    sampled: set[int] = set()
    for category in sorted({candidate.category for candidate in isolated}):
        members = [candidate for candidate in isolated if candidate.category == category]
        order = rng.permutation(len(members))
        sampled |= {members[at].region for at in order[: rules.per_category]}
        for at in order[rules.per_category :]:
            _reject(patch, members[at], reject, ("per_category", len(members), rules.per_category))
    return sampled


def _reject(
    patch: Patch,
    candidate: Candidate,
    reject: RejectionHandler,
    broken_rule: tuple[str, float, float],
) -> None:
    rule, value, limit = broken_rule
    reject(patch_rejection(patch, "rule", rule, f"region {candidate.region}", (value, limit)))
