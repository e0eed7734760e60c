"""Score a file of predictions against a suite, and say everything that is wrong with the file.

The suite is read in order and each prediction is looked up, so neither truth nor predictions are
held in memory; of a sample only the counts stay.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import BinaryIO, Literal

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
"""Of what is computed from the same files; part of the protocol's hash."""

RELEASED_SIDE = 512

_BINS = ((0.0, "nothing"), (0.01, "up to 1 %"), (0.1, "1 to 10 %"), (1.0, "above 10 %"))

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """What is kept of one sample.

    Attributes:
        id: Of the sample.
        group: Its scene; the bootstrap draws whole scenes.
        task: Its task.
        family: Its family.
        category: Its category, or empty.
        source: Where it comes from.
        size: Bin of the truth's share of the image.
        overlap: Pixels, or the boxes' pixels in a suite of boxes.
        truth: Pixels of the truth, or of its box.
        score: How sure the system was, or NaN.
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
    truth: int
    score: float
    seconds: float

    @property
    def found(self) -> int:
        """Pixels of the prediction, or of its box."""
        return self.overlap.intersection + self.overlap.union - self.truth


FACETS = ("task", "family", "category", "source", "size")
"""What results are broken down by."""


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong with a file of predictions or with the suite's files, counted.

    Attributes:
        missing: Samples without a prediction.
        repeated: Lines about a sample that an earlier line is about; the first counts.
        unknown: Predictions of samples that the suite does not have.
        other_size: Predictions of another size than the image.
        malformed: Lines or run-lengths that cannot be read.
        suite: What is wrong with the suite's files, or empty.
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
        return any(getattr(self, each.name) for each in fields(self))

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
        total: Samples that were asked.
        scored: Those with a usable prediction.
        problems: What is wrong.
        protocol: Results with the same hash can be compared: suite, samples, truth, mode, version.
    """

    suite: Suite
    mode: Mode
    families: tuple[str, ...]
    total: int
    scored: tuple[ScoredSample, ...]
    problems: Problems
    protocol: str

    def scores(self, **where: str) -> Scores:
        """Scores of the samples whose facets have these values, such as ``task="referring"``."""
        chosen = [
            each
            for each in self.scored
            if all(getattr(each, facet) == value for facet, value in where.items())
        ]
        return Scores.of((each.overlap for each in chosen), (each.group for each in chosen))

    def by(self, facet: str) -> Mapping[str, Scores]:
        """Scores per value of a facet, by name; sizes from small to large."""
        groups: defaultdict[str, list[ScoredSample]] = defaultdict(list)
        for each in self.scored:
            groups[getattr(each, facet)].append(each)
        order = {name: str(at) for at, (_, name) in enumerate(_BINS)} if facet == "size" else {}
        return {
            name: Scores.of((each.overlap for each in group), (each.group for each in group))
            for name, group in sorted(groups.items(), key=lambda pair: order.get(pair[0], pair[0]))
        }


def score_predictions(
    layout: Layout,
    predictions: PredictionFile,
    *,
    mode: Mode = "native",
    families: Sequence[str] = (),
    progress: Progress = lambda done: None,
) -> Outcome:
    """Score predictions.

    Args:
        layout: The suite.
        predictions: The file.
        mode: How masks are compared.
        families: Families to score; all without it.
        progress: Called with the number of samples done.

    Raises:
        OptionError: If the suite has no sample of these families.
    """
    tally = _Tally(layout.suite, mode, predictions)
    asked, others = _walk(layout, families, tally, progress)
    if not asked and not tally.suite_problem:
        said = " or ".join(families) or "any family"
        raise OptionError(f"{layout.suite.name} has no sample of {said}; look at its files")
    problems = Problems(
        missing=tally.counts["missing"],
        repeated=predictions.repeated,
        unknown=len(predictions.offsets.keys() - asked - others),
        other_size=tally.counts["other_size"],
        malformed=predictions.malformed + tally.counts["malformed"],
        suite=tally.suite_problem,
        example=predictions.example or tally.example,
    )
    digest = _protocol(layout.suite, mode, asked)
    scored = tuple(tally.scored)
    return Outcome(layout.suite, mode, tuple(families), len(asked), scored, problems, digest)


def scored_answers(
    chosen: Iterable[ScoredSample], layout: Layout, predictions: PredictionFile
) -> Iterator[tuple[ScoredSample, Sample, Rle]]:
    """Some scored samples with what was asked and what was found, in the order of the suite.

    Args:
        chosen: Of the result.
        layout: The suite.
        predictions: What was scored.

    Raises:
        DataError: If the suite cannot be read.
    """
    wanted = {each.id: each for each in chosen}
    with predictions.reader() as opened:
        for sample in layout.samples():
            if not wanted:
                return
            scored = wanted.pop(sample.id, None)
            found = predictions.get(opened, sample.id) if scored else None
            if scored and found:
                yield scored, sample, found.rle


def _walk(
    layout: Layout, families: Sequence[str], tally: "_Tally", progress: Progress
) -> tuple[set[str], set[str]]:
    """Take every sample once; give the ids of those that were asked and of the others."""
    asked: set[str] = set()
    others: set[str] = set()
    try:
        with tally.predictions.reader() as opened:
            for sample in layout.samples():
                name = sample.id
                if families and sample.family not in families:
                    others.add(name)
                elif name not in asked:
                    asked.add(name)
                    tally.take(name, sample, opened)
                    progress(len(asked))
    except DataError as error:
        tally.suite_problem = str(error)
    return asked, others


def _protocol(suite: Suite, mode: Mode, asked: Iterable[str]) -> str:
    content = [VERSION, suite.name, suite.split, suite.boxes, mode, sorted(asked)]
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

    def take(self, name: str, sample: Sample, opened: BinaryIO) -> None:
        """Score one sample, or count why it cannot be."""
        prediction = self.predictions.get(opened, name)
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
                self.scored.append(self._scored(name, sample, prediction))

    def _fits(self, prediction: Prediction, sample: Sample) -> bool:
        sizes = [[sample.height, sample.width]]
        if self.mode == "released":
            sizes.append([RELEASED_SIDE, RELEASED_SIDE])
        return prediction.rle["size"] in sizes

    def _scored(self, name: str, sample: Sample, prediction: Prediction) -> ScoredSample:
        compared, truth = _compare(
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
            truth=truth,
            score=prediction.score,
            seconds=prediction.seconds,
        )


def _compare(found: Rle, truth: Rle, *, boxes: bool, mode: Mode) -> tuple[Overlap, int]:
    """The overlap, and the pixels of the truth."""
    if mode == "native" and not boxes:
        return overlap_of_runs(found, truth), rle_area(truth)
    pair = (decode_mask(found), decode_mask(truth))
    if mode == "released":
        pair = (_letterboxed(pair[0]), _letterboxed(pair[1]))
    if boxes:
        box, meant = map(largest_box, pair)
        return overlap_of_boxes(box, meant), overlap_of_boxes(meant, meant).union
    return overlap(*pair), int(pair[1].sum())


def _letterboxed(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) bool in the released square; one of that size stays as it is."""
    from unigeoseg.model.processor import letterbox

    drawn = letterbox(mask.astype(np.uint8), RELEASED_SIDE, interpolation=cv2.INTER_NEAREST)
    return np.asarray(drawn > 0)


def size_bin(sample: Sample) -> str:
    """Bin of the truth's share of the image."""
    share = rle_area(sample.rle) / (sample.width * sample.height)
    return next(name for most, name in _BINS if share <= most)


def outcome_values(
    outcome: Outcome, metrics: Sequence[Metric] = DEFAULT, *, refused: bool = False
) -> dict[str, object]:
    """Everything that was found, as JSON values.

    Args:
        outcome: The result.
        metrics: Which metrics.
        refused: Leave the metrics out, because something is wrong.
    """
    found: dict[str, object] = {
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
        return found
    return found | {
        "definitions": {each.name: each.definition for each in metrics},
        "metrics": _values(outcome.scores(), metrics),
        "by": {
            facet: {name: _values(scores, metrics) for name, scores in outcome.by(facet).items()}
            for facet in FACETS
        },
    }


def _values(scores: Scores, metrics: Sequence[Metric]) -> dict[str, object]:
    values: dict[str, object] = {"samples": len(scores)}
    for each in metrics:
        low, high = scores.interval(each)
        number = {"value": scores.value(each), "low": low, "high": high}
        values[each.name] = {
            name: value if isfinite(value) else None for name, value in number.items()
        }
    return values
