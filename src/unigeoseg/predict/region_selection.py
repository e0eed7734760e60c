"""Which parts of a mask are kept where one region is meant.

A network that hesitates between objects marks several, some of them faintly. Of a text that means
one region, `network.choose` says which; of clicks, the clicked ones are meant. In a scene of many
tiles the choice is made on a view of the whole, and tiles keep what lies there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import Tensor

from unigeoseg.geo.masks import label_components
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.tate import INTERACTIVE
from unigeoseg.model.values import ImageFeatures, PromptInputs, SegmentationOutput
from unigeoseg.predict.views import scores_from_logits

_FAINT = 0.1  # a part is what scores more
_SHARE = 0.35  # of a part's high scores, the score at which it ends
_LEAST = 2  # cells of a part
_MOST = 24  # parts that are compared
_NEAR = 2.0  # cells beyond a part that are still its own
_HALF = 0.5  # the threshold of masks


def keep_clicked(
    score: NDArray[np.float32], clicks: Iterable[tuple[int, int]]
) -> NDArray[np.float32]:
    """Scores with the clicked parts in the mask, and no other.

    Args:
        score: (h, w) in [0, 1]; parts are where it is above 0.5.
        clicks: Row and column of each click on the target, inside (h, w); where none hit a part,
            the one with the most score is kept.

    Returns:
        (h, w) in [0, 1], unchanged where there is no part.
    """
    labels = label_components(score > _HALF)
    if not labels.any():
        return score
    meant = sorted({int(labels[at]) for at in clicks} - {0})
    if not meant:
        amounts = np.bincount(labels.ravel(), weights=score.ravel())
        meant = [1 + int(amounts[1:].argmax())]
    raised = _raised(score, np.isin(labels, meant))
    around = label_components(raised > _HALF)  # the same parts, a little larger
    kept = np.isin(around, np.unique(around[np.isin(labels, meant)]))
    return np.where((around == 0) | kept, raised, raised / 2).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The part of a mask that is meant.

    Attributes:
        score: (h, w) in [0, 1] of the mask.
        labels: (h, w), the parts; see `faint_parts`.
        part: The number of the one that is meant.
    """

    score: NDArray[np.float32]
    labels: NDArray[np.int64]
    part: int

    def alone(self) -> NDArray[np.float32]:
        """Scores (h, w) with this part in the mask, and no other."""
        raised = _raised(self.score, self.labels == self.part)
        other = (self.labels != self.part) & (self.score > _FAINT)
        return np.where(other, self.score / 2, raised).astype(np.float32)

    def territory(self) -> NDArray[np.bool_]:
        """Where (h, w) the part lies: cells near it that are nearer to no other part."""
        mine = self.labels == self.part
        others = (self.labels > 0) & ~mine
        near = _distance(mine)
        return np.asarray((near <= _NEAR) & ((near < _distance(others)) | ~others.any()))


@dataclass(frozen=True, slots=True, eq=False)
class Focus:
    """Where in a scene the one region lies that a text means, as seen from afar.

    Attributes:
        land: (h, w), cells that divide the scene evenly; see `Choice.territory`.
        shape: Rows and columns of the scene.
    """

    land: NDArray[np.bool_]
    shape: tuple[int, int]

    def keep(self, score: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
        """Halve the scores (h, w) of a window that lie elsewhere, so that they leave the mask."""
        rows, columns = (
            ((start + np.arange(count) + 0.5) * cells / length).astype(int)
            for start, count, cells, length in (
                (window.row_off, score.shape[0], self.land.shape[0], self.shape[0]),
                (window.col_off, score.shape[1], self.land.shape[1], self.shape[1]),
            )
        )
        here = self.land[rows[:, None], columns]
        return np.where(here, score, score / 2).astype(np.float32)


def means_one_region(prompts: PromptInputs, output: SegmentationOutput) -> list[int]:
    """Numbers of the texts that mean one region, by what the network answered to P prompts."""
    one = (output.one_logits > 0) & (prompts.task != INTERACTIVE)
    numbers: list[int] = one.nonzero().flatten().tolist()
    return numbers


def choose_regions(
    network: UniGeoSegNetwork,
    image: ImageFeatures,
    prompts: PromptInputs,
    output: SegmentationOutput,
    which: Sequence[int],
) -> dict[int, Choice]:
    """The part that each of some prompts means.

    Prompts with nothing in their mask are left out: what is not there is not to be found faintly.

    Args:
        network: That gave `output`.
        image: What it has seen.
        prompts: P prompts on it.
        output: Its answers to them.
        which: Numbers of the prompts that mean one region; see `means_one_region`.
    """
    scores = {at: scores_from_logits(output.logits[at].float().cpu().numpy()) for at in which}
    parts = {
        at: labels
        for at, score in scores.items()
        if (score > _HALF).any() and (labels := faint_parts(score)).any()
    }
    several = [at for at, labels in parts.items() if labels.max() > 1]
    best = dict.fromkeys(parts, 1)
    if several:
        device = output.logits.device
        told = network.choose(
            image,
            _of(prompts, several),
            torch.from_numpy(np.stack([parts[at] for at in several])).to(device),
            torch.from_numpy(np.stack([scores[at] for at in several])).to(device),
        )
        best |= zip(several, (told.argmax(dim=1) + 1).tolist(), strict=True)
    return {at: Choice(scores[at], labels, best[at]) for at, labels in parts.items()}


def with_choices(logits: Tensor, choices: Mapping[int, Choice]) -> Tensor:
    """Mask logits (P, h, w) in which those that were chosen for keep that part alone."""
    kept = logits.clone()
    for at, choice in choices.items():
        kept[at] = torch.logit(torch.from_numpy(choice.alone()), eps=1e-6).to(logits)
    return kept


def faint_parts(score: NDArray[np.float32]) -> NDArray[np.int64]:
    """The connected parts of what scores at least a little, those with the most score first.

    Args:
        score: (h, w) in [0, 1].

    Returns:
        (h, w): 0 none, from 1 on a part.
    """
    labels = label_components(score > _FAINT)
    amounts = np.bincount(labels.ravel(), weights=score.ravel())
    areas = np.bincount(labels.ravel())
    amounts[areas < _LEAST] = 0
    order = 1 + np.argsort(-amounts[1:], kind="stable")
    order = order[amounts[order] > 0][:_MOST]
    numbers = np.zeros(len(areas), np.int64)
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers[labels]


def _of(prompts: PromptInputs, which: Sequence[int]) -> PromptInputs:
    """Some of the prompts."""
    at = torch.tensor(which)
    return PromptInputs(
        **{each.name: getattr(prompts, each.name)[at] for each in fields(PromptInputs)}
    )


def _distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Of each cell (h, w) to the nearest one of a mask, in cells."""
    away = np.ascontiguousarray(~mask, dtype=np.uint8)
    return np.asarray(cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def _raised(score: NDArray[np.float32], part: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scores (h, w) that are above 0.5 where they were above a share of a part's high ones.

    A network that hesitates between six regions marks each of them faintly; and a mask that is
    trained cell by cell ends, at 0.5, inside of where its IoU is best.
    """
    cut = max(_FAINT, _SHARE * float(np.quantile(score[part], 0.95)))
    odds = score * (1 - cut), (1 - score) * cut
    return np.asarray(odds[0] / (odds[0] + odds[1]), np.float32)
