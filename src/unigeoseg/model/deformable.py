"""Mask2Former's pixel decoder: multi-scale deformable attention in plain PyTorch.

Legend: B images, C channels, S levels, N places of all levels together, H heads, K points per
level and head, h w feature map.
Source: Zhu et al., Deformable DETR (arXiv 2010.04159); Cheng et al., Mask2Former (arXiv
2112.01527). Unlike Mask2Former's, the released lateral convolution has a bias and a ReLU.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import Mask2FormerConfig
from unigeoseg.model.decoder import upsample
from unigeoseg.model.positions import sine_positions

_LEVELS = 3  # strides 32, 16 and 8
_GROUPS = 32
Shapes = list[tuple[int, int]]


class DeformableAttention(nn.Module):
    """Every place looks at a few learned places round itself, on each level."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        """Build attention of `config.heads` heads and `config.points` points per level."""
        super().__init__()
        width = config.width
        self.heads, self.points = config.heads, config.points
        looks = config.heads * _LEVELS * config.points
        self.offset = nn.Linear(width, 2 * looks)
        self.weight = nn.Linear(width, looks)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self._look_around()

    def _look_around(self) -> None:
        """Start with each head looking its own way, further with each point."""
        turn = torch.arange(self.heads, dtype=torch.float32) * 2 * math.pi / self.heads
        way = torch.stack([turn.cos(), turn.sin()], dim=-1)
        way = way / way.abs().amax(dim=-1, keepdim=True)
        far = torch.arange(1, self.points + 1, dtype=torch.float32)
        start = (way[:, None, None, :] * far[:, None]).expand(-1, _LEVELS, -1, -1)
        with torch.no_grad():
            self.offset.bias.copy_(start.flatten())
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.weight.weight)
        nn.init.zeros_(self.weight.bias)

    def forward(
        self, queries_BNC: Tensor, places_BNC: Tensor, reference_N2: Tensor, shapes: Shapes
    ) -> Tensor:
        """Look at the levels.

        Args:
            queries_BNC: What asks (B, N, C).
            places_BNC: What is looked at (B, N, C), level after level, row by row.
            reference_N2: (N, 2) float, x and y in [0, 1] of each asking place.
            shapes: Height and width of each level.

        Returns:
            (B, N, C).
        """
        batch, count, width = queries_BNC.shape
        split = (batch, count, self.heads, _LEVELS, self.points)
        # bags on CPUs know no bfloat16
        known = torch.promote_types(queries_BNC.dtype, torch.float32)
        offset = self.offset(queries_BNC).to(known).view(*split, 2).permute(0, 3, 5, 4, 2, 1)
        weight = self.weight(queries_BNC).view(*split[:3], -1).softmax(dim=-1).to(known).view(split)
        rows, shares = _corners(offset, weight.permute(0, 3, 4, 2, 1), reference_N2, shapes)
        values = self.value(places_BNC).to(known).reshape(-1, width // self.heads)
        looked = functional.embedding_bag(rows, values, mode="sum", per_sample_weights=shares)
        looked = looked.view(batch, self.heads, count, -1).transpose(1, 2).flatten(2)
        out: Tensor = self.out(looked.to(queries_BNC.dtype))
        return out


class DeformableLayer(nn.Module):
    """Deformable self-attention and a feed-forward part; post-norm."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        """Build one layer."""
        super().__init__()
        self.attention = DeformableAttention(config)
        self.attention_norm = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.pixel_feed_forward)
        self.down = nn.Linear(config.pixel_feed_forward, config.width)
        self.output_norm = nn.LayerNorm(config.width)

    def forward(
        self, places_BNC: Tensor, positions_1NC: Tensor, reference_N2: Tensor, shapes: Shapes
    ) -> Tensor:
        """Refine places (B, N, C); see `DeformableAttention.forward`."""
        asked = places_BNC + positions_1NC
        looked = self.attention(asked, places_BNC, reference_N2, shapes)
        places_BNC = self.attention_norm(places_BNC + looked)
        fed = self.down(functional.relu(self.up(places_BNC)))
        out: Tensor = self.output_norm(places_BNC + fed)
        return out


class DeformablePixelDecoder(nn.Module):
    """Encoder maps become three refined levels, and the fine map that masks are read off."""

    def __init__(self, channels: tuple[int, int, int, int], config: Mask2FormerConfig) -> None:
        """Read encoder maps of `channels`."""
        super().__init__()
        width = config.width
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, width, 1), nn.GroupNorm(_GROUPS, width))
            for inputs in reversed(channels[1:])
        )
        self.level_SC = nn.Parameter(torch.randn(_LEVELS, width))
        self.layers = nn.ModuleList(DeformableLayer(config) for _ in range(config.pixel_layers))
        self.lateral = nn.Sequential(
            nn.Conv2d(channels[0], width, 1), nn.GroupNorm(_GROUPS, width), nn.ReLU()
        )
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(_GROUPS, width), nn.ReLU()
        )
        self.mask = nn.Conv2d(width, config.mask_width, 1)

    def forward(self, pyramid: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Refine encoder maps at strides 4, 8, 16, 32.

        Returns:
            The mask features (B, mask width, H/4, W/4), and the levels (B, C, h, w) at strides
            32, 16 and 8.
        """
        levels = [
            project(maps) for project, maps in zip(self.project, reversed(pyramid[1:]), strict=True)
        ]
        shapes = [(maps.shape[-2], maps.shape[-1]) for maps in levels]
        places = torch.cat([_flat(maps) for maps in levels], dim=1)
        positions = torch.cat(
            [
                _flat(sine_positions(maps)) + level
                for maps, level in zip(levels, self.level_SC, strict=True)
            ],
            dim=1,
        )
        reference = _centres(shapes, places)
        for layer in self.layers:
            places = layer(places, positions, reference, shapes)
        refined = _levels(places, shapes)
        lateral = self.lateral(pyramid[0])
        fine = self.mask(self.smooth(lateral + upsample(refined[-1], lateral)))
        return (fine, *refined)


def _corners(
    offset: Tensor, weight: Tensor, reference_N2: Tensor, shapes: Shapes
) -> tuple[Tensor, Tensor]:
    """The four places round each point that is looked at, and what each counts.

    To sum rows of a table is several times as fast on a CPU as to sample maps.

    Args:
        offset: (B, S, 2, K, H, N) float, x and y in places of each level.
        weight: (B, S, K, H, N) float, of each point.
        reference_N2: (N, 2) float, x and y in [0, 1].
        shapes: Height and width of each level.

    Returns:
        Rows (B*H*N, 4*S*K) int64 of a table of what is looked at, place by place and head by head,
        and their shares: bilinear, and 0 outside a level.
    """
    batch, *_, heads, count = offset.shape
    head = torch.arange(heads, device=offset.device)[:, None]
    places = sum(height * width for height, width in shapes)
    first = torch.arange(batch, device=offset.device).view(-1, 1, 1, 1) * places
    rows, shares, start = [], [], 0
    for level, (height, width) in enumerate(shapes):
        x, y = reference_N2[:, 0] * width - 0.5, reference_N2[:, 1] * height - 0.5
        columns = _neighbours(x + offset[:, level, 0], width)
        for row, high in _neighbours(y + offset[:, level, 1], height):
            begin, counts = first + start + row * width, high * weight[:, level]
            for column, wide in columns:
                rows.append((begin + column) * heads + head)
                shares.append(wide * counts)
        start += height * width
    bags = batch * heads * count, -1
    return _innermost(rows).reshape(bags), _innermost(shares).reshape(bags)


def _neighbours(at: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """The two places beside each coordinate, kept inside 0 to `length` - 1, and their shares."""
    low = at.floor()
    found = []
    for place, share in ((low, low + 1 - at), (low + 1, at - low)):
        inside = place.clamp(0, length - 1)
        # NaN is no place, and stays in the share
        found.append((inside.nan_to_num().long(), share * (inside == place)))
    return found


def _innermost(parts: list[Tensor]) -> Tensor:
    """Stack many (B, K, H, N) to (B, H, N, parts * K)."""
    return torch.stack(parts, dim=1).flatten(1, 2).permute(0, 2, 3, 1)


def _flat(maps: Tensor) -> Tensor:
    """Places of maps (B, C, h, w) row by row: (B, h*w, C)."""
    return maps.flatten(2).transpose(1, 2)


def _levels(places: Tensor, shapes: Shapes) -> list[Tensor]:
    """The maps (B, C, h, w) that places (B, N, C) of all levels are made of."""
    maps, start = [], 0
    for height, width in shapes:
        part = places[:, start : start + height * width].transpose(1, 2)
        maps.append(part.reshape(len(part), -1, height, width))
        start += height * width
    return maps


def _centres(shapes: Shapes, like: Tensor) -> Tensor:
    """Centre x, y in [0, 1] of each place of each level, (N, 2)."""
    centres = []
    for height, width in shapes:
        y = (torch.arange(height, device=like.device, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, device=like.device, dtype=torch.float32) + 0.5) / width
        grid = torch.stack([x.expand(height, -1), y.unsqueeze(1).expand(-1, width)], dim=-1)
        centres.append(grid.flatten(0, 1))
    return torch.cat(centres)
