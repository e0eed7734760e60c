"""Answers by chance, as pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import suites

from unigeoseg.errors import OutputFormatError
from unigeoseg.evaluate.predictions import PredictionFile
from unigeoseg.evaluate.reports.answer_sheet import draw_by_family, write_answer_sheet
from unigeoseg.evaluate.score import score_predictions

CELL, PANELS = 320, 3


def drawn(folder: Path, name: str, right: int, **options) -> np.ndarray:
    """The sheet of a suite of which the first so many answers are right, the others empty."""
    layout = suites.opened(folder)
    samples = list(layout.samples())
    lines = [*suites.perfect(samples[:right]), *suites.empty(samples[right:])]
    answers = PredictionFile.open(suites.written(folder / f"{name}.jsonl", iter(lines)))
    out = folder / f"{name}.png"
    write_answer_sheet(score_predictions(layout, answers), layout, answers, out, **options)
    return cv2.imread(str(out))[..., ::-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return suites.write_suite(tmp_path / "suite")


def coloured(sheet: np.ndarray, panel: int, colour: tuple[int, int, int]) -> int:
    part = sheet[:, panel * CELL : (panel + 1) * CELL]
    return int((part == colour).all(axis=2).sum())


def test_good_on_the_left_and_bad_on_the_right(folder):
    sheet = drawn(folder, "half", 8, rows=2)
    assert sheet.shape[1] == 2 * PANELS * CELL and 2 * CELL < len(sheet) < 3 * CELL
    yellow, blue = (255, 225, 25), (60, 120, 255)
    shown = [coloured(sheet, panel, yellow) > 0 for panel in range(6)]
    assert shown == [False, True, False, False, True, False]
    # what was found is the truth on the left, and nothing on the right
    assert [coloured(sheet, panel, blue) > 0 for panel in range(6)] == [False, False, True] + [
        False
    ] * 3
    assert coloured(sheet, 1, yellow) == coloured(sheet, 2, blue)


def test_a_half_without_samples_is_said_to_have_none(folder):
    sheet = drawn(folder, "all", 16, rows=1)
    bad = sheet[:, PANELS * CELL :]
    assert bad.shape[1] == CELL and (bad[:40] < 128).any() and (bad[60:] == 255).all()


def test_the_seed_decides(folder):
    one, same, other = (drawn(folder, f"{at}", 8, seed=seed) for at, seed in enumerate((1, 1, 2)))
    assert np.array_equal(one, same)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_families_take_turns(folder):
    layout = suites.opened(folder)
    path = suites.written(folder / "p.jsonl", suites.perfect(list(layout.samples())))
    scored = score_predictions(layout, PredictionFile.open(path)).scored
    families = {each.family for each in scored}
    for seed in range(5):
        chosen = draw_by_family(scored, 2 * len(families), seed)
        assert {each.family for each in chosen[: len(families)]} == families
        assert len({each.id for each in chosen}) == 2 * len(families)
        assert draw_by_family(scored[::-1], 2 * len(families), seed) == chosen
    assert len(draw_by_family(scored, 1000, 0)) == len(scored)


def test_another_suffix_is_refused(folder):
    layout = suites.opened(folder)
    answers = PredictionFile.open(suites.written(folder / "p.jsonl", iter(())))
    with pytest.raises(OutputFormatError, match=r"\.png"):
        write_answer_sheet(
            score_predictions(layout, answers), layout, answers, folder / "sheet.jpg"
        )
