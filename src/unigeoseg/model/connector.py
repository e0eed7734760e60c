"""The connector: coarse image features become tokens for the language model.

Legend: B batch, C channels, D language width, G side of the token square, h w feature map.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.layers import INIT_SPREAD


class Connector(nn.Module):
    """Pool the coarsest map to a square of tokens, project, and say where each token lies."""

    def __init__(self, channels: int, width: int, grid: int) -> None:
        """Connect maps of `channels` to `grid` x `grid` tokens of `width`."""
        super().__init__()
        self.grid = grid
        self.project = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)
        self.position_GGD = nn.Parameter(torch.zeros(grid, grid, width))
        nn.init.normal_(self.position_GGD, std=INIT_SPREAD)

    def forward(self, maps_BChw: Tensor) -> Tensor:
        """Turn maps (B, C, h, w) into tokens (B, G*G, D), row by row from the top left."""
        pooled = functional.adaptive_avg_pool2d(maps_BChw, self.grid).permute(0, 2, 3, 1)
        tokens: Tensor = self.norm(self.project(pooled)) + self.position_GGD
        return tokens.flatten(1, 2)


class CompressionConnector(nn.Module):
    """Three convolutions that halve the coarsest map (the released code's SparseConv_1).

    Its norms have a weight per place, which fixes the size of the image.
    """

    def __init__(self, channels: int, width: int, side: int) -> None:
        """Connect maps of `channels` and `side` x `side` places to tokens of `width`."""
        super().__init__()
        half = (side + 1) // 2
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.first_norm = nn.LayerNorm((width, side, side))
        self.second = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.second_norm = nn.LayerNorm((width, half, half))
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, maps_BChw: Tensor) -> Tensor:
        """Turn maps (B, C, h, w) into tokens (B, h/2 * w/2, D), row by row from the top left."""
        maps = self.first_norm(self.first(maps_BChw))
        maps = self.second_norm(self.second(maps))
        tokens: Tensor = self.project(maps).flatten(2).transpose(1, 2)
        return tokens
