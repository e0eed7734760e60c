"""The document of the judges has the limits that are in force."""

from dataclasses import asdict
from pathlib import Path

import pytest

from unigeoseg.data.evidence import Evidence
from unigeoseg.data.scoring import SceneScorer, TextScorer

DOCUMENT = Path(__file__).parents[2] / "docs" / "judges.md"
LIMITS = {
    "judge": asdict(Evidence()),
    "scorer of words": TextScorer.limits,
    "scorer of scenes": SceneScorer.limits,
}


@pytest.mark.parametrize("who", LIMITS)
def test_the_offline_limits_are_those_of_the_document(who: str):
    text = DOCUMENT.read_text(encoding="utf-8")
    _, rows = text.split(f"| {who} | limit | what is measured", 1)
    _, _, *rows = rows.split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert {name: float(limit) for name, limit, _ in cells} == LIMITS[who]
    assert all(told for _, _, told in cells)
