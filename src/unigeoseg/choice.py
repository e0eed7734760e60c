"""Which parts of a mask are kept where one region is meant.

A network that hesitates between two objects marks both. Where the instruction means one region, the
parts that were clicked are kept, or else the one with the most score.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from unigeoseg.geo.mask import components


def keep_one(
    score: NDArray[np.float32], clicks: Iterable[tuple[int, int]] = ()
) -> NDArray[np.float32]:
    """Halve the score of the parts that are not meant, so that they leave the mask.

    Args:
        score: (h, w) in [0, 1]; the mask is where it is above 0.5.
        clicks: Row and column of each click on the target, inside (h, w).

    Returns:
        (h, w) in [0, 1], unchanged where the mask has one part at most.
    """
    labels = components(score > 0.5)
    if labels.max() < 2:
        return score
    meant = sorted({int(labels[at]) for at in clicks} - {0})
    if not meant:
        amounts = np.bincount(labels.ravel(), weights=score.ravel())
        meant = [1 + int(amounts[1:].argmax())]
    return np.where((labels == 0) | np.isin(labels, meant), score, score / 2).astype(np.float32)
