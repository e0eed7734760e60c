"""Pixel decoder and masked-attention decoder, after Mask2Former (Cheng et al., arXiv 2112.01527).

Legend: B images, P prompts, C channels, D decoder width, h w feature map, Q decoder queries.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import DecoderConfig
from unigeoseg.model.layers import MaskedAttentionLayer, upsample


class ConvNorm(nn.Sequential):
    """A 3x3 convolution, group norm and ReLU; (B, C, h, w) to (B, C', h, w)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Convolve `inputs` channels to `outputs`."""
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(8, outputs),
            nn.ReLU(True),
        )


class PixelDecoder(nn.Module):
    """A feature pyramid: the coarse maps' meaning flows down to the fine maps, once per image."""

    def __init__(self, channels: tuple[int, int, int, int], widths: tuple[int, int, int]) -> None:
        """Read encoder maps of `channels`, give maps of `widths` at strides 4, 8 and 16."""
        super().__init__()
        fine, middle, coarse = widths
        self.lateral = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 1)
            for inputs, outputs in zip(channels, (fine, middle, coarse, coarse), strict=True)
        )
        self.narrow = nn.ModuleList([nn.Conv2d(middle, fine, 1), nn.Conv2d(coarse, middle, 1)])
        self.smooth = nn.ModuleList(ConvNorm(width, width) for width in widths)

    def forward(
        self, pyramid: tuple[Tensor, Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Turn encoder maps at strides 4..32 into maps (B, C, h, w) at strides 4, 8 and 16."""
        first, second, third, fourth = (
            lateral(maps) for lateral, maps in zip(self.lateral, pyramid, strict=True)
        )
        coarse = self.smooth[2](third + upsample(fourth, third))
        middle = self.smooth[1](second + upsample(self.narrow[1](coarse), second))
        fine = self.smooth[0](first + upsample(self.narrow[0](middle), first))
        return fine, middle, coarse


class MaskedAttentionDecoder(nn.Module):
    """Refine the target's embedding on the pixels, and read its mask off the fine map.

    Query 0 is the target, the others are the words of the instruction. After each layer every
    query predicts a mask at stride 16; where it is off, the next layer may not look.
    """

    def __init__(self, widths: tuple[int, int, int], config: DecoderConfig) -> None:
        """Decode maps of `widths` at strides 4, 8 and 16."""
        super().__init__()
        fine, _, coarse = widths
        self.layers = nn.ModuleList(
            MaskedAttentionLayer(coarse, config) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(coarse)
        self.mask_head = nn.Sequential(
            nn.Linear(coarse, coarse), nn.ReLU(True), nn.Linear(coarse, fine + 1)
        )
        self.score_head = nn.Sequential(
            nn.Linear(coarse, coarse), nn.ReLU(True), nn.Linear(coarse, 1)
        )

    def forward(
        self, queries: Tensor, query_mask: Tensor, maps: tuple[Tensor, Tensor]
    ) -> tuple[list[Tensor], Tensor]:
        """Decode queries (P, Q, D) on the fine and coarse maps.

        Args:
            queries: (P, Q, D), the target first.
            query_mask: (P, Q) bool, True where a query is real.
            maps: Fine map (P, C, H/4, W/4) and coarse map (P, D, H/16, W/16).

        Returns:
            The target's mask logits (P, H/4, W/4) after 0, 1, ... layers, best last, and the
            logit of its score (P,).
        """
        fine, coarse = maps
        pixels = coarse.flatten(2).transpose(1, 2)
        small = functional.interpolate(fine, size=coarse.shape[-2:], mode="area").flatten(2)
        logits = [self._mask(queries, fine)]
        for layer in self.layers:
            blocked = self._blocked(queries, small)
            queries = layer(queries, (pixels, pixels), blocked, query_mask)
            logits.append(self._mask(queries, fine))
        return logits, self.score_head(self.norm(queries[:, 0])).squeeze(-1)

    def _mask(self, queries: Tensor, fine: Tensor) -> Tensor:
        """Dot the target's embedding with the fine map: (P, H/4, W/4)."""
        embedding: Tensor = self.mask_head(self.norm(queries[:, 0]))
        prompts, _, height, width = fine.shape
        dotted = torch.bmm(embedding[:, None, :-1], fine.flatten(2)) + embedding[:, None, -1:]
        return dotted.view(prompts, height, width)

    def _blocked(self, queries: Tensor, small: Tensor) -> Tensor:
        """Where each query may not look, (P, Q, h*w); a query that sees nothing sees all."""
        with torch.no_grad():
            embedding: Tensor = self.mask_head(self.norm(queries))
            blocked = embedding[..., :-1] @ small + embedding[..., -1:] < 0
            nothing: Tensor = blocked.all(dim=-1, keepdim=True)
            return blocked & ~nothing
