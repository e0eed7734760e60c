"""The visual encoder of Base: a Swin transformer as a pyramid of four maps.

Legend: B batch, C channels, H W image, h w feature map, S side of an attention window,
N = S * S places in a window, n windows of an image.
Source: Liu et al., Swin transformer (arXiv 2103.14030), with the padding of Mask2Former's port.
It is written out rather than taken from `transformers`, whose parameter names for it differ
between the versions that we allow, so that weights on disk would not load everywhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import SwinConfig
from unigeoseg.model.layers import INIT_SPREAD

_PATCH = 4
_BLOCKED = -100.0  # added to the attention between regions that the cyclic shift brought together


class WindowAttention(nn.Module):
    """Self-attention inside windows, with a learned bias per relative position."""

    def __init__(self, width: int, heads: int, side: int, shift: int) -> None:
        """Attend over `width` channels in windows of `side` x `side`, moved by `shift` places."""
        super().__init__()
        self.heads, self.side, self.shift = heads, side, shift
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias_table, std=INIT_SPREAD)

    def forward(self, maps_BhwC: Tensor) -> Tensor:
        """Mix the places of each window, (B, h, w, C) to (B, h, w, C)."""
        batch, height, width, channels = maps_BhwC.shape
        device = maps_BhwC.device
        order, inverse = (
            index.to(device) for index in _order(height, width, self.side, self.shift)
        )
        # one place of zeros more, for what windows hold beyond the map
        places = functional.pad(maps_BhwC.flatten(1, 2), (0, 0, 0, 1))
        windows = self.qkv(places).index_select(1, order)
        query, key, value = windows.view(
            -1, self.side**2, 3, self.heads, channels // self.heads
        ).permute(2, 0, 3, 1, 4)
        bias = self._bias(height, width, batch)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed = mixed.transpose(1, 2).reshape(batch, -1, channels).index_select(1, inverse)
        out: Tensor = self.out(mixed).view(maps_BhwC.shape)
        return out

    def _bias(self, height: int, width: int, batch: int) -> Tensor:
        """The bias of the attention, (1 or B * n, heads, N, N)."""
        table = self.bias_table
        index = _relative_index(self.side).to(table.device)
        # attention copies a bias that does not lie row by row, for every window
        bias = table[index].permute(2, 0, 1).contiguous().unsqueeze(0)
        if not self.shift:
            return bias
        rows, columns = -(-height // self.side), -(-width // self.side)
        bias = bias + _shift_mask(rows, columns, self.side, self.shift).to(table)
        return bias.expand(batch, -1, -1, -1, -1).flatten(0, 1)


class SwinBlock(nn.Module):
    """Window attention, shifted in every second block, and a feed-forward part; pre-norm."""

    def __init__(self, width: int, heads: int, side: int, *, shift: int, drop: float) -> None:
        """Build a block whose windows are moved by `shift` places, dropped with chance `drop`."""
        super().__init__()
        self.drop = drop
        self.attention_norm = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, side, shift)
        self.feed_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, maps_BhwC: Tensor) -> Tensor:
        """Map (B, h, w, C) to (B, h, w, C)."""
        mixed = self.attention(self.attention_norm(maps_BhwC))
        maps_BhwC = maps_BhwC + self._dropped(mixed)
        feed = self.down(functional.gelu(self.up(self.feed_norm(maps_BhwC))))
        out: Tensor = maps_BhwC + self._dropped(feed)
        return out

    def _dropped(self, branch: Tensor) -> Tensor:
        """Stochastic depth: in training, leave the branch out for some images."""
        if not self.training or self.drop == 0:
            return branch
        survives = torch.rand(len(branch), 1, 1, 1, device=branch.device) >= self.drop
        return branch * survives / (1 - self.drop)


class PatchMerging(nn.Module):
    """Join each 2 x 2 neighbourhood into one place of twice the width."""

    def __init__(self, width: int) -> None:
        """Merge maps of `width` channels."""
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduce = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, maps_BhwC: Tensor) -> Tensor:
        """Map (B, h, w, C) to (B, ceil(h/2), ceil(w/2), 2C)."""
        height, width = maps_BhwC.shape[1:3]
        maps = functional.pad(maps_BhwC, (0, 0, 0, width % 2, 0, height % 2))
        corners = [maps[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        reduced: Tensor = self.reduce(self.norm(torch.cat(corners, dim=-1)))
        return reduced


class SwinEncoder(nn.Module):
    """Pyramid of maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: SwinConfig) -> None:
        """Build the four stages, randomly initialised."""
        super().__init__()
        self.embed = nn.Conv2d(3, config.width, _PATCH, stride=_PATCH)
        self.embed_norm = nn.LayerNorm(config.width)
        drops = torch.linspace(0, config.drop_path, sum(config.depths), device="cpu").tolist()
        self.stages = nn.ModuleList()
        for depth, heads, width in zip(config.depths, config.heads, config.channels, strict=True):
            self.stages.append(
                nn.Sequential(
                    *(
                        SwinBlock(
                            width,
                            heads,
                            config.attention_window,
                            shift=(index % 2) * (config.attention_window // 2),
                            drop=drops.pop(0),
                        )
                        for index in range(depth)
                    )
                )
            )
        self.merges = nn.ModuleList(PatchMerging(width) for width in config.channels[:-1])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in config.channels)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode normalised images (B, 3, H, W), H and W multiples of 32.

        Returns:
            Maps (B, C, H/s, W/s) for the strides s = 4, 8, 16, 32.
        """
        maps, pyramid = self.embed_norm(self.embed(pixel_values).permute(0, 2, 3, 1)), []
        for index, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            if index:
                maps = self.merges[index - 1](maps)
            maps = stage(maps)
            pyramid.append(norm(maps).permute(0, 3, 1, 2).contiguous())
        first, second, third, fourth = pyramid
        return first, second, third, fourth


@contextmanager
def _cached_tensors() -> Iterator[None]:
    """Where tensors that are cached are made: on the CPU, and fit for training.

    Inference may be the first to ask for one, and training must not meet a tensor of its mode.
    """
    with torch.device("cpu"), torch.inference_mode(False):
        yield


@lru_cache(maxsize=8)
def _relative_index(side: int) -> Tensor:
    """Row of the bias table for each pair of places of a window, (N, N) int64."""
    with _cached_tensors():
        place = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
        offset = place.flatten(1)[:, :, None] - place.flatten(1)[:, None, :] + side - 1
        return offset[0] * (2 * side - 1) + offset[1]


@lru_cache(maxsize=32)
def _order(height: int, width: int, side: int, shift: int) -> tuple[Tensor, Tensor]:
    """Places of a map in the order of its windows, after a cyclic shift, and the way back.

    Returns:
        (n * N,) int64, row by row the place of each window's places, h * w for one beyond the map;
        and (h * w,) int64, where each place is among them.
    """
    with _cached_tensors():
        beyond = height * width
        place = torch.arange(beyond).view(height, width)
        place = functional.pad(place, (0, -width % side, 0, -height % side), value=beyond)
        place = torch.roll(place, (-shift, -shift), dims=(0, 1))
        order = _windows(place, side).flatten()
        return order, order.argsort()[:beyond]


def _windows(places: Tensor, side: int) -> Tensor:
    """Cut a map of places (h, w), multiples of `side`, into windows: (n, N)."""
    height, width = places.shape
    split = places.view(height // side, side, width // side, side)
    return split.transpose(1, 2).reshape(-1, side * side)


@lru_cache(maxsize=32)
def _shift_mask(rows: int, columns: int, side: int, shift: int) -> Tensor:
    """Attention mask of shifted windows, added to it, (rows * columns, 1, N, N) float.

    After the cyclic shift the last window of a row or column holds places from both ends of the
    image, which must not see each other.
    """
    with _cached_tensors():
        region_y, region_x = (_regions(count * side, side, shift) for count in (rows, columns))
        region = region_y[:, None] * 3 + region_x[None, :]
        windows = _windows(region, side)
        differs = windows[:, None, :, None] != windows[:, None, None, :]
        return differs.float() * _BLOCKED


def _regions(length: int, side: int, shift: int) -> Tensor:
    """Region 0, 1 or 2 of each place along one axis: before, inside and behind the seam."""
    place = torch.arange(length)
    return (place >= length - side).long() + (place >= length - shift).long()
