"""A sheet of answers drawn by chance, good ones beside bad ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unigeoseg.evaluate.predictions import PredictionFile
from unigeoseg.evaluate.score import Outcome, ScoredSample, scored_answers
from unigeoseg.evaluate.suites.layouts import Layout
from unigeoseg.geo.formats import check_suffix
from unigeoseg.geo.masks import decode_mask
from unigeoseg.geo.png import encode_png
from unigeoseg.report.overlay import BLUE, YELLOW, draw_outline, draw_prompt
from unigeoseg.report.sheet import Card, contact_sheet
from unigeoseg.runtime.atomic import write_bytes
from unigeoseg.sample import Sample

GOOD, BAD = 0.7, 0.3
"""An IoU of at least the first is good, one below the second is bad."""

ROWS = 4

SUFFIXES = (".png",)


def write_answer_sheet(
    outcome: Outcome,
    layout: Layout,
    predictions: PredictionFile,
    path: Path,
    *,
    seed: int = 0,
    rows: int = ROWS,
) -> None:
    """Draw good answers on the left and bad ones on the right, each half with how many there are.

    An answer is three pictures: the image with points and box, the truth in yellow, what was found
    in blue.

    Args:
        outcome: The result, of masks at the image's own size.
        layout: The suite.
        predictions: What was scored.
        path: A .png.
        seed: Which answers.
        rows: How many of each half.

    Raises:
        OutputFormatError: If the suffix is another one.
        DataError: If the suite cannot be read.
        OutputUnwritableError: If it cannot be written.
    """
    check_suffix(path, SUFFIXES)
    sure = outcome.scored
    halves = {
        f"Good, IoU of {GOOD} or more": [each for each in sure if each.overlap.iou >= GOOD],
        f"Bad, IoU below {BAD}": [each for each in sure if each.overlap.iou < BAD],
    }
    chosen = {name: draw_by_family(half, rows, seed) for name, half in halves.items()}
    cards = _cards([each for some in chosen.values() for each in some], layout, predictions)
    sheets = [
        contact_sheet(
            [cards[each.id] for each in chosen[name]],
            columns=1,
            title=f"{name}: {len(half)} of {outcome.total} samples, {len(chosen[name])} drawn by "
            f"chance, families in turn (seed {seed})",
        )
        for name, half in halves.items()
    ]
    write_bytes(path, encode_png(_beside(sheets)))


def draw_by_family(scored: Sequence[ScoredSample], count: int, seed: int) -> list[ScoredSample]:
    """Up to so many samples, one of each family in turn; the same for the same samples and seed."""
    rng = np.random.default_rng(seed)
    families: defaultdict[str, list[ScoredSample]] = defaultdict(list)
    for each in sorted(scored, key=lambda each: each.id):
        families[each.family].append(each)
    names = sorted(families)
    turns = [
        [families[name][at] for at in rng.permutation(len(families[name]))]
        for name in (names[at] for at in rng.permutation(len(names)))
    ]
    dealt = [each for one_of_each in zip_longest(*turns) for each in one_of_each if each]
    return dealt[:count]


def _cards(
    chosen: Sequence[ScoredSample], layout: Layout, predictions: PredictionFile
) -> Mapping[str, Card]:
    return {
        scored.id: _card(scored, sample, layout.pixels(sample.image), decode_mask(rle))
        for scored, sample, rle in scored_answers(chosen, layout, predictions)
    }


def _card(
    scored: ScoredSample, sample: Sample, pixels: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> Card:
    shown = draw_prompt(pixels, sample.prompt)
    pictures = [
        shown,
        draw_outline(pixels, sample.mask(), YELLOW),
        draw_outline(pixels, mask, BLUE),
    ]
    reached = f"{scored.family}: IoU {scored.overlap.iou:.2f}, confidence {scored.score:.2f}"
    return Card(pictures, [sample.prompt.instruction(sample.width, sample.height), reached])


def _beside(sheets: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Sheets (H, W, 3) side by side, white below shorter ones."""
    height = max(len(each) for each in sheets)
    white = [((0, height - len(each)), (0, 0), (0, 0)) for each in sheets]
    filled = [
        np.pad(each, pad, constant_values=255) for each, pad in zip(sheets, white, strict=True)
    ]
    return np.hstack(filled)
