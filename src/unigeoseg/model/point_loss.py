"""Losses of Base: masks compared at sampled points, and the words of the answer.

Legend: P prompts, K points, h w mask logits, H W truth, L tokens, V vocabulary.
Source: paper section 4; the sampling is Mask2Former's, as the released code has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from unigeoseg.model.base.chat import IGNORED

_WHOLLY_VALID = 0.99  # of an interpolated validity: all four neighbours are valid

Draw = Callable[[int, int], Tensor]
"""Uniform points (P, K, 2), x before y, in [0, 1], for given P and K."""
Head = Callable[[Tensor], Tensor]
"""What words hidden states expect: (N, D) to (N, V)."""


@dataclass(frozen=True, kw_only=True)
class PointLossConfig:
    """How masks are compared.

    Attributes:
        points: K, points per mask.
        oversample: Points drawn per point kept.
        uncertain: Share of the points that are the least certain of those drawn.
        bce_weight: Weight of the binary cross-entropy.
        dice_weight: Weight of the dice loss.
    """

    points: int = 12544
    oversample: float = 3.0
    uncertain: float = 0.75
    bce_weight: float = 5.0
    dice_weight: float = 5.0


def draw_uniform(prompts: int, points: int) -> Tensor:
    """Uniform points (P, K, 2) of torch's own generator."""
    return torch.rand(prompts, points, 2)


def point_losses(
    layers: Sequence[Tensor],
    truth: Tensor,
    config: PointLossConfig,
    draw: Draw = draw_uniform,
    *,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy and dice at sampled points, weighted, summed over the layers.

    Args:
        layers: Mask logits (P, h, w) per decoder layer, in the order in which points are drawn.
        truth: (P, H, W) in [0, 1], of any size.
        config: Points and weights.
        draw: Where uniform points come from.
        valid: (P, H, W) in {0, 1}, 0 where the label does not say; None where it always does.
    """
    valid = torch.ones_like(truth) if valid is None else valid
    bce = dice = torch.zeros((), device=truth.device)
    for logits in layers:
        with torch.no_grad():
            points = uncertain_points(logits, config, draw)
            labelled = (_at(valid, points, "border") > _WHOLLY_VALID).to(logits)
            labels = _at(truth, points) * labelled
        values = _at(logits, points)
        bce = bce + _bce(values, labels, labelled)
        dice = dice + _dice(values, labels, labelled)
    return config.bce_weight * bce, config.dice_weight * dice


def uncertain_points(logits: Tensor, config: PointLossConfig, draw: Draw) -> Tensor:
    """Importance sampling: points (P, K, 2) in [0, 1], mostly where logits (P, h, w) are near 0."""
    candidates = draw(len(logits), int(config.points * config.oversample)).to(logits)
    count = int(config.uncertain * config.points)
    nearest = (-_at(logits, candidates).abs()).topk(count, dim=1).indices
    uncertain = candidates.gather(1, nearest.unsqueeze(-1).expand(-1, -1, 2))
    if count == config.points:
        return uncertain
    return torch.cat([uncertain, draw(len(logits), config.points - count).to(logits)], dim=1)


def answer_loss(hidden: Tensor, labels: Tensor, head: Head) -> Tensor:
    """Cross-entropy of the answer's tokens, mean over those with a label; 0 if none has one.

    Args:
        hidden: Hidden states (P, L, D); the one before a token predicts it.
        labels: (P, L) int64, each place's own token, or IGNORED.
        head: Hidden states (N, D) to what is expected (N, V); it sees those alone that predict a
            label, since V is large.
    """
    taught = labels[:, 1:] != IGNORED
    logits, tokens = head(hidden[:, :-1][taught]), labels[:, 1:][taught]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    summed = functional.cross_entropy(logits, tokens, reduction="sum")
    return summed / max(len(tokens), 1)


def _at(maps: Tensor, points: Tensor, beyond: str = "zeros") -> Tensor:
    """Values of maps (P, h, w) at points (P, K, 2), bilinear: (P, K)."""
    grid = (2 * points - 1).unsqueeze(2)
    sampled = functional.grid_sample(
        maps.unsqueeze(1).to(grid), grid, padding_mode=beyond, align_corners=False
    )
    return sampled[:, 0, :, 0]


def _bce(values: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Mean over prompts of the mean over labelled points of (P, K)."""
    losses = functional.binary_cross_entropy_with_logits(values, labels, reduction="none")
    return ((losses * labelled).sum(dim=1) / labelled.sum(dim=1).clamp(min=1)).mean()


def _dice(values: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Mean over prompts of 1 - dice of logits and labels (P, K); one point smooths the ratio."""
    probability = values.sigmoid() * labelled
    overlap = 2 * (probability * labels).sum(dim=1)
    return (1 - (overlap + 1) / (probability.sum(dim=1) + labels.sum(dim=1) + 1)).mean()
