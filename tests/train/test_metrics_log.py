"""The metrics log of damaged and of killed runs."""

from pathlib import Path

import pytest

from unigeoseg.errors import DataError
from unigeoseg.train.metrics_log import MetricsLog, read_metrics_log


def test_a_damaged_record_is_refused(tmp_path: Path):
    (tmp_path / "metrics.csv").write_text("step,name,value\n")
    with pytest.raises(DataError, match="line 1, is 'step,name,value'"):
        MetricsLog(tmp_path, 5)


def test_a_record_goes_on_after_a_line_that_was_cut(tmp_path: Path):
    (tmp_path / "metrics.csv").write_text("10,loss,0.25\r\n20,loss,0.125\r\n30,lo", newline="")
    with MetricsLog(tmp_path, 10) as record:
        record.add(20, {"loss": 1.0})
    assert read_metrics_log(tmp_path) == [(10, "loss", 0.25), (20, "loss", 1.0)]
