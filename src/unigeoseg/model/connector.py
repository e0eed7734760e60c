"""The connector: coarse image features become tokens for the language model.

Legend: B batch, C channels, D language width, G side of the token square, h w feature map.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Connector(nn.Module):
    """Pool the coarsest map to a square of tokens, project, and say where each token lies."""

    def __init__(self, channels: int, width: int, grid: int) -> None:
        """Connect maps of `channels` to `grid` x `grid` tokens of `width`."""
        super().__init__()
        self.grid = grid
        self.project = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)
        self.position_GGD = nn.Parameter(torch.zeros(grid, grid, width))
        nn.init.normal_(self.position_GGD, std=0.02)

    def forward(self, maps_BChw: Tensor) -> Tensor:
        """Turn maps (B, C, h, w) into tokens (B, G*G, D), row by row from the top left."""
        pooled = functional.adaptive_avg_pool2d(maps_BChw, self.grid).permute(0, 2, 3, 1)
        tokens: Tensor = self.norm(self.project(pooled)) + self.position_GGD
        return tokens.flatten(1, 2)
