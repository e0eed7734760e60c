"""Mask2Former's masked-attention decoder, with the target's embedding as its one query.

Legend: P prompts, Q queries, C width, h w feature map.
Source: Cheng et al., Mask2Former (arXiv 2112.01527), as the released code uses it: no learned
queries, no position of the query, no class head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import Mask2FormerConfig
from unigeoseg.model.layers import MaskedAttentionLayer, sine_positions

_LEVELS = 3
_SCORE_EPS = 1e-4  # scores stay so far from 0 and 1, where logits have no end


class Mask2FormerDecoder(nn.Module):
    """Masked-attention decoder of one query: refined on each level in turn, from coarse to fine."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        """Build `config.layers` layers."""
        super().__init__()
        width = config.width
        self.level_SC = nn.Parameter(torch.randn(_LEVELS, width))
        self.layers = nn.ModuleList(
            MaskedAttentionLayer(width, config) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.mask_head = nn.Sequential(
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, config.mask_width),
        )

    def forward(
        self, queries: Tensor, query_mask: Tensor, maps: tuple[Tensor, ...]
    ) -> tuple[list[Tensor], Tensor]:
        """Decode the query (P, 1, C).

        Args:
            queries: (P, 1, C).
            query_mask: (P, 1) bool, True where a query is real.
            maps: Mask features (P, C', H/4, W/4) and levels (P, C, h, w) at strides 32, 16, 8.

        Returns:
            Mask logits (P, H/4, W/4) after 0, 1, ... layers, best last, and the logit of the
            score (P,): the mean probability inside the mask, or the highest one where that is
            empty, since no score head was trained.
        """
        fine, *levels = maps
        values = [
            (level + lift[:, None, None]).flatten(2).transpose(1, 2)
            for level, lift in zip(levels, self.level_SC, strict=True)
        ]
        keys = [
            value + sine_positions(level).flatten(2).transpose(1, 2)
            for value, level in zip(values, levels, strict=True)
        ]
        logits = [self._mask(queries, fine)]
        for index, layer in enumerate(self.layers):
            level = index % _LEVELS
            blocked = _blocked(logits[-1], levels[level])
            pixels = (keys[level], values[level])
            queries = layer(queries, pixels, blocked, query_mask)
            logits.append(self._mask(queries, fine))
        return [layer[:, 0] for layer in logits], _score(logits[-1][:, 0])

    def _mask(self, queries: Tensor, fine: Tensor) -> Tensor:
        """Dot each query with the mask features: (P, Q, H/4, W/4)."""
        embedding: Tensor = self.mask_head(self.norm(queries))
        return torch.einsum("pqc,pchw->pqhw", embedding, fine)


def _blocked(logits: Tensor, level: Tensor) -> Tensor:
    """Where a query may not look, (P, Q, h*w): outside its mask, unless that is everywhere."""
    with torch.no_grad():
        small = functional.interpolate(
            logits, size=level.shape[-2:], mode="bilinear", align_corners=False
        )
        blocked = small.flatten(2).sigmoid() < 0.5
        nothing: Tensor = blocked.all(dim=-1, keepdim=True)
        return blocked & ~nothing


def _score(logits: Tensor) -> Tensor:
    """Logit of the mean probability inside the mask of logits (P, h, w); of the most if empty."""
    inside, probabilities = logits > 0, logits.sigmoid()
    area = inside.sum(dim=(1, 2))
    mean = (probabilities * inside).sum(dim=(1, 2)) / area.clamp(min=1)
    return torch.logit(torch.where(area > 0, mean, probabilities.amax(dim=(1, 2))), eps=_SCORE_EPS)
