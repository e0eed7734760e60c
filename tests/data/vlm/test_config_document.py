"""The document of the judges has the limits that are in force."""

from dataclasses import asdict

import pytest
from places import DOCS

from unigeoseg.data.instructions.evidence_judge import Evidence
from unigeoseg.data.instructions.scorers import SceneScorer, TextScorer

DOCUMENT = DOCS / "judges.md"
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
