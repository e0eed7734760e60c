"""Lines that make confidence agree with IoU."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import save_tiny

from unigeoseg.evaluate.calibration import expected_calibration_error, reliability_bins
from unigeoseg.evaluate.confidence import (
    calibrate_model,
    calibration_table,
    fit_confidence,
    with_confidence,
)
from unigeoseg.evaluate.metrics import Overlap
from unigeoseg.evaluate.reports.held_out_report import measure_held_out
from unigeoseg.evaluate.score import ScoredSample
from unigeoseg.evaluate.suites.held_out import open_held_out
from unigeoseg.model.config import ConfidenceConfig
from unigeoseg.model.io import checkpoint
from unigeoseg.prompt import Task

PLAIN = ConfidenceConfig()
LINES = ConfidenceConfig(
    interactive=(0.5, 1.0), referring=(1.5, -0.5), reasoning=(0.25, -2.0), nothing=(-0.75, 0.5)
)


def answer(task: Task, logit: float, overlap: Overlap, *, empty: bool = False) -> ScoredSample:
    sure = PLAIN.of(logit, task, empty=empty)
    names = ("a", "g", task.value, "referring", "roof", "s", "up to 1 %")
    return ScoredSample(*names, overlap, truth_px=overlap.union, confidence=sure, seconds=0.1)


def found(task: Task, lines: ConfidenceConfig = LINES) -> list[ScoredSample]:
    """Masks that reach what the lines say."""
    ious = [(logit, lines.of(logit, task, empty=False)) for logit in np.linspace(-6, 6, 400)]
    return [answer(task, logit, Overlap(round(1e6 * iou), 10**6)) for logit, iou in ious]


def empty(
    logits: tuple[float, ...] = (-5.0, -2.0, 0.0, 2.0), each: int = 500
) -> list[ScoredSample]:
    """Empty masks, of which as many are right as the lines say."""
    task, answers = Task.REFERRING, []
    for logit in logits:
        right = round(each * LINES.of(logit, task, empty=True))
        there = [Overlap(0, 0)] * right + [Overlap(0, 50)] * (each - right)
        answers += [answer(task, logit, overlap, empty=True) for overlap in there]
    return answers


def test_lines_are_found_again():
    scored = [*(each for task in Task for each in found(task)), *empty()]
    lines = fit_confidence(scored)
    for name in ("interactive", "referring", "reasoning", "nothing"):
        # the ridge pulls a little
        assert getattr(lines, name) == pytest.approx(getattr(LINES, name), abs=0.1), name
    before, after = (
        expected_calibration_error(reliability_bins(scored)),
        expected_calibration_error(reliability_bins(with_confidence(scored, lines))),
    )
    assert after < 0.02 < 0.09 < before


def test_without_samples_nothing_changes_and_few_change_little():
    assert fit_confidence([]) == PLAIN
    lines = fit_confidence([answer(Task.REFERRING, 2.0, Overlap(0, 9), empty=True)] * 2)
    assert (lines.interactive, lines.referring) == (PLAIN.interactive, PLAIN.referring)
    assert np.abs(np.subtract(lines.nothing, PLAIN.nothing)).max() < 1


def test_a_confidence_never_turns_round():
    """Masks that get worse as the score rises, empty ones that are right where it is high."""
    upside = replace(LINES, referring=(-1.0, 0.0))
    worse = found(Task.REFERRING, upside)
    right = [answer(Task.REFERRING, 4.0, Overlap(0, 0), empty=True)] * 50
    wrong = [answer(Task.REFERRING, -4.0, Overlap(0, 9), empty=True)] * 50
    lines = fit_confidence([*worse, *right, *wrong])
    assert lines.referring[0] == lines.nothing[0] == 0
    assert lines.referring[1] == pytest.approx(0, abs=0.05)


def test_plain_lines_leave_confidences_as_they_are():
    scored = [*found(Task.REASONING), *empty(each=3)]
    for before, after in zip(scored, with_confidence(scored, PLAIN), strict=True):
        assert after.confidence == pytest.approx(before.confidence, abs=1e-9)


def test_a_calibrated_model_says_what_the_lines_say(dataset, tmp_path: Path):
    model, copy = save_tiny(tmp_path / "tiny"), tmp_path / "copy"
    checkpoint.set_confidence(model, LINES)  # an earlier calibration counts for nothing
    copy.mkdir()
    layout = open_held_out(dataset.path, "test", 1)
    made = calibrate_model(layout, str(model), copy)
    assert checkpoint.load_model(copy)[0].config.confidence == made.confidence != PLAIN
    assert (copy / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    again = measure_held_out(layout, str(copy), tmp_path, baselines=False).outcome.scored
    assert [each.confidence for each in again] == pytest.approx(
        [each.confidence for each in made.scored], abs=1e-4
    )
    assert [row[0] for row in calibration_table(made).rows] == [
        *(task.value for task in Task),
        "nothing",
        "all",
    ]
