"""Region selection: which parts of a mask are kept where a prompt means one region.

A network that hesitates between objects marks several, some of them faintly. Of a text that means
one region, `network.choose` says which; of clicks, the clicked ones are meant. In a scene of many
tiles the choice is made on a view of the whole, and tiles keep what lies there.

Legend: P prompts, h w rows and columns of a mask; a part is a connected component of it.
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
from unigeoseg.predict.views import MASK_THRESHOLD, scores_from_logits

_FAINT_SCORE = 0.1  # a part is what scores more
_HIGH_QUANTILE = 0.95  # of a part's scores: what counts as its high ones
_EDGE_SHARE = 0.35  # of a part's high scores: the score at which it ends
_MIN_PART_CELLS = 2  # smaller parts are specks
_MAX_PARTS = 24  # parts that are compared
_MARGIN_CELLS = 2.0  # cells beyond a part that are still its own
_LOGIT_EPS = 1e-6  # keeps logits of scores finite


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
    labels = label_components(score > MASK_THRESHOLD)
    if not labels.any():
        return score
    targets = sorted({int(labels[cell]) for cell in clicks} - {0})
    if not targets:
        total_scores = np.bincount(labels.ravel(), weights=score.ravel())
        targets = [1 + int(total_scores[1:].argmax())]
    in_target = np.isin(labels, targets)
    raised = _raised_scores(score, in_target)
    raised_labels = label_components(raised > MASK_THRESHOLD)  # the same parts, a little larger
    raised_target = np.isin(raised_labels, np.unique(raised_labels[in_target]))
    return np.where((raised_labels == 0) | raised_target, raised, raised / 2).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The part of a mask that a text means.

    Attributes:
        score: (h, w) in [0, 1] of the mask.
        labels: (h, w), the parts; see `faint_parts`.
        part: The number of the one that is meant.
    """

    score: NDArray[np.float32]
    labels: NDArray[np.int64]
    part: int

    def isolated_score(self) -> NDArray[np.float32]:
        """Scores (h, w) with this part in the mask, and no other."""
        raised = _raised_scores(self.score, self.labels == self.part)
        in_rest = (self.labels != self.part) & (self.score > _FAINT_SCORE)
        return np.where(in_rest, self.score / 2, raised).astype(np.float32)

    def territory(self) -> NDArray[np.bool_]:
        """Where (h, w) the part lies: cells near it that are nearer to no other part."""
        in_part = self.labels == self.part
        in_rest = (self.labels > 0) & ~in_part
        distance = _distance_to(in_part)
        nearest = (distance < _distance_to(in_rest)) | ~in_rest.any()
        return np.asarray((distance <= _MARGIN_CELLS) & nearest)


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
        # the cell of each row, and of each column, by the place of its centre in the scene
        rows, columns = (
            ((start + np.arange(count) + 0.5) * cells / length).astype(int)
            for start, count, cells, length in (
                (window.row_off, score.shape[0], self.land.shape[0], self.shape[0]),
                (window.col_off, score.shape[1], self.land.shape[1], self.shape[1]),
            )
        )
        in_land = self.land[rows[:, None], columns]
        return np.where(in_land, score, score / 2).astype(np.float32)


def means_one_region(prompts: PromptInputs, output: SegmentationOutput) -> list[int]:
    """Numbers of the texts that mean one region, by what the network answered to P prompts."""
    singular = (output.one_logits > 0) & (prompts.task != INTERACTIVE)
    numbers: list[int] = singular.nonzero().flatten().tolist()
    return numbers


def choose_regions(
    network: UniGeoSegNetwork,
    image: ImageFeatures,
    prompts: PromptInputs,
    output: SegmentationOutput,
    numbers: Sequence[int],
) -> dict[int, Choice]:
    """The part that each of some prompts means.

    Prompts with nothing in their mask are left out: what is not there is not to be found faintly.

    Args:
        network: That gave `output`.
        image: What it has seen.
        prompts: P prompts on it.
        output: Its answers to them.
        numbers: Of the prompts that mean one region; see `means_one_region`.

    Returns:
        Choices by the number of the prompt.
    """
    scores = {at: scores_from_logits(output.logits[at].float().cpu().numpy()) for at in numbers}
    parts = {
        at: labels
        for at, score in scores.items()
        if (score > MASK_THRESHOLD).any() and (labels := faint_parts(score)).any()
    }
    ambiguous = [at for at, labels in parts.items() if labels.max() > 1]
    best = dict.fromkeys(parts, 1)
    if ambiguous:
        device = output.logits.device
        choice_logits = network.choose(
            image,
            _select_prompts(prompts, ambiguous),
            torch.from_numpy(np.stack([parts[at] for at in ambiguous])).to(device),
            torch.from_numpy(np.stack([scores[at] for at in ambiguous])).to(device),
        )
        best |= zip(ambiguous, (choice_logits.argmax(dim=1) + 1).tolist(), strict=True)
    return {at: Choice(scores[at], labels, best[at]) for at, labels in parts.items()}


def with_choices(logits: Tensor, choices: Mapping[int, Choice]) -> Tensor:
    """Mask logits (P, h, w) in which the prompts of `choices` keep the chosen part alone."""
    chosen_logits = logits.clone()
    for at, choice in choices.items():
        isolated = torch.from_numpy(choice.isolated_score())
        chosen_logits[at] = torch.logit(isolated, eps=_LOGIT_EPS).to(logits)
    return chosen_logits


def faint_parts(score: NDArray[np.float32]) -> NDArray[np.int64]:
    """The connected parts of what scores at least a little, those with the most score first.

    Args:
        score: (h, w) in [0, 1].

    Returns:
        (h, w): 0 none, from 1 on a part.
    """
    labels = label_components(score > _FAINT_SCORE)
    total_scores = np.bincount(labels.ravel(), weights=score.ravel())
    areas = np.bincount(labels.ravel())
    total_scores[areas < _MIN_PART_CELLS] = 0
    order = 1 + np.argsort(-total_scores[1:], kind="stable")
    order = order[total_scores[order] > 0][:_MAX_PARTS]
    numbers = np.zeros(len(areas), np.int64)
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers[labels]


def _select_prompts(prompts: PromptInputs, numbers: Sequence[int]) -> PromptInputs:
    """Some of the prompts, by their numbers."""
    index = torch.tensor(numbers)
    return PromptInputs(
        **{
            attribute.name: getattr(prompts, attribute.name)[index]
            for attribute in fields(PromptInputs)
        }
    )


def _distance_to(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Of each cell (h, w) to the nearest one of a mask, in cells."""
    outside = np.ascontiguousarray(~mask, dtype=np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def _raised_scores(score: NDArray[np.float32], part: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scores (h, w) that are above 0.5 where they were above a share of a part's high ones.

    A network that hesitates between six regions marks each of them faintly; and a mask that is
    trained cell by cell ends, at 0.5, inside of where its IoU is best.
    """
    edge = max(_FAINT_SCORE, _EDGE_SHARE * float(np.quantile(score[part], _HIGH_QUANTILE)))
    # odds of the score, divided by the odds of the edge, so that the edge becomes 0.5
    for_part, against_part = score * (1 - edge), (1 - score) * edge
    return np.asarray(for_part / (for_part + against_part), np.float32)
