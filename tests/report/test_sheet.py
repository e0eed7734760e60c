"""Contact sheets."""

import numpy as np
import pytest

from unigeoseg.report.sheet import CELL_PX, Card, contact_sheet

RED = np.full((40, 60, 3), (200, 0, 0), np.uint8)
LARGE = np.full((1000, 500, 3), (0, 200, 0), np.uint8)


def share(sheet: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(sheet.astype(int) - colour).max(axis=2) < 3).mean())


@pytest.mark.parametrize(("cards", "columns", "cells"), [(1, 4, 1), (6, 4, 4), (3, 2, 2)])
def test_cards_stand_in_rows(cards: int, columns: int, cells: int):
    sheet = contact_sheet([Card([RED], [])] * cards, columns=columns)
    rows = -(-cards // columns)
    assert sheet.shape == (rows * (CELL_PX + 6), cells * CELL_PX, 3)
    assert share(sheet, (200, 0, 0)) == cards * 40 * 60 / sheet[..., 0].size


def test_pictures_of_a_card_stand_side_by_side_and_large_ones_are_shrunk():
    sheet = contact_sheet([Card([RED, LARGE], ["both"])], columns=1)
    assert sheet.shape[1] == 2 * CELL_PX
    green = np.argwhere((sheet == (0, 200, 0)).all(axis=2))
    assert green[:, 1].min() == CELL_PX and green[:, 0].max() == CELL_PX - 8 - 1


def test_a_title_stands_above_and_no_card_is_an_empty_sheet():
    plain, titled = (contact_sheet([Card([RED], [])], title=title) for title in ("", "A title"))
    assert len(titled) == len(plain) + 17 + 6
    assert (titled[: 17 + 6] < 128).any()
    assert contact_sheet([]).shape == (0, CELL_PX, 3)
