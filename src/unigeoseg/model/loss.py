"""Losses of masks, of their scores, and of one region or all; outside the network.

So training and inference share one forward.

Legend: P prompts, h w mask logits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from unigeoseg.model.values import SegmentationOutput

# paper section 4 and the released training settings: 5 x BCE + 5 x dice, 2 x classification
BCE_WEIGHT, DICE_WEIGHT, SCORE_WEIGHT = 5.0, 5.0, 2.0
_SMALLEST_UNION = 1e-6  # in cells; an empty union has an IoU of 0
SINGLE_WEIGHT = 0.5  # not in the paper; small, since the words nearly tell it


@dataclass(frozen=True, slots=True)
class LossParts:
    """The parts of one step's loss by name, already weighted; scalars."""

    parts: Mapping[str, Tensor]

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return torch.stack(list(self.parts.values())).sum()


def segmentation_loss(
    output: SegmentationOutput, truth: Tensor, valid: Tensor, weight: Tensor, is_single: Tensor
) -> LossParts:
    """Mask losses with deep supervision, and those of the score and of one region or all.

    Args:
        output: Of the network, logits (P, h, w).
        truth: Share of each logit's cell that is target, (P, h, w) in [0, 1].
        valid: (P, h, w) in {0, 1}: 0 where the label does not say.
        weight: (P,) how much each prompt counts.
        is_single: (P,) in {0, 1}: 1 where the prompt means one region, not all that fit.
    """
    layers = (*output.earlier, output.logits)
    bce = sum((mask_bce(logits, truth, valid, weight) for logits in layers), torch.zeros(()))
    dice = sum((mask_dice(logits, truth, valid, weight) for logits in layers), torch.zeros(()))
    quality = soft_iou(output.logits.detach(), truth, valid)
    score = functional.binary_cross_entropy_with_logits(
        output.score_logits, quality, weight, reduction="sum"
    )
    single = functional.binary_cross_entropy_with_logits(
        output.one_logits, is_single, weight, reduction="sum"
    )
    return LossParts(
        {
            "bce": BCE_WEIGHT * bce / len(layers),
            "dice": DICE_WEIGHT * dice / len(layers),
            "score": SCORE_WEIGHT * score / weight.sum(),
            "one": SINGLE_WEIGHT * single / weight.sum(),
        }
    )


def mask_bce(logits: Tensor, truth: Tensor, valid: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean binary cross-entropy over valid cells; arguments as `segmentation_loss`."""
    cells = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    per_prompt = (cells * valid).sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp(min=1)
    return (per_prompt * weight).sum() / weight.sum()


def mask_dice(logits: Tensor, truth: Tensor, valid: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of 1 - dice over valid cells; one cell smooths both sides of the ratio."""
    probability, truth = logits.sigmoid() * valid, truth * valid
    overlap = 2 * (probability * truth).sum(dim=(1, 2))
    size = probability.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return ((1 - (overlap + 1) / (size + 1)) * weight).sum() / weight.sum()


def soft_iou(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """IoU of the thresholded mask with the truth, (P,); 0 where there is no target at all."""
    mask, truth = (logits > 0).float() * valid, truth * valid
    overlap = torch.minimum(mask, truth).sum(dim=(1, 2))
    union = torch.maximum(mask, truth).sum(dim=(1, 2))
    return overlap / union.clamp(min=_SMALLEST_UNION)
