"""Cluster bootstrap: percentile intervals of ratios of sums, resampling whole scenes (Efron).

Questions on one scene are not independent of each other; resampled one by one they would make an
interval that is too narrow. The seed is fixed, so equal input gives equal intervals.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS, SEED = 1000, 0
_CHUNK = 100  # rounds held in memory together
_PERCENTILES = (2.5, 97.5)  # ends of a 95 % interval

Sums = NDArray[np.float64]
"""(clusters or rounds, columns): numerators and denominators, summed."""


def ratio_interval(
    numerators: Sequence[float],
    denominators: Sequence[float],
    clusters: Sequence[str],
    empty: float,
) -> tuple[float, float]:
    """95 % interval of sum(numerators) / sum(denominators); NaN without samples.

    Args:
        numerators: A sample's term of the numerator.
        denominators: Its term of the denominator.
        clusters: The scene of each sample.
        empty: Value of a resample whose denominator is zero.
    """
    if not clusters:
        return np.nan, np.nan
    sums = _cluster_sums(numerators, denominators, clusters)
    return _interval(np.concatenate([_ratios(chunk, empty) for chunk in _resamples(sums)]))


def difference_interval(
    first: tuple[Sequence[float], Sequence[float]],
    second: tuple[Sequence[float], Sequence[float]],
    clusters: Sequence[str],
    empty: float,
) -> tuple[float, float]:
    """95 % interval of the difference of two ratios on the same samples, second minus first.

    Each resample takes the same scenes of both (a paired bootstrap).

    Args:
        first: Numerators and denominators, a term of each per sample.
        second: The same of the other ratio.
        clusters: The scene of each sample.
        empty: Value of a ratio whose denominator is zero.
    """
    if not clusters:
        return np.nan, np.nan
    sums = np.hstack([_cluster_sums(*first, clusters), _cluster_sums(*second, clusters)])
    differences = [
        _ratios(chunk[:, 2:], empty) - _ratios(chunk[:, :2], empty) for chunk in _resamples(sums)
    ]
    return _interval(np.concatenate(differences))


def _cluster_sums(
    numerators: Sequence[float], denominators: Sequence[float], clusters: Sequence[str]
) -> Sums:
    """(scenes, 2) sums, in the order of the scenes' names, whatever the order of the samples."""
    _, index = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    terms = np.array([numerators, denominators], np.float64).T
    # floats are summed in one order, so that equal samples give equal sums
    order = np.lexsort((terms[:, 1], terms[:, 0], index))
    sums = np.zeros((int(index.max()) + 1, 2))
    np.add.at(sums, index[order], terms[order])
    return sums


def _resamples(sums: Sums) -> Iterator[Sums]:
    """(rounds, columns) sums over scenes drawn with replacement, some rounds at a time."""
    rng = np.random.default_rng(SEED)
    count = len(sums)
    for _ in range(0, ROUNDS, _CHUNK):
        multiplicities = rng.multinomial(count, np.full(count, 1 / count), size=_CHUNK)
        yield multiplicities @ sums


def _ratios(sums: Sums, empty: float) -> Sums:
    ratios = np.full(len(sums), empty)
    np.divide(sums[:, 0], sums[:, 1], out=ratios, where=sums[:, 1] > 0)
    return ratios


def _interval(values: Sums) -> tuple[float, float]:
    low, high = np.percentile(values, _PERCENTILES)
    return float(low), float(high)
