"""Mask2Former's pixel decoder: multi-scale deformable attention in plain PyTorch.

Legend: B images, C channels, S levels, N places of all levels together, H heads, K points per
level and head, h w feature map.
Source: Zhu et al., Deformable DETR (arXiv 2010.04159); Cheng et al., Mask2Former (arXiv
2112.01527). Unlike Mask2Former's, the released lateral convolution has a bias and a ReLU.
"""

import math
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import Mask2FormerConfig
from unigeoseg.model.layers import sine_positions, upsample

_LEVELS = 3  # strides 32, 16 and 8
_GROUPS = 32
_BORDER = 3  # zeros along each axis of a level: one place before, two behind
Shapes = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class SamplingTable:
    """Multi-scale sampling by table rows: the places of all levels, and where each looks unmoved.

    In the table each level has a border of zeros, one place before and two behind: what is looked
    at outside counts as zero, without asking. To sum rows of a table is several times as fast on
    a CPU as to sample maps. Numbers of a look, L, come level after level, K of each.

    Attributes:
        x, y: (N, 1, L) float32, in places of each level; 0 is the centre of the first.
        width, height: (L,) float32, of the level.
        stride: (L,) float32, rows of the table from a place to the one below it.
        start: (L,) float32, row of the level's first place.
        shapes: Height and width of each level.
    """

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    stride: Tensor
    start: Tensor
    shapes: Shapes

    @classmethod
    def of(cls, shapes: Shapes, points: int, device: torch.device) -> "SamplingTable":
        """The table of levels of `shapes`, at each of which a place looks at `points` points."""
        centre, first_rows = _centres(shapes), accumulate([0, *_rows(shapes)[:-1]])
        start = [
            row + width + _BORDER + 1 for row, (_, width) in zip(first_rows, shapes, strict=True)
        ]
        height_L, width_L, start_L = (
            torch.tensor(numbers, dtype=torch.float32, device=device).repeat_interleave(points)
            for numbers in (*zip(*shapes, strict=True), start)
        )
        x, y = centre.to(device)[:, None, None].unbind(dim=-1)
        return cls(
            x=x * width_L - 0.5,
            y=y * height_L - 0.5,
            width=width_L,
            height=height_L,
            stride=width_L + _BORDER,
            start=start_L,
            shapes=shapes,
        )

    def fill(self, places_BNC: Tensor) -> Tensor:
        """Places (B, N, C) with the borders between them, (B, rows, C)."""
        border = 1, _BORDER - 1, 1, _BORDER - 1
        bordered = [functional.pad(level, border) for level in _levels(places_BNC, self.shapes)]
        return torch.cat([_flat(level) for level in bordered], dim=1)

    def corners(self, offset: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The four places round each point that is looked at, and what each counts.

        Args:
            offset: (B, N, H, L, 2) float, x and y in places of each level.
            weight: (B, N, H, L) float, of each point.

        Returns:
            Rows (B*N*H, 4*L) int32 of the table's heads (B*rows*H), and their shares, bilinear.
        """
        batch, _, heads = weight.shape[:3]
        x = torch.minimum((offset[..., 0] + self.x).clamp(min=-1), self.width)
        y = torch.minimum((offset[..., 1] + self.y).clamp(min=-1), self.height)
        left, top = x.detach().floor(), y.detach().floor()
        lower = (y - top) * weight
        upper = weight - lower
        lower_right, upper_right = lower * (x - left), upper * (x - left)
        shares = [upper - upper_right, upper_right, lower - lower_right, lower_right]

        # NaN is no place, and stays in the share
        first = (torch.addcmul(left, top, self.stride) + self.start).nan_to_num().int()
        head = torch.arange(heads, dtype=torch.int32, device=first.device)[:, None]
        image = torch.arange(batch, dtype=torch.int32, device=first.device).view(-1, 1, 1, 1)
        first = (first + image * sum(_rows(self.shapes))) * heads + head
        below = first + self.stride.int() * heads
        rows = [first, first + heads, below, below + heads]
        return torch.cat(rows, dim=-1).flatten(0, 2), torch.cat(shares, dim=-1).flatten(0, 2)


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention: a place samples a few learned offsets on each level."""

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

    def forward(self, queries_BNC: Tensor, places_BNC: Tensor, table: "SamplingTable") -> Tensor:
        """Sample the levels.

        Args:
            queries_BNC: Queries (B, N, C).
            places_BNC: Values (B, N, C), level after level, row by row.
            table: Of all levels.

        Returns:
            (B, N, C).
        """
        batch, count, width = queries_BNC.shape
        # embedding bags on CPUs know no type of less than 32 bits
        dtype = torch.promote_types(queries_BNC.dtype, torch.float32)
        offset = self.offset(queries_BNC).to(dtype).view(batch, count, self.heads, -1, 2)
        weight = self.weight(queries_BNC).view(*offset.shape[:-1]).softmax(dim=-1).to(dtype)
        rows, shares = table.corners(offset, weight)
        values = table.fill(self.value(places_BNC).to(dtype)).view(-1, width // self.heads)
        looked = functional.embedding_bag(rows, values, mode="sum", per_sample_weights=shares)
        out: Tensor = self.out(looked.view(batch, count, width).to(queries_BNC.dtype))
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

    def forward(self, places_BNC: Tensor, positions_1NC: Tensor, table: "SamplingTable") -> Tensor:
        """Refine places (B, N, C); see `DeformableAttention.forward`."""
        looked = self.attention(places_BNC + positions_1NC, places_BNC, table)
        places_BNC = self.attention_norm(places_BNC + looked)
        feed = self.down(functional.relu(self.up(places_BNC), inplace=True))
        out: Tensor = self.output_norm(places_BNC + feed)
        return out


class DeformablePixelDecoder(nn.Module):
    """Encoder maps become three refined levels, and the fine map that masks are read off."""

    def __init__(self, channels: tuple[int, int, int, int], config: Mask2FormerConfig) -> None:
        """Read encoder maps of `channels`."""
        super().__init__()
        width = config.width
        self.points = config.points
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
        table = SamplingTable.of(shapes, self.points, places.device)
        for layer in self.layers:
            places = layer(places, positions, table)
        refined = _levels(places, shapes)
        lateral = self.lateral(pyramid[0])
        fine = self.mask(self.smooth(lateral + upsample(refined[-1], lateral)))
        return (fine, *refined)


def _rows(shapes: Shapes) -> list[int]:
    """How many rows the table has for each level of an image."""
    return [(height + _BORDER) * (width + _BORDER) for height, width in shapes]


def _flat(maps: Tensor) -> Tensor:
    """Places of maps (B, C, h, w) row by row: (B, h*w, C)."""
    return maps.flatten(2).transpose(1, 2)


def _levels(places: Tensor, shapes: Shapes) -> list[Tensor]:
    """The maps (B, C, h, w), laid out channels last, of places (B, N, C) of all levels."""
    parts = torch.split(places, [height * width for height, width in shapes], dim=1)
    return [
        part.view(len(part), *shape, -1).permute(0, 3, 1, 2)
        for part, shape in zip(parts, shapes, strict=True)
    ]


def _centres(shapes: Shapes) -> Tensor:
    """Centre x, y in [0, 1] of each place of each level, (N, 2)."""
    centres = []
    for height, width in shapes:
        y, x = (
            (torch.arange(length, dtype=torch.float32) + 0.5) / length for length in (height, width)
        )
        grid = torch.stack([x.expand(height, -1), y.unsqueeze(1).expand(-1, width)], dim=-1)
        centres.append(grid.flatten(0, 1))
    return torch.cat(centres)
