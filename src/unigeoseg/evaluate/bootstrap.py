"""Intervals of ratios of sums, by drawing whole scenes again (Efron's percentile bootstrap).

Questions on one scene are not independent of each other; drawn one by one they would make an
interval that is too narrow. The seed is fixed, so equal input gives equal intervals.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS, SEED = 1000, 0
_AT_ONCE = 100  # rounds held in memory together
_LEVEL = (2.5, 97.5)

Sums = NDArray[np.float64]


def ratio_interval(
    above: Sequence[float], below: Sequence[float], clusters: Sequence[str], empty: float
) -> tuple[float, float]:
    """95 % interval of sum(above) / sum(below); NaN without samples.

    Args:
        above: What each sample adds above the line.
        below: What it adds below.
        clusters: The scene of each sample.
        empty: Value of a draw where nothing lies below the line.
    """
    if not clusters:
        return np.nan, np.nan
    sums = _per_cluster(above, below, clusters)
    return _percentiles(np.concatenate([_ratio(part, empty) for part in _draws(sums)]))


def difference_interval(
    one: tuple[Sequence[float], Sequence[float]],
    other: tuple[Sequence[float], Sequence[float]],
    clusters: Sequence[str],
    empty: float,
) -> tuple[float, float]:
    """95 % interval of the difference of two ratios on the same samples, other minus one.

    Each draw takes the same scenes of both.
    """
    if not clusters:
        return np.nan, np.nan
    sums = np.hstack([_per_cluster(*one, clusters), _per_cluster(*other, clusters)])
    apart = [_ratio(part[:, 2:], empty) - _ratio(part[:, :2], empty) for part in _draws(sums)]
    return _percentiles(np.concatenate(apart))


def _per_cluster(above: Sequence[float], below: Sequence[float], clusters: Sequence[str]) -> Sums:
    """(scenes, 2) sums, in the order of the scenes' names, whatever the order of the samples."""
    _, index = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    terms = np.array([above, below], np.float64).T
    order = np.lexsort((terms[:, 1], terms[:, 0], index))
    sums = np.zeros((int(index.max()) + 1, 2))
    np.add.at(sums, index[order], terms[order])
    return sums


def _draws(sums: Sums) -> Iterator[Sums]:
    """(rounds, columns) sums of scenes drawn with replacement, some rounds at a time."""
    rng = np.random.default_rng(SEED)
    count = len(sums)
    for _ in range(0, ROUNDS, _AT_ONCE):
        times = rng.multinomial(count, np.full(count, 1 / count), size=_AT_ONCE)
        yield times @ sums


def _ratio(sums: Sums, empty: float) -> Sums:
    ratios = np.full(len(sums), empty)
    np.divide(sums[:, 0], sums[:, 1], out=ratios, where=sums[:, 1] > 0)
    return ratios


def _percentiles(values: Sums) -> tuple[float, float]:
    low, high = np.percentile(values, _LEVEL)
    return float(low), float(high)
