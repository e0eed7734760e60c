"""The report on one system: tables, bars, calibration, failures, pictures."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

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
_QUALITY = 88  # of its JPEG


def suite_sections(
    outcome: Outcome, name: str, layout: Layout, predictions: PredictionFile
) -> list[Section]:
    """The whole report.

    Args:
        outcome: The result.
        name: Of the system.
        layout: The suite, for its pictures.
        predictions: The file that was scored.
    """
    worst, random = worst_scored_samples(outcome), random_scored_samples(outcome)
    pictures = sample_pictures([*worst, *random], layout, predictions)
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
        Section("Worst samples", _pictures_of(worst, pictures)),
        Section("Random samples", _pictures_of(random, pictures)),
    ]


def _pictures_of(scored: Sequence[ScoredSample], pictures: Mapping[str, Picture]) -> list[Picture]:
    return [pictures[sample.id] for sample in scored if sample.id in pictures]


def worst_scored_samples(outcome: Outcome, count: int = PICTURES) -> list[ScoredSample]:
    """Samples with the lowest IoU."""
    return sorted(outcome.scored, key=lambda sample: (sample.overlap.iou, sample.id))[:count]


def random_scored_samples(outcome: Outcome, count: int = PICTURES) -> list[ScoredSample]:
    """Samples by chance, the same for the same samples."""
    ordered = sorted(outcome.scored, key=lambda sample: sample.id)
    indices = np.random.default_rng(0).permutation(len(ordered))[:count]
    return [ordered[index] for index in indices]


_FAILURES: Sequence[tuple[str, Callable[[ScoredSample], bool]]] = (
    (f"good: IoU above {_GOOD}", lambda sample: sample.overlap.iou > _GOOD),
    ("something found where nothing is meant", lambda sample: sample.truth_px == 0),
    ("nothing found", lambda sample: sample.predicted_px == 0),
    ("elsewhere: no pixel shared", lambda sample: sample.overlap.intersection == 0),
    (
        "too much: more than twice the truth",
        lambda sample: sample.predicted_px > 2 * sample.truth_px,
    ),
    (
        "too little: less than half of the truth",
        lambda sample: 2 * sample.predicted_px < sample.truth_px,
    ),
    ("beside: about the right size", lambda sample: True),
)


def failure_table(scored: Iterable[ScoredSample]) -> Table:
    """Samples by what went wrong; each belongs to the first kind that fits."""
    groups: defaultdict[str, list[ScoredSample]] = defaultdict(list)
    for sample in scored:
        groups[next(name for name, fits in _FAILURES if fits(sample))].append(sample)
    total = sum(map(len, groups.values()))
    rows = [
        (name, str(len(members)), f"{100 * len(members) / total:.1f} %", _commonest(members))
        for name, _ in _FAILURES
        if (members := groups.get(name))
    ]
    return Table(("kind", "samples", "share", "most often"), rows)


def _commonest(members: Sequence[ScoredSample]) -> str:
    counts: defaultdict[str, int] = defaultdict(int)
    for sample in members:
        counts[sample.family or sample.task] += 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} {count}" for name, count in ranked[:2])


def sample_pictures(
    scored: Sequence[ScoredSample], layout: Layout, predictions: PredictionFile
) -> dict[str, Picture]:
    """Pictures of samples by id: the truth in yellow, the prediction in blue, the prompt in red."""
    pictures: dict[str, Picture] = {}
    for score, sample, rle in scored_answers(scored, layout, predictions):
        pixels = _with_prediction(draw_sample(layout.pixels(sample.image), sample), rle)
        instruction = sample.prompt.instruction(sample.width, sample.height)
        caption = f"{instruction}\nIoU {100 * score.overlap.iou:.1f}, {sample.category}\n{score.id}"
        pictures[score.id] = Picture(_jpeg(pixels), caption, f"{score.id}.jpg")
    return pictures


def _with_prediction(pixels: np.ndarray, rle: Rle) -> np.ndarray:
    """Pixels (H, W, 3) with the contour of the predicted mask."""
    mask = decode_mask(rle)
    if mask.shape != pixels.shape[:2]:  # a mask in the released square
        mask = _without_letterbox(mask, pixels.shape[:2])
    return draw_contour(pixels, mask, BLUE)


def _without_letterbox(square: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from unigeoseg.model.processor import letterbox_place

    inner = square[letterbox_place(*shape, RELEASED_SIDE)].astype(np.uint8)
    return cv2.resize(inner, shape[::-1], interpolation=cv2.INTER_NEAREST) > 0


def _jpeg(pixels: np.ndarray) -> bytes:
    """A picture (H, W, 3) RGB, shrunk where it is large."""
    scale = min(1.0, _LARGEST_PX / max(pixels.shape[:2]))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    success, packed = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert success, "OpenCV writes every 8-bit image as JPEG"
    return packed.tobytes()
