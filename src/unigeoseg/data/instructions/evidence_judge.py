"""A judge that measures: whether a region stands out in the pixels and is in one piece.

It replaces the vision-language model of paper section 2, stage 5, where there is none. It knows
nothing of meaning; what it can measure is distinctness and wholeness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.protocols import Verdict
from unigeoseg.data.patches.patch import Patch
from unigeoseg.geo.masks import label_components

_RING_PX = 9  # width of the surroundings that a region is compared with
_BINS = 8  # per channel of the colour histogram
_LEVELS = 256  # of lightness, whose whole range is used
_LOWEST_CHROMA, _CHROMA_LEVELS = 96, 64  # a and b of 8-bit Lab are within 32 of 128 on the ground
_NO_EVIDENCE = 0.5  # of an edge that cannot be compared with its surroundings
_BAND_PX, _BAND_GAP_PX = 3, 5  # sides of the squares that the outline and its gap are dilated by


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is measured of a region, each from 0 to 1; as limits, the lowest that is accepted.

    The default limits drop what a person could hardly outline: an edge that is no edge, colours
    that are those of the surroundings, thin shreds, an object mostly hidden.

    Attributes:
        edge: Mean gradient along the outline over that sum with the mean gradient of what lies on
            both sides; one half if the outline is like its surroundings.
        colour: Hellinger distance between the Lab histograms inside and around the region.
        compact: Area over that of the convex hull.
        whole: Share of the largest 8-connected piece.
        framed: Share of the region's box sides that the patch's edge does not cut.
    """

    edge: float = 0.4
    colour: float = 0.2
    compact: float = 0.08
    whole: float = 0.5
    framed: float = 0.25


class EvidenceJudge:
    """Accepts candidates that meet every limit.

    Args:
        limits: The lowest of each measure that is accepted.
    """

    name = "evidence/1"

    def __init__(self, limits: Evidence | None = None) -> None:
        self._limits = limits or Evidence()

    def judge(self, patch: Patch, candidates: Sequence[Candidate]) -> list[Verdict]:
        """One verdict per candidate, in order."""
        if not candidates:
            return []
        lab = np.asarray(cv2.cvtColor(patch.pixels, cv2.COLOR_RGB2LAB), np.uint8)
        light = lab[..., 0].astype(np.float32)
        gradient = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
        return [
            evidence_verdict(measure_evidence(lab, gradient, candidate), self._limits)
            for candidate in candidates
        ]


def evidence_verdict(evidence: Evidence, limits: Evidence) -> Verdict:
    """Accepted if no measure is below its limit; else the first that is."""
    scores = {field.name: float(getattr(evidence, field.name)) for field in fields(Evidence)}
    for rule, value in scores.items():
        limit = getattr(limits, rule)
        if value < limit:
            return Verdict(False, rule, value, limit, scores)
    return Verdict(True, scores=scores)


def measure_evidence(
    lab: NDArray[np.uint8], gradient: NDArray[np.float32], candidate: Candidate
) -> Evidence:
    """Measure how a candidate stands out from its surroundings.

    Args:
        lab: (H, W, 3) uint8, the patch in OpenCV's 8-bit Lab.
        gradient: (H, W) float32, magnitude of the gradient of its lightness.
        candidate: The region.
    """
    height, width = candidate.mask.shape
    x0, y0, x1, y1 = candidate.box
    window = (
        slice(max(y0 - _RING_PX, 0), min(y1 + _RING_PX, height)),
        slice(max(x0 - _RING_PX, 0), min(x1 + _RING_PX, width)),
    )
    inside = candidate.mask[window]
    around = (_dilated(inside, 2 * _RING_PX + 1) & ~inside).astype(np.bool_)
    sides = sum((x0 > 0, y0 > 0, x1 < width, y1 < height))
    return Evidence(
        edge=_edge(gradient[window], inside, around),
        colour=_colour(lab[window], inside, around),
        compact=_compact(inside, candidate.area_px),
        whole=_largest_piece_share(inside, candidate.area_px),
        framed=sides / 4,
    )


def _edge(
    gradient: NDArray[np.float32], inside: NDArray[np.bool_], around: NDArray[np.bool_]
) -> float:
    outline = _dilated(inside, _BAND_PX) & _dilated(~inside, _BAND_PX)
    both_sides = (inside | around) & ~_dilated(outline, _BAND_GAP_PX)
    if not outline.any() or not both_sides.any():
        return _NO_EVIDENCE
    on, off = float(gradient[outline].mean()), float(gradient[both_sides].mean())
    return on / (on + off) if on + off > 0 else 0.0


def _colour(lab: NDArray[np.uint8], inside: NDArray[np.bool_], around: NDArray[np.bool_]) -> float:
    if not around.any():
        return 1.0
    within, without = _histogram(lab[inside]), _histogram(lab[around])
    return float(np.sqrt(max(0.0, 1.0 - float(np.sqrt(within * without).sum()))))


def _histogram(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shares of (N, 3) uint8 colours in _BINS ** 3 bins of the range that aerial images use."""
    bins = np.empty(colours.shape, np.int64)
    bins[:, 0] = colours[:, 0] // (_LEVELS // _BINS)
    chroma = colours[:, 1:].astype(np.int64) - _LOWEST_CHROMA
    bins[:, 1:] = np.clip(chroma // (_CHROMA_LEVELS // _BINS), 0, _BINS - 1)
    flat = (bins[:, 0] * _BINS + bins[:, 1]) * _BINS + bins[:, 2]
    return np.bincount(flat, minlength=_BINS**3) / len(colours)


def _compact(inside: NDArray[np.bool_], area_px: int) -> float:
    rows, columns = np.nonzero(inside)
    hull = cv2.convexHull(np.column_stack([columns, rows]).astype(np.int32))
    # pixels are squares: a hull of their centres is half a pixel short all round
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    return min(1.0, area_px / hull_area)


def _largest_piece_share(inside: NDArray[np.bool_], area_px: int) -> float:
    return float(np.bincount(label_components(inside).ravel())[1:].max() / area_px)


def _dilated(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
    return np.asarray(grown > 0)
