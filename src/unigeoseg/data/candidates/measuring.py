"""Candidate extraction: the regions of a patch, measured.

Source: paper section 2, stage 3. Only invalid labels and tiny specks are dropped here.
"""

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.ledger import RejectionHandler
from unigeoseg.data.patches.patch import Patch, patch_rejection
from unigeoseg.data.programs.graph import SPECK_PX, Node, scene_graph
from unigeoseg.data.programs.outlines import UNITS_PER_PX
from unigeoseg.data.taxonomy.categories import taxonomy


def measure_candidates(patch: Patch, reject: RejectionHandler) -> list[Candidate]:
    """The visible regions of a patch, in order of their ids.

    Args:
        patch: Its regions are objects or 8-connected pieces.
        reject: Records regions whose category is no target ("not_a_target") and of those
            with fewer pixels than `programs.graph.SPECK_PX` ("speck").
    """
    graph = scene_graph(patch)
    candidates = []
    for region, category in sorted(patch.categories.items()):
        node, entry, detail = graph.nodes.get(region), taxonomy()[category], f"region {region}"
        if node is None:
            area = int(np.count_nonzero(patch.regions == region))
            reject(
                patch_rejection(patch, "candidate", "speck", detail, (area, SPECK_PX[entry.kind]))
            )
        elif not entry.target:
            reject(patch_rejection(patch, "candidate", "not_a_target", detail))
        else:
            candidates.append(_candidate(patch, node))
    return candidates


def _candidate(patch: Patch, node: Node) -> Candidate:
    return Candidate(
        region=node.region,
        category=node.category,
        mask=patch.regions == node.region,
        area_px=node.area_px,
        box=node.box,
        centre=(node.x / UNITS_PER_PX, node.y / UNITS_PER_PX),
    )
