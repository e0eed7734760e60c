"""Which parts of a mask are kept where one region is meant.

A network that hesitates between objects marks several, some of them faintly. Of a text that means
one region, `network.choose` says which; of clicks, the clicked ones are meant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unigeoseg.geo.mask import components
from unigeoseg.model.network import (
    ImageFeatures,
    PromptInputs,
    SegmentationOutput,
    UniGeoSegNetwork,
)

_FAINT = 0.1  # a part is what scores more
_SHARE = 0.35  # of a part's high scores, its own threshold
_LEAST = 2  # cells of a part
_MOST = 24  # parts that are compared
_HALF = 0.5  # the threshold of masks


def keep_clicked(
    score: NDArray[np.float32], clicks: Iterable[tuple[int, int]]
) -> NDArray[np.float32]:
    """Halve the score of the parts that were not clicked, so that they leave the mask.

    Args:
        score: (h, w) in [0, 1]; the mask is where it is above 0.5.
        clicks: Row and column of each click on the target, inside (h, w); where none hit a part,
            the one with the most score is kept.

    Returns:
        (h, w) in [0, 1], unchanged where the mask has one part at most.
    """
    labels = components(score > _HALF)
    if labels.max() < 2:
        return score
    meant = sorted({int(labels[at]) for at in clicks} - {0})
    if not meant:
        amounts = np.bincount(labels.ravel(), weights=score.ravel())
        meant = [1 + int(amounts[1:].argmax())]
    return np.where((labels == 0) | np.isin(labels, meant), score, score / 2).astype(np.float32)


def chosen(
    network: UniGeoSegNetwork,
    image: ImageFeatures,
    prompts: PromptInputs,
    output: SegmentationOutput,
    which: Sequence[int],
) -> Tensor:
    """Mask logits (P, h, w) in which some prompts keep the one part that they mean.

    Args:
        network: That gave `output`.
        image: What it has seen.
        prompts: P prompts on it.
        output: Its answers to them.
        which: Numbers of the prompts that mean one region.
    """
    logits = output.logits.clone()
    scores = {at: output.logits[at].float().sigmoid().numpy() for at in which}
    parts = {at: labels for at in which if (labels := faint_parts(scores[at])).any()}
    several = [at for at, labels in parts.items() if labels.max() > 1]
    best = dict.fromkeys(parts, 1)
    if several:
        told = network.choose(
            image,
            _of(prompts, several),
            torch.from_numpy(np.stack([parts[at] for at in several])),
            torch.from_numpy(np.stack([scores[at] for at in several])),
        )
        best |= zip(several, (told.argmax(dim=1) + 1).tolist(), strict=True)
    for at, labels in parts.items():
        kept = alone(scores[at], labels, best[at])
        logits[at] = torch.logit(torch.from_numpy(kept), eps=1e-6).to(logits)
    return logits


def faint_parts(score: NDArray[np.float32]) -> NDArray[np.int64]:
    """The connected parts of what scores at least a little, those with the most score first.

    Args:
        score: (h, w) in [0, 1].

    Returns:
        (h, w): 0 none, from 1 on a part.
    """
    labels = components(score > _FAINT)
    amounts = np.bincount(labels.ravel(), weights=score.ravel())
    areas = np.bincount(labels.ravel())
    amounts[areas < _LEAST] = 0
    order = 1 + np.argsort(-amounts[1:], kind="stable")
    order = order[amounts[order] > 0][:_MOST]
    numbers = np.zeros(len(areas), np.int64)
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers[labels]


def alone(score: NDArray[np.float32], labels: NDArray[np.int64], part: int) -> NDArray[np.float32]:
    """Scores with one part in the mask, and no other.

    The part is cut at a share of its own high scores: a network that hesitates between six marks
    each of them faintly.

    Args:
        score: (h, w) in [0, 1].
        labels: Of `faint_parts`.
        part: Its number.
    """
    high = np.quantile(score[labels == part], 0.95)
    cut = max(_FAINT, _SHARE * high)
    raised = score * (1 - cut) / (score * (1 - cut) + (1 - score) * cut)  # its odds over the cut's
    other = (labels != part) & (score > _FAINT)
    return np.where(other, score / 2, raised).astype(np.float32)


def _of(prompts: PromptInputs, which: Sequence[int]) -> PromptInputs:
    """Some of the prompts."""
    at = torch.tensor(which)
    return PromptInputs(
        **{each.name: getattr(prompts, each.name)[at] for each in fields(PromptInputs)}
    )
