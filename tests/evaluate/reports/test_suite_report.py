"""Reports, published numbers, and two systems side by side."""

from dataclasses import replace
from pathlib import Path

import pytest
import suites

from unigeoseg.errors import OptionError, OutputFormatError
from unigeoseg.evaluate.metrics import GIOU, Overlap
from unigeoseg.evaluate.paired import compare_outcomes, comparison_table
from unigeoseg.evaluate.predictions import PredictionFile
from unigeoseg.evaluate.reports.published import published_comparison, published_tables
from unigeoseg.evaluate.reports.suite_report import failure_table, suite_sections
from unigeoseg.evaluate.score import Outcome, ScoredSample, score_predictions
from unigeoseg.evaluate.suites.catalog import SUITES
from unigeoseg.report.document import (
    Bold,
    table_markdown,
    write_report,
)

HARM = "<script>alert(1)</script>"


def one(iou: float, confidence: float = 0.5, **rest) -> ScoredSample:
    overlap = Overlap(round(100 * iou), 100)
    plain = {"id": "a", "group": "g", "task": "referring", "family": "referring"}
    plain |= {"category": HARM, "source": "s", "size": "up to 1 %", "truth_px": 100}
    return ScoredSample(
        **plain | {"overlap": overlap, "confidence": confidence, "seconds": 0.1} | rest
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return suites.write_suite(tmp_path / "suite")


def files(folder: Path) -> tuple[PredictionFile, PredictionFile]:
    samples = list(suites.opened(folder).samples())
    best = suites.written(folder / "best", suites.perfect(samples))
    worst = suites.written(folder / "worst", suites.empty(samples))
    return PredictionFile.open(best), PredictionFile.open(worst)


def test_a_report_is_one_page_or_markdown_with_pictures(folder, tmp_path):
    best, _ = files(folder)
    layout = suites.opened(folder)
    parts = suite_sections(score_predictions(layout, best), HARM, layout, best)
    write_report(tmp_path / "r.html", f"{HARM} on suite", parts)
    write_report(tmp_path / "r.md", f"{HARM} on suite", parts)
    shown, said = (tmp_path / "r.html").read_text(), (tmp_path / "r.md").read_text()
    assert shown.count("<img") == 24 and "http" not in shown
    for text in (shown, said):
        assert HARM not in text and "100.00 [100.0, 100.0]" in text
        assert "Expected calibration error: 10.0" in text
    named = [line for line in said.splitlines() if line.startswith("![")]
    assert len(named) == 24
    assert all((tmp_path / line.rpartition("(")[2][:-1]).is_file() for line in named)
    with pytest.raises(OutputFormatError):
        write_report(tmp_path / "r.pdf", "", parts)


def test_failures_are_told_apart():
    table = failure_table(
        [
            one(0.9),
            one(0.0, truth_px=0),
            one(0.0, truth_px=100),
            one(0.0, truth_px=50),
            one(0.3, truth_px=30),
            one(0.3, truth_px=100),
            one(0.4, truth_px=70),
        ]
    )
    assert [row[1] for row in table.rows] == ["1"] * 7
    assert table.rows[0][3] == "referring 1"


def test_published_numbers_are_those_of_their_suites():
    for table in published_tables():
        assert table.suite in SUITES and table.source
        for numbers in table.rows.values():
            assert len(numbers) == len(table.columns)
            assert all(each is None or 0 < each < 100 for each in numbers)
    first = published_tables()[0]
    assert first.rows["UniGeoSeg"] == [74.44, 76.37, 72.60, 74.25, 58.20, 52.96]


def test_a_new_number_is_marked_where_protocols_differ(folder):
    best, _ = files(folder)
    found = score_predictions(suites.opened(folder), best)
    outcome = replace(found, suite=SUITES["geoseg-bench"])
    (table,) = published_comparison(outcome, "ours")
    assert table.rows[-1] == ("ours †", *["100.00"] * 6)
    assert isinstance(table.rows[-1][0], Bold)
    assert "released mode, this one is in native mode" in table.note
    assert "6892 samples, this one has 16" in table.note
    (same,) = published_comparison(replace(outcome, mode="released", total=6892), "ours")
    assert same.rows[-1][0] == "ours" and "†" not in same.note


def compared(folder: Path) -> tuple[Outcome, Outcome]:
    first, second = (score_predictions(suites.opened(folder), each) for each in files(folder))
    return first, second


def test_two_systems_side_by_side(folder):
    best, worst = compared(folder)
    found = compare_outcomes(best, worst, (GIOU,))
    assert [each.group for each in found[:2]] == ["all", "interactive"]
    assert {each.verdict for each in found} == {"first is better"}
    assert {each.verdict for each in compare_outcomes(best, best)} == {"not told apart"}
    assert "-100.00 [-100.00, -100.00]" in table_markdown(comparison_table(found, "a", "b"))


def test_what_cannot_be_compared_is_refused(folder):
    best, worst = compared(folder)
    with pytest.raises(OptionError, match="protocols differ"):
        compare_outcomes(best, replace(worst, protocol="other"))
    with pytest.raises(OptionError, match="share no sample"):
        compare_outcomes(best, replace(worst, scored=()))
