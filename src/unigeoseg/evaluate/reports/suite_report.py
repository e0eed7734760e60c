"""The report on one system: tables, bars, calibration, failures, pictures."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from unigeoseg.evaluate.calibration import calibration_parts
from unigeoseg.evaluate.metrics import DEFAULT
from unigeoseg.evaluate.predictions import PredictionFile
from unigeoseg.evaluate.reports.published import published_comparison
from unigeoseg.evaluate.reports.score_tables import (
    PARTIAL,
    giou_bars,
    overall_table,
    problem_lines,
    score_table,
)
from unigeoseg.evaluate.score import RELEASED_SIDE, Outcome, ScoredSample, scored_answers
from unigeoseg.evaluate.suites.layouts import Layout
from unigeoseg.geo.masks import Rle, decode_mask
from unigeoseg.report.document import Part, Picture, Section, Table
from unigeoseg.report.overlay import BLUE, draw_contour, draw_sample

PICTURES = 12
"""Worst samples, and random ones, that a report shows."""

_GOOD = 0.5
_LARGEST_PX = 512  # longer side of a picture


def suite_sections(
    outcome: Outcome, name: str, layout: Layout, predictions: PredictionFile
) -> list[Section]:
    """The whole report.

    Args:
        outcome: The result.
        name: Of the system.
        layout: The suite, for its pictures.
        predictions: What was scored.
    """
    worst, chance = worst_samples(outcome), random_samples(outcome)
    drawn = sample_pictures([*worst, *chance], layout, predictions)
    head: list[Part] = ["\n".join(problem_lines(outcome))]
    head += [PARTIAL] if outcome.problems else []
    facets = [("By source", "source"), ("By size of the truth", "size")]
    return [
        Section("Scores", [*head, overall_table(outcome)]),
        Section(
            "Beside published numbers", published_comparison(outcome, name) or ["None are known."]
        ),
        *(Section(title, [score_table(outcome.by(facet), DEFAULT)]) for title, facet in facets),
        Section("By category", [giou_bars(outcome.by("category"))]),
        Section("Calibration", calibration_parts(outcome.scored)),
        Section("Failures", [failure_table(outcome.scored)]),
        Section("Worst samples", [drawn[each.id] for each in worst if each.id in drawn]),
        Section("Random samples", [drawn[each.id] for each in chance if each.id in drawn]),
    ]


def worst_samples(outcome: Outcome, count: int = PICTURES) -> list[ScoredSample]:
    """Samples with the lowest IoU."""
    return sorted(outcome.scored, key=lambda each: (each.overlap.iou, each.id))[:count]


def random_samples(outcome: Outcome, count: int = PICTURES) -> list[ScoredSample]:
    """Samples by chance, the same for the same samples."""
    ordered = sorted(outcome.scored, key=lambda each: each.id)
    chosen = np.random.default_rng(0).permutation(len(ordered))[:count]
    return [ordered[at] for at in chosen]


_FAILURES: Sequence[tuple[str, Callable[[ScoredSample], bool]]] = (
    (f"good: IoU above {_GOOD}", lambda each: each.overlap.iou > _GOOD),
    ("something found where nothing is meant", lambda each: each.truth == 0),
    ("nothing found", lambda each: each.found == 0),
    ("elsewhere: no pixel shared", lambda each: each.overlap.intersection == 0),
    ("too much: more than twice the truth", lambda each: each.found > 2 * each.truth),
    ("too little: less than half of the truth", lambda each: 2 * each.found < each.truth),
    ("beside: about the right size", lambda each: True),
)


def failure_table(scored: Iterable[ScoredSample]) -> Table:
    """Samples by what went wrong; each belongs to the first kind that fits."""
    groups: defaultdict[str, list[ScoredSample]] = defaultdict(list)
    for each in scored:
        groups[next(name for name, fits in _FAILURES if fits(each))].append(each)
    total = sum(map(len, groups.values()))
    rows = [
        (name, str(len(members)), f"{100 * len(members) / total:.1f} %", _commonest(members))
        for name, _ in _FAILURES
        if (members := groups.get(name))
    ]
    return Table(("kind", "samples", "share", "most often"), rows)


def _commonest(members: Sequence[ScoredSample]) -> str:
    counts: defaultdict[str, int] = defaultdict(int)
    for each in members:
        counts[each.family or each.task] += 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} {count}" for name, count in ranked[:2])


def sample_pictures(
    chosen: Sequence[ScoredSample], layout: Layout, predictions: PredictionFile
) -> dict[str, Picture]:
    """Pictures of samples by id: the truth in yellow, the prediction in blue, the prompt in red."""
    drawn: dict[str, Picture] = {}
    for scored, sample, rle in scored_answers(chosen, layout, predictions):
        shown = _outline(draw_sample(layout.pixels(sample.image), sample), rle)
        said = sample.prompt.instruction(sample.width, sample.height)
        words = f"{said}\nIoU {100 * scored.overlap.iou:.1f}, {sample.category}\n{scored.id}"
        drawn[scored.id] = Picture(_jpeg(shown), words, f"{scored.id}.jpg")
    return drawn


def _outline(pixels: np.ndarray, rle: Rle) -> np.ndarray:
    inner = decode_mask(rle)
    if inner.shape != pixels.shape[:2]:  # a released square
        inner = _unboxed(inner, pixels.shape[:2])
    return draw_contour(pixels, inner, BLUE)


def _unboxed(square: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from unigeoseg.model.processor import letterbox_place

    inner = square[letterbox_place(*shape, RELEASED_SIDE)].astype(np.uint8)
    return cv2.resize(inner, shape[::-1], interpolation=cv2.INTER_NEAREST) > 0


def _jpeg(pixels: np.ndarray) -> bytes:
    """A picture (H, W, 3) RGB, shrunk where it is large."""
    scale = min(1.0, _LARGEST_PX / max(pixels.shape[:2]))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, packed = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done, "OpenCV writes every 8-bit image as JPEG"
    return packed.tobytes()
