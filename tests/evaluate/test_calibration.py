"""Confidence against IoU."""

import cv2
import numpy as np
import pytest

from unigeoseg.evaluate.calibration import (
    calibration_parts,
    expected_calibration_error,
    reliability_bins,
    save_reliability_plot,
)
from unigeoseg.evaluate.metrics import Overlap
from unigeoseg.evaluate.score import ScoredSample


def one(iou: float, confidence: float) -> ScoredSample:
    overlap = Overlap(round(100 * iou), 100)
    names = ("a", "g", "referring", "referring", "roof", "s", "up to 1 %")
    return ScoredSample(*names, overlap, truth_px=100, confidence=confidence, seconds=0.1)


FOUR = [one(0.5, 0.95), one(0.7, 0.97), one(0.2, 0.1), one(0.1, np.nan)]


def test_calibration_by_hand():
    low, high = reliability_bins(FOUR)
    assert (low.samples, low.mean_confidence, low.mean_iou) == (1, 0.1, 0.2)
    assert (high.samples, high.low, high.high) == (2, pytest.approx(14 / 15), 1)
    assert expected_calibration_error([low, high]) == pytest.approx((2 * 0.36 + 0.1) / 3)
    (table,) = calibration_parts(FOUR)
    assert table.rows[0] == ("0.07 to 0.13", "1", "10.0", "20.0")
    assert table.rows[1] == ("0.93 to 1.00", "2", "96.0", "60.0")
    assert f"{(2 * 36 + 10) / 3:.1f} points" in table.note


def test_the_ends_of_the_scale_and_what_lies_outside():
    assert [
        each.samples
        for each in reliability_bins([one(1, 1.0), one(0, 0.0), one(0, 1.1), one(0, -1)])
    ] == [
        1,
        1,
    ]
    assert expected_calibration_error(reliability_bins([one(1, 1.0), one(0, 0.0)])) == 0
    assert np.isnan(expected_calibration_error([])) and isinstance(
        calibration_parts(FOUR[3:])[0], str
    )


def test_a_reliability_plot_is_an_image(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra 'plot'")
    for name, scored in (("some.png", FOUR), ("none.png", [])):
        save_reliability_plot(scored, tmp_path / name)
        assert cv2.imread(str(tmp_path / name)) is not None
