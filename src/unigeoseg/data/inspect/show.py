"""Random samples to look at: a self-contained page, or a sheet as PNG."""

import base64
import hashlib
import heapq
import html
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.schema import encode_png
from unigeoseg.errors import DataError
from unigeoseg.geo.formats import check_suffix
from unigeoseg.prompt import Prompt
from unigeoseg.runtime.atomic import write_bytes
from unigeoseg.sample import Sample

SUFFIXES = (".html", ".png")

Colour = tuple[int, int, int]

YELLOW: Colour = (255, 225, 25)
BLUE: Colour = (60, 120, 255)
_RED, _BLACK = (230, 25, 75), (0, 0, 0)
_CELL, _LINE_PX, _LETTERS = 320, 17, 44  # of a sheet: side, height of a line, its length
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.4 sans-serif; margin: 1em }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(20em, 1fr)); gap: 1em }}
img {{ width: 100% }}
figure {{ margin: 0 }}
small {{ color: #555 }}
</style>
<h1>{title}</h1>
<main>
{figures}
</main>
</html>
"""


def draw(
    dataset: Dataset,
    path: Path,
    *,
    count: int = 16,
    seed: int = 0,
    families: Collection[str] = (),
) -> None:
    """Write random samples by the path's suffix: image with the target's outline, words, answer.

    Args:
        dataset: Where they come from.
        path: A page (.html) or a sheet (.png).
        count: How many.
        seed: Which ones.
        families: Of these alone; all without.

    Raises:
        OutputFormatError: If the suffix is another one.
        DataError: If there is no triplet, or a shard is damaged.
        OutputUnwritableError: If it cannot be written.
    """
    check_suffix(path, SUFFIXES)
    samples = pick(dataset, count=count, seed=seed, families=families)
    shown = [(sample, outlined(dataset.image(sample.image), sample)) for sample in samples]
    if path.suffix.lower() == ".png":
        write_bytes(path, encode_png(sheet([card(*each) for each in shown])))
    else:
        write_bytes(path, page(shown, str(dataset.path.name)).encode())


def pick(
    dataset: Dataset, *, count: int, seed: int, families: Collection[str] = ()
) -> list[Sample]:
    """Random samples, the same for the same seed.

    Raises:
        DataError: If there is none.
    """

    def chance(sample: Sample) -> bytes:
        return hashlib.sha256(f"{seed}/{sample.id}".encode()).digest()

    known = (each for each in dataset.samples() if not families or each.family in families)
    chosen = heapq.nsmallest(count, known, key=chance)
    if not chosen:
        told = f" of {' or '.join(families)}" if families else ""
        held = ", ".join(dataset.summary["families"]) or "none at all"
        raise DataError(f"{dataset.path} has no triplets{told} to show; it has {held}")
    return chosen


def outlined(pixels: NDArray[np.uint8], sample: Sample) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with the target outlined, and the points and the box that were given."""
    return prompted(edged(pixels, sample.mask(), YELLOW), sample.prompt)


def edged(pixels: NDArray[np.uint8], mask: NDArray[np.bool_], colour: Colour) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with a mask's outline, between black ones."""
    return traced(traced(pixels, mask, _BLACK, wider=2), mask, colour)


def traced(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_], colour: Colour, *, wider: int = 0
) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with a mask's outline."""
    drawn = pixels.copy()
    rings, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, rings, -1, colour, _thick(drawn) + wider)
    return drawn


def prompted(pixels: NDArray[np.uint8], prompt: Prompt) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with the points and the box of a prompt."""
    drawn, thick, box = pixels.copy(), _thick(pixels), prompt.box
    if box:
        end = (int(np.ceil(box.x1)), int(np.ceil(box.y1)))
        cv2.rectangle(drawn, (int(box.x0), int(box.y0)), end, _RED, thick)
    for point in prompt.points:
        cv2.circle(drawn, (int(point.x), int(point.y)), 3 * thick, _RED, -1)
    return drawn


def _thick(pixels: NDArray[np.uint8]) -> int:
    return max(1, int(min(pixels.shape[:2])) // 256)


Shown = Sequence[tuple[Sample, NDArray[np.uint8]]]


def page(shown: Shown, title: str) -> str:
    """A page that needs nothing but itself; every text is escaped."""
    figures = "\n".join(_figure(sample, drawn) for sample, drawn in shown)
    return _PAGE.format(title=html.escape(title), figures=figures)


def _figure(sample: Sample, drawn: NDArray[np.uint8]) -> str:
    said = html.escape(sample.prompt.instruction(sample.width, sample.height))
    answer = f"<p>{html.escape(sample.answer)}</p>" if sample.answer else ""
    about = " · ".join(
        filter(None, (sample.family, sample.category, sample.source, sample.licence, sample.split))
    )
    content = base64.b64encode(encode_png(drawn)).decode()
    return (
        f'<figure><img src="data:image/png;base64,{content}" alt=""><figcaption>{said}{answer}'
        f"<p><small>{html.escape(about)}<br>{sample.id}<br>{html.escape(sample.program)}</small>"
        "</p></figcaption></figure>"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """A place on a sheet.

    Attributes:
        pictures: (H, W, 3) each, side by side.
        texts: Below them.
    """

    pictures: Sequence[NDArray[np.uint8]]
    texts: Sequence[str]


def card(sample: Sample, drawn: NDArray[np.uint8]) -> Card:
    """A sample with its instruction and answer, whole."""
    said = [sample.prompt.instruction(sample.width, sample.height)]
    return Card([drawn], said + ([f"-> {sample.answer}"] if sample.answer else []))


def sheet(cards: Sequence[Card], *, columns: int = 4, title: str = "") -> NDArray[np.uint8]:
    """(H, W, 3) uint8: a title, and cards in rows of up to so many."""
    across = max((len(each.pictures) for each in cards), default=1)
    texts = [_lines(each.texts, across) for each in cards]
    columns = max(1, min(columns, len(cards)))
    head = _lines([title], columns * across)
    top = _LINE_PX * len(head) + 6 if head else 0
    height = _CELL + _LINE_PX * max(map(len, texts), default=0) + 6
    rows = -(-len(cards) // columns)
    canvas = np.full((top + rows * height, columns * across * _CELL, 3), 255, np.uint8)
    _write(canvas, head, 0, 0)
    for at, each in enumerate(cards):
        y, x = top + at // columns * height, at % columns * across * _CELL
        for place, picture in enumerate(each.pictures):
            small = _fitted(picture)
            left = x + place * _CELL
            canvas[y : y + small.shape[0], left : left + small.shape[1]] = small
        _write(canvas, texts[at], x, y + _CELL)
    return canvas


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture as it is, or shrunk to a cell."""
    scale = min(1.0, (_CELL - 8) / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _lines(texts: Sequence[str], cells: int) -> list[str]:
    """Texts in lines as wide as so many cells; OpenCV's letters are ASCII alone."""
    plain = (text.encode("ascii", "replace").decode() for text in texts)
    return [line for text in plain for line in textwrap.wrap(text, _LETTERS * cells)]


def _write(canvas: NDArray[np.uint8], lines: Sequence[str], x: int, y: int) -> None:
    for number, line in enumerate(lines):
        place = (x + 4, y + 14 + _LINE_PX * number)
        cv2.putText(canvas, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, _BLACK, 1, cv2.LINE_AA)
