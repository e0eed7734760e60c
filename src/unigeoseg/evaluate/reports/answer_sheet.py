"""Answer sheets: answers drawn at random, good ones beside bad ones, as one picture."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
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

    An answer is three pictures: the image with points and box, the truth in yellow, the prediction
    in blue.

    Args:
        outcome: The result, of masks at the image's own size.
        layout: The suite.
        predictions: The file that was scored.
        path: A .png.
        seed: Which answers.
        rows: How many of each half.

    Raises:
        OutputFormatError: If the suffix is another one.
        DataError: If the suite cannot be read.
        OutputUnwritableError: If it cannot be written.
    """
    check_suffix(path, SUFFIXES)
    scored = outcome.scored
    halves = {
        f"Good, IoU of {GOOD} or more": [score for score in scored if score.overlap.iou >= GOOD],
        f"Bad, IoU below {BAD}": [score for score in scored if score.overlap.iou < BAD],
    }
    draws = {name: draw_by_family(half, rows, seed) for name, half in halves.items()}
    cards = _cards(list(chain.from_iterable(draws.values())), layout, predictions)
    sheets = [
        contact_sheet(
            [cards[score.id] for score in draws[name]],
            columns=1,
            title=f"{name}: {len(half)} of {outcome.total} samples, {len(draws[name])} drawn by "
            f"chance, families in turn (seed {seed})",
        )
        for name, half in halves.items()
    ]
    write_bytes(path, encode_png(_side_by_side(sheets)))


def draw_by_family(scored: Sequence[ScoredSample], count: int, seed: int) -> list[ScoredSample]:
    """Up to so many samples, one of each family in turn; the same for the same samples and seed."""
    rng = np.random.default_rng(seed)
    families: defaultdict[str, list[ScoredSample]] = defaultdict(list)
    for score in sorted(scored, key=lambda score: score.id):
        families[score.family].append(score)
    names = sorted(families)
    shuffled = [
        [families[name][index] for index in rng.permutation(len(families[name]))]
        for name in (names[index] for index in rng.permutation(len(names)))
    ]
    interleaved = chain.from_iterable(zip_longest(*shuffled))
    return [score for score in interleaved if score is not None][:count]


def _cards(
    scored: Sequence[ScoredSample], layout: Layout, predictions: PredictionFile
) -> Mapping[str, Card]:
    return {
        score.id: _card(score, sample, layout.pixels(sample.image), decode_mask(rle))
        for score, sample, rle in scored_answers(scored, layout, predictions)
    }


def _card(
    score: ScoredSample, sample: Sample, pixels: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> Card:
    pictures = [
        draw_prompt(pixels, sample.prompt),
        draw_outline(pixels, sample.mask(), YELLOW),
        draw_outline(pixels, mask, BLUE),
    ]
    result = f"{score.family}: IoU {score.overlap.iou:.2f}, confidence {score.confidence:.2f}"
    return Card(pictures, [sample.prompt.instruction(sample.width, sample.height), result])


def _side_by_side(sheets: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Sheets (H, W, 3) side by side, white below shorter ones."""
    height = max(map(len, sheets))
    return np.hstack(
        [
            np.pad(pixels, ((0, height - len(pixels)), (0, 0), (0, 0)), constant_values=255)
            for pixels in sheets
        ]
    )
