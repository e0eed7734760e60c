"""Contact sheets: pictures in a grid with their texts below, as one array of pixels."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

CELL_PX, LINE_PX = 320, 17
"""Side of a cell, and height of a line of text."""

_LETTERS = 44  # of a line as wide as a cell
_MARGIN_PX = 8  # what a picture is smaller than its cell
_TEXT_PADDING_PX = 6  # below the lines of a card, and of the title
_TEXT_LEFT_PX, _BASELINE_PX = 4, 14  # where the first line of a text begins
_FONT_SCALE = 0.38
_WHITE, _BLACK = 255, (0, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """A place on a contact sheet.

    Attributes:
        pictures: (H, W, 3) uint8 RGB each, side by side.
        texts: Below them.
    """

    pictures: Sequence[NDArray[np.uint8]]
    texts: Sequence[str]


def contact_sheet(cards: Sequence[Card], *, columns: int = 4, title: str = "") -> NDArray[np.uint8]:
    """A contact sheet (H, W, 3) uint8 RGB: a title, and cards in rows of up to so many."""
    cells = max((len(card.pictures) for card in cards), default=1)  # side by side, of each card
    texts = [_wrapped(card.texts, cells) for card in cards]
    columns = max(1, min(columns, len(cards)))
    heading = _wrapped([title], columns * cells)
    top = LINE_PX * len(heading) + _TEXT_PADDING_PX if heading else 0
    height = CELL_PX + LINE_PX * max(map(len, texts), default=0) + _TEXT_PADDING_PX
    rows = -(-len(cards) // columns)
    canvas = np.full((top + rows * height, columns * cells * CELL_PX, 3), _WHITE, np.uint8)
    _write_lines(canvas, heading, 0, 0)
    for number, card in enumerate(cards):
        y, x = top + number // columns * height, number % columns * cells * CELL_PX
        for cell, picture in enumerate(card.pictures):
            fitted = _fitted(picture)
            left = x + cell * CELL_PX
            canvas[y : y + fitted.shape[0], left : left + fitted.shape[1]] = fitted
        _write_lines(canvas, texts[number], x, y + CELL_PX)
    return canvas


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture as it is, or shrunk to a cell."""
    scale = min(1.0, (CELL_PX - _MARGIN_PX) / max(picture.shape[:2]))
    resized = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def _wrapped(texts: Sequence[str], cells: int) -> list[str]:
    """Texts in lines as wide as so many cells; OpenCV's letters are ASCII alone."""
    ascii_texts = (text.encode("ascii", "replace").decode() for text in texts)
    return [line for text in ascii_texts for line in textwrap.wrap(text, _LETTERS * cells)]


def _write_lines(canvas: NDArray[np.uint8], lines: Sequence[str], x: int, y: int) -> None:
    for number, line in enumerate(lines):
        origin = (x + _TEXT_LEFT_PX, y + _BASELINE_PX + LINE_PX * number)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(canvas, line, origin, font, _FONT_SCALE, _BLACK, 1, cv2.LINE_AA)
