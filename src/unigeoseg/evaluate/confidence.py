"""Lines that make a model's confidence agree with the IoU of its masks (Platt scaling).

The network's score is trained as the mask's expected IoU, on training images and towards 0 where
there is no target: nothing holds it to other images, task by task, and of an empty mask it is the
opposite of what is asked. A line on its logit for each task, and one for empty masks, mends both
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
"""Pull of a line towards what is not calibrated; a sample's pull is at most its logit."""

_PLAIN = ConfidenceConfig()
_EDGE = 1e-6  # of confidences: a file of predictions has six digits

Line = tuple[float, float]


@dataclass(frozen=True)
class CalibratedModel:
    """What was fitted to a model.

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
    progress: Progress = lambda done, total: None,
) -> CalibratedModel:
    """Run a model, fit the lines, and make a copy of the model that has them.

    Args:
        layout: What is asked, of images that are seen in one view (`ViewConfig.whole`).
        model: A model of ours, as `weights_directory` takes it.
        folder: Empty directory for the copy.
        progress: Called as samples are done.

    Raises:
        CheckpointError: If there is no such model.
        DataError: If the suite cannot be read, or no answer can be scored.
    """
    checkpoint.copy_model(weights_directory(model), folder)
    checkpoint.set_confidence(folder, _PLAIN)
    with tempfile.TemporaryDirectory() as aside:
        answers = Path(aside) / "predictions.jsonl"
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
    lines = {task.value: _line(_found(scored, task), getattr(_PLAIN, task.value)) for task in Task}
    return ConfidenceConfig(**lines, nothing=_line(_empty(scored), _PLAIN.nothing))


def with_confidence(
    scored: Sequence[ScoredSample], confidence: ConfidenceConfig
) -> Iterator[ScoredSample]:
    """Answers whose confidences are not calibrated, with confidences by the lines."""
    for each, value in zip(scored, _logits(scored).tolist(), strict=True):
        sure = confidence.of(value, Task(each.task), empty=not each.found)
        yield replace(each, score=sure)


def _found(scored: Sequence[ScoredSample], task: Task) -> list[ScoredSample]:
    return [each for each in scored if each.found and each.task == task]


def _empty(scored: Sequence[ScoredSample]) -> list[ScoredSample]:
    return [each for each in scored if not each.found]


def _logits(scored: Sequence[ScoredSample]) -> NDArray[np.float64]:
    """The network's score logits (N,), from confidences that are not calibrated."""
    sure = np.array([each.score for each in scored], np.float64)
    signs = np.array([1.0 if each.found else -1.0 for each in scored])
    return np.asarray(signs * logit(np.clip(sure, _EDGE, 1 - _EDGE)), np.float64)


def _line(scored: Sequence[ScoredSample], start: Line) -> Line:
    logits, plain = _logits(scored), np.array(start)
    ious = np.array([each.overlap.iou for each in scored], np.float64)

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Cross-entropy and ridge, and their gradient (2,)."""
        value, away = line[0] * logits + line[1], line - plain
        gap = expit(value) - ious
        entropy = float((np.logaddexp(0, value) - ious * value).sum())
        slope = np.array([gap @ logits, gap.sum()])
        return entropy + RIDGE / 2 * float(away @ away), slope + RIDGE * away

    sign = (0, None) if start[0] > 0 else (None, 0)
    best = minimize(loss, plain, jac=True, method="L-BFGS-B", bounds=[sign, (None, None)])
    slope, shift = best.x.tolist()
    return slope, shift


def calibration_table(found: CalibratedModel) -> Table:
    """The lines, and the expected calibration error before and after, in points of IoU."""
    before, after = found.outcome.scored, found.scored
    rows = [
        _row(task.value, _found(before, task), _found(after, task), found.confidence)
        for task in Task
    ]
    rows.append(_row("nothing", _empty(before), _empty(after), found.confidence))
    rows.append(("all", str(len(after)), "", "", _error(before), _error(after)))
    note = (
        "Expected calibration error, in points of IoU, on the samples that the lines were fitted "
        "to: measure it on another split. nothing: empty masks, of any task."
    )
    return Table(("what was found", "samples", "slope", "shift", "before", "after"), rows, note)


def _row(
    name: str,
    before: Sequence[ScoredSample],
    after: Sequence[ScoredSample],
    confidence: ConfidenceConfig,
) -> tuple[str, ...]:
    slope, shift = getattr(confidence, name)
    numbers = (str(len(after)), f"{slope:.3f}", f"{shift:.3f}")
    return (name, *numbers, _error(before), _error(after))


def _error(scored: Sequence[ScoredSample]) -> str:
    return f"{100 * expected_calibration_error(reliability_bins(scored)):.1f}" if scored else ""
