"""Figures are written in the format that their suffix names."""

from pathlib import Path

import pytest

from unigeoseg.errors import OutputFormatError
from unigeoseg.report.figure import new_figure, save_figure


def test_a_suffix_names_the_format(tmp_path: Path):
    pytest.importorskip("matplotlib")
    drawn = new_figure("a test", 1, 1)
    save_figure(drawn, tmp_path / "figure.SVG")
    assert b"<svg" in (tmp_path / "figure.SVG").read_bytes()
    with pytest.raises(OutputFormatError, match=r"figure\.docx ends in \.docx; give one of"):
        save_figure(drawn, tmp_path / "figure.docx")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.SVG"]
