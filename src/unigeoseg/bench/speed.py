"""How long one tile takes, and a further prompt on it."""

import statistics
import time
from collections.abc import Callable

import numpy as np

from unigeoseg.segment import Segmenter


def time_tile(segmenter: Segmenter, *, size: int, rounds: int) -> dict[str, float]:
    """Median seconds of one tile by text, of a second text on it, and of a box on it.

    Args:
        segmenter: What is timed.
        size: Side of the square tile in pixels.
        rounds: Repetitions, after one that warms up.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    first, second, other = [], [], []
    for _ in range(rounds + 1):
        with segmenter.open(pixels) as session:
            first.append(_seconds(lambda: session.segment(["the storage tanks"])))
            second.append(_seconds(lambda: session.segment(["the road in the upper left"])))
            other.append(_seconds(lambda: session.segment(["where would aircraft wait?"])))
    return {
        "a tile by text": statistics.median(first[1:]),
        "a second text on the same tile": statistics.median(second[1:]),
        "a question on the same tile": statistics.median(other[1:]),
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
