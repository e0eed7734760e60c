"""Scoring: a file of predictions against a suite, with everything that is wrong with the file.

The suite is read in order and the prediction of each sample is looked up, so no truth is held in
memory; of a sample only pixel counts stay.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Literal

import cv2
import numpy as np

from unigeoseg.errors import DataError, OptionError
from unigeoseg.evaluate.metrics import (
    DEFAULT,
    Metric,
    Overlap,
    Scores,
    largest_box,
    overlap,
    overlap_of_boxes,
    overlap_of_runs,
)
from unigeoseg.evaluate.predictions import Prediction, PredictionFile
from unigeoseg.evaluate.suites.catalog import Suite
from unigeoseg.evaluate.suites.layouts import Layout
from unigeoseg.geo.masks import Rle, check_rle, decode_mask, rle_area
from unigeoseg.sample import Sample

Mode = Literal["native", "released"]
"""Masks at the image's own size, or letterboxed to 512 pixels as the released code scores them."""

VERSION = 1
"""Of the scoring; part of the protocol's hash."""

RELEASED_SIDE = 512
"""Side of the square in which the released code compares masks, in pixels."""

_SIZE_BINS = ((0.0, "nothing"), (0.01, "up to 1 %"), (0.1, "1 to 10 %"), (1.0, "above 10 %"))

Progress = Callable[[int], None]
"""Called with the number of samples scored."""


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """One sample's score: facets to group by, pixel counts, confidence.

    Attributes:
        id: Of the sample.
        group: Its scene; the bootstrap draws whole scenes.
        task: Its task.
        family: Its family.
        category: Its category, or empty.
        source: Where it comes from.
        size: Bin of the truth's share of the image.
        overlap: Pixels of both masks and of either, or of their boxes in a suite of boxes.
        truth_px: Pixels of the truth, or of its box.
        confidence: The system's, or NaN.
        seconds: Time spent, or NaN.
    """

    id: str
    group: str
    task: str
    family: str
    category: str
    source: str
    size: str
    overlap: Overlap
    truth_px: int
    confidence: float
    seconds: float

    @property
    def predicted_px(self) -> int:
        """Pixels of the prediction, or of its box."""
        return self.overlap.intersection + self.overlap.union - self.truth_px


FACETS = ("task", "family", "category", "source", "size")
"""Attributes of `ScoredSample` that results are broken down by."""


@dataclass(frozen=True, slots=True)
class Problems:
    """Counted problems of a file of predictions and of the suite's files.

    Attributes:
        missing: Samples without a prediction.
        repeated: Lines about a sample that an earlier line is about; the first counts.
        unknown: Predictions of samples that the suite does not have.
        other_size: Predictions of another size than the image.
        malformed: Lines or run-lengths that cannot be read.
        suite: The first problem of the suite's files, or empty.
        example: The first malformed line, or empty.
    """

    missing: int = 0
    repeated: int = 0
    unknown: int = 0
    other_size: int = 0
    malformed: int = 0
    suite: str = ""
    example: str = ""

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return any(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        """The counts in words."""
        counts = [f"{count} {name}" for name, count in self.counts.items() if count]
        return "; ".join(counts + [text for text in (self.suite, self.example) if text])

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name."""
        names = ("missing", "repeated", "unknown", "other_size", "malformed")
        return {name.replace("_", " "): getattr(self, name) for name in names}


@dataclass(frozen=True)
class Outcome:
    """A system's result on a suite.

    Attributes:
        suite: The suite.
        mode: How masks were compared.
        families: The families that were scored; all of them if empty.
        total: Samples of these families.
        scored: Those with a usable prediction.
        problems: Missing, malformed and unusable predictions.
        protocol: Results with the same hash can be compared: suite, samples, truth, mode, version.
    """

    suite: Suite
    mode: Mode
    families: tuple[str, ...]
    total: int
    scored: tuple[ScoredSample, ...]
    problems: Problems
    protocol: str

    def scores(self, **facets: str) -> Scores:
        """Scores of the samples whose facets have these values, such as ``task="referring"``."""
        return _scores_of(
            sample
            for sample in self.scored
            if all(getattr(sample, facet) == value for facet, value in facets.items())
        )

    def by(self, facet: str) -> Mapping[str, Scores]:
        """Scores per value of a facet, by name; sizes from small to large."""
        groups: defaultdict[str, list[ScoredSample]] = defaultdict(list)
        for sample in self.scored:
            groups[getattr(sample, facet)].append(sample)
        order = {name: str(rank) for rank, (_, name) in enumerate(_SIZE_BINS)}
        ranks = order if facet == "size" else {}
        return {
            name: _scores_of(groups[name])
            for name in sorted(groups, key=lambda name: ranks.get(name, name))
        }


def _scores_of(samples: Iterable[ScoredSample]) -> Scores:
    members = list(samples)
    return Scores.of((sample.overlap for sample in members), (sample.group for sample in members))


def score_predictions(
    layout: Layout,
    predictions: PredictionFile,
    *,
    mode: Mode = "native",
    families: Sequence[str] = (),
    progress: Progress = lambda count: None,
) -> Outcome:
    """Score predictions.

    Args:
        layout: The suite.
        predictions: The file.
        mode: How masks are compared.
        families: Families to score; all without it.
        progress: Called with the number of samples scored.

    Raises:
        OptionError: If the suite has no sample of these families.
    """
    tally = _Tally(layout.suite, mode, predictions)
    selected, unselected = _score_samples(layout, families, tally, progress)
    if not selected and not tally.suite_problem:
        names = " or ".join(families) or "any family"
        raise OptionError(f"{layout.suite.name} has no sample of {names}; look at its files")
    problems = Problems(
        missing=tally.counts["missing"],
        repeated=predictions.repeated,
        unknown=len(predictions.predictions.keys() - selected - unselected),
        other_size=tally.counts["other_size"],
        malformed=predictions.malformed + tally.counts["malformed"],
        suite=tally.suite_problem,
        example=predictions.example or tally.example,
    )
    digest = _protocol_hash(layout.suite, mode, selected)
    scored = tuple(tally.scored)
    return Outcome(layout.suite, mode, tuple(families), len(selected), scored, problems, digest)


def scored_answers(
    scored: Iterable[ScoredSample], layout: Layout, predictions: PredictionFile
) -> Iterator[tuple[ScoredSample, Sample, Rle]]:
    """Some scored samples with their samples and predicted masks, in the order of the suite.

    Args:
        scored: Some of the result's.
        layout: The suite.
        predictions: The file that was scored.

    Raises:
        DataError: If the suite cannot be read.
    """
    remaining = {score.id: score for score in scored}
    for sample in layout.samples():
        if not remaining:
            return
        score = remaining.pop(sample.id, None)
        prediction = predictions.predictions.get(sample.id)
        if score and prediction:
            yield score, sample, prediction.rle


def _score_samples(
    layout: Layout, families: Sequence[str], tally: "_Tally", progress: Progress
) -> tuple[set[str], set[str]]:
    """Score every sample once; give the ids of those of the families, and of those of others."""
    selected: set[str] = set()
    unselected: set[str] = set()
    try:
        for sample in layout.samples():
            name = sample.id
            if families and sample.family not in families:
                unselected.add(name)
            elif name not in selected:
                selected.add(name)
                tally.add(name, sample)
                progress(len(selected))
    except DataError as error:
        tally.suite_problem = str(error)
    return selected, unselected


def _protocol_hash(suite: Suite, mode: Mode, ids: Iterable[str]) -> str:
    content = [VERSION, suite.name, suite.split, suite.boxes, mode, sorted(ids)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


@dataclass
class _Tally:
    """The result while the suite is read."""

    suite: Suite
    mode: Mode
    predictions: PredictionFile
    scored: list[ScoredSample] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    suite_problem: str = ""
    example: str = ""

    def add(self, name: str, sample: Sample) -> None:
        """Score one sample, or count why it cannot be scored."""
        prediction = self.predictions.predictions.get(name)
        if prediction is None:
            self.counts["missing"] += 1
        elif not self._fits(prediction, sample):
            self.counts["other_size"] += 1
        else:
            try:
                check_rle(prediction.rle)
            except DataError as error:
                self.counts["malformed"] += 1
                self.example = self.example or f"{name}: {error}"
            else:
                self.scored.append(self._score(name, sample, prediction))

    def _fits(self, prediction: Prediction, sample: Sample) -> bool:
        sizes = [[sample.height, sample.width]]
        if self.mode == "released":
            sizes.append([RELEASED_SIDE, RELEASED_SIDE])
        return prediction.rle["size"] in sizes

    def _score(self, name: str, sample: Sample, prediction: Prediction) -> ScoredSample:
        compared, truth_px = _compare(
            prediction.rle, sample.rle, boxes=self.suite.boxes, mode=self.mode
        )
        return ScoredSample(
            id=name,
            group=sample.group,
            task=sample.prompt.task.value,
            family=sample.family,
            category=sample.category,
            source=sample.source,
            size=size_bin(sample),
            overlap=compared,
            truth_px=truth_px,
            confidence=prediction.score,
            seconds=prediction.seconds,
        )


def _compare(predicted: Rle, truth: Rle, *, boxes: bool, mode: Mode) -> tuple[Overlap, int]:
    """The overlap, and the pixels of the truth."""
    if mode == "native" and not boxes:
        return overlap_of_runs(predicted, truth), rle_area(truth)
    mask, target = decode_mask(predicted), decode_mask(truth)
    if mode == "released":
        mask, target = _letterboxed(mask), _letterboxed(target)
    if boxes:
        box, target_box = largest_box(mask), largest_box(target)
        return overlap_of_boxes(box, target_box), overlap_of_boxes(target_box, target_box).union
    return overlap(mask, target), int(target.sum())


def _letterboxed(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) bool in the released square; one of that size stays as it is."""
    from unigeoseg.model.processor import letterbox

    square = letterbox(mask.astype(np.uint8), RELEASED_SIDE, interpolation=cv2.INTER_NEAREST)
    return np.asarray(square > 0)


def size_bin(sample: Sample) -> str:
    """Bin of the truth's share of the image."""
    share = rle_area(sample.rle) / (sample.width * sample.height)
    return next(name for largest, name in _SIZE_BINS if share <= largest)


def outcome_values(
    outcome: Outcome, metrics: Sequence[Metric] = DEFAULT, *, refused: bool = False
) -> dict[str, object]:
    """The result as JSON values.

    Args:
        outcome: The result.
        metrics: Which metrics.
        refused: Leave the metrics out, because something is wrong.
    """
    values: dict[str, object] = {
        "suite": outcome.suite.name,
        "title": outcome.suite.title,
        "mode": outcome.mode,
        "families": list(outcome.families),
        "protocol": outcome.protocol,
        "samples": outcome.total,
        "scored": len(outcome.scored),
        "partial": bool(outcome.problems),
        "problems": asdict(outcome.problems),
    }
    if refused:
        return values
    return values | {
        "definitions": {metric.name: metric.definition for metric in metrics},
        "metrics": _metric_values(outcome.scores(), metrics),
        "by": {
            facet: {
                name: _metric_values(scores, metrics) for name, scores in outcome.by(facet).items()
            }
            for facet in FACETS
        },
    }


def _metric_values(scores: Scores, metrics: Sequence[Metric]) -> dict[str, object]:
    values: dict[str, object] = {"samples": len(scores)}
    for metric in metrics:
        low, high = scores.interval(metric)
        number = {"value": scores.value(metric), "low": low, "high": high}
        values[metric.name] = {
            name: value if isfinite(value) else None for name, value in number.items()
        }
    return values
