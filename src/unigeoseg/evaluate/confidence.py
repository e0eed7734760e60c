"""Platt scaling: lines on logits that make confidence agree with the IoU of the masks.

The network's score is trained as the mask's expected IoU, on training images and towards 0 where
there is no target. Nothing holds it to other images, task by task, and for an empty mask it is the
opposite of a confidence. A line on its logit for each task, and one for empty masks, corrects both
(`ConfidenceConfig`).
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from unigeoseg.errors import DataError
from unigeoseg.evaluate.calibration import expected_calibration_error, reliability_bins
from unigeoseg.evaluate.predictions import PredictionFile
from unigeoseg.evaluate.run import Progress, RunCard, run_suite
from unigeoseg.evaluate.score import Outcome, ScoredSample, score_predictions
from unigeoseg.evaluate.suites.layouts import Layout
from unigeoseg.evaluate.systems.registry import load_system
from unigeoseg.model.config import ConfidenceConfig
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.store import weights_directory
from unigeoseg.prompt import Task
from unigeoseg.report.document import Table

RIDGE = 1.0
"""Weight of the ridge penalty, which draws a line towards the one that changes nothing."""

_UNCALIBRATED = ConfidenceConfig()
_LEAST_CONFIDENCE = 1e-6  # a file of predictions has six digits

Line = tuple[float, float]
"""Slope and shift of a logit."""


@dataclass(frozen=True)
class CalibratedModel:
    """A calibrated model: its lines, and its answers with and without them.

    Attributes:
        outcome: Its answers with confidences as the network has them.
        confidence: The lines.
        scored: The same answers with confidences by the lines.
    """

    outcome: Outcome
    confidence: ConfidenceConfig
    scored: tuple[ScoredSample, ...]


def calibrate_model(
    layout: Layout,
    model: str,
    folder: Path,
    progress: Progress = lambda count, total: None,
) -> CalibratedModel:
    """Run a model, fit the lines, and make a copy of the model that has them.

    Args:
        layout: The suite; its images fit into one view (`ViewConfig.whole`).
        model: A model of ours, as `weights_directory` takes it.
        folder: Empty directory for the copy.
        progress: Called as samples are done.

    Raises:
        CheckpointError: If there is no such model.
        DataError: If the suite cannot be read, or no answer can be scored.
    """
    checkpoint.copy_model(weights_directory(model), folder)
    checkpoint.set_confidence(folder, _UNCALIBRATED)
    with tempfile.TemporaryDirectory() as temporary:
        answers = Path(temporary) / "predictions.jsonl"
        run_suite(layout, answers, RunCard(layout.suite.name, str(folder)), progress=progress)
        outcome = score_predictions(layout, PredictionFile.open(answers))
    load_system.cache_clear()  # it holds the model of this folder without the lines
    if not outcome.scored:
        raise DataError(f"no answer of {model} on {layout.suite.title} counts: {outcome.problems}")
    confidence = fit_confidence(outcome.scored)
    checkpoint.set_confidence(folder, confidence)
    return CalibratedModel(outcome, confidence, tuple(with_confidence(outcome.scored, confidence)))


def fit_confidence(scored: Sequence[ScoredSample]) -> ConfidenceConfig:
    """The lines under which confidences agree best with IoUs, in binary cross-entropy.

    A confidence never falls as the score rises, nor rises on empty masks. A line without samples
    stays as it is where nothing is calibrated, and few samples move it little.

    Args:
        scored: Answers whose confidences are not calibrated.
    """
    lines = {
        task.value: _fit_line(_answers_to(scored, task), getattr(_UNCALIBRATED, task.value))
        for task in Task
    }
    return ConfidenceConfig(
        **lines, nothing=_fit_line(_empty_answers(scored), _UNCALIBRATED.nothing)
    )


def with_confidence(
    scored: Sequence[ScoredSample], confidence: ConfidenceConfig
) -> Iterator[ScoredSample]:
    """Answers whose confidences are not calibrated, with confidences by the lines."""
    for sample, value in zip(scored, _logits(scored).tolist(), strict=True):
        calibrated = confidence.of(value, Task(sample.task), empty=not sample.predicted_px)
        yield replace(sample, confidence=calibrated)


def _answers_to(scored: Sequence[ScoredSample], task: Task) -> list[ScoredSample]:
    return [sample for sample in scored if sample.predicted_px and sample.task == task]


def _empty_answers(scored: Sequence[ScoredSample]) -> list[ScoredSample]:
    return [sample for sample in scored if not sample.predicted_px]


def _logits(scored: Sequence[ScoredSample]) -> NDArray[np.float64]:
    """The network's score logits (N,), from confidences that are not calibrated."""
    confidences = np.array([sample.confidence for sample in scored], np.float64)
    # the confidence of an empty mask is one minus the network's score
    signs = np.array([1.0 if sample.predicted_px else -1.0 for sample in scored])
    return np.asarray(
        signs * logit(np.clip(confidences, _LEAST_CONFIDENCE, 1 - _LEAST_CONFIDENCE)), np.float64
    )


def _fit_line(scored: Sequence[ScoredSample], start: Line) -> Line:
    """Slope and shift by logistic regression of IoUs on logits; the slope keeps its sign."""
    logits, origin = _logits(scored), np.array(start)
    ious = np.array([sample.overlap.iou for sample in scored], np.float64)

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Cross-entropy and ridge, and their gradient (2,)."""
        value, offset = line[0] * logits + line[1], line - origin
        residuals = expit(value) - ious
        entropy = float((np.logaddexp(0, value) - ious * value).sum())
        gradient = np.array([residuals @ logits, residuals.sum()])
        return entropy + RIDGE / 2 * float(offset @ offset), gradient + RIDGE * offset

    slopes = (0, None) if start[0] > 0 else (None, 0)
    fitted = minimize(loss, origin, jac=True, method="L-BFGS-B", bounds=[slopes, (None, None)])
    slope, shift = fitted.x.tolist()
    return slope, shift


def calibration_table(model: CalibratedModel) -> Table:
    """The lines, and the expected calibration error before and after, in points of IoU."""
    original, calibrated = model.outcome.scored, model.scored
    rows = [
        _row(
            task.value,
            _answers_to(original, task),
            _answers_to(calibrated, task),
            model.confidence,
        )
        for task in Task
    ]
    empty = _empty_answers(original), _empty_answers(calibrated)
    rows.append(_row("nothing", *empty, model.confidence))
    rows.append(("all", str(len(calibrated)), "", "", _error(original), _error(calibrated)))
    note = (
        "Expected calibration error, in points of IoU, on the samples that the lines were fitted "
        "to: measure it on another split. nothing: empty masks, of any task."
    )
    return Table(("what was found", "samples", "slope", "shift", "before", "after"), rows, note)


def _row(
    name: str,
    original: Sequence[ScoredSample],
    calibrated: Sequence[ScoredSample],
    confidence: ConfidenceConfig,
) -> tuple[str, ...]:
    slope, shift = getattr(confidence, name)
    numbers = (str(len(calibrated)), f"{slope:.3f}", f"{shift:.3f}")
    return (name, *numbers, _error(original), _error(calibrated))


def _error(scored: Sequence[ScoredSample]) -> str:
    return f"{100 * expected_calibration_error(reliability_bins(scored)):.1f}" if scored else ""
