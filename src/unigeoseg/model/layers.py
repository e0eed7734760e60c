"""Layers that Nano and Base share: resizing, sine position encodings, masked attention.

Legend: B images, P prompts, C channels, D decoder width, Q decoder queries, h w feature map.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import DecoderConfig, Mask2FormerConfig

INIT_SPREAD = 0.02
"""Standard deviation of freshly drawn embeddings and queries, as in BERT and Swin."""
_TINY = 1e-6  # DETR's, against division by 0
_LONGEST_WAVE = 10000  # DETR's, in units of the encoded angle


def upsample(maps: Tensor, like: Tensor) -> Tensor:
    """Resize maps (B, C, h, w) bilinearly to the height and width of `like`."""
    return functional.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)


def sine_positions(maps: Tensor) -> Tensor:
    """Sine position encoding of maps (B, C, h, w): (1, C, h, w), rows in the first half of C.

    Source: Carion et al., DETR (arXiv 2005.12872).
    """
    height, width = maps.shape[-2:]
    quarter = maps.shape[1] // 4
    step = torch.arange(quarter, device=maps.device, dtype=torch.float32)
    wave = _LONGEST_WAVE ** (step / quarter)
    waves = []
    for length, repeats in ((height, width), (width, height)):
        place = torch.arange(1, length + 1, device=maps.device, dtype=torch.float32)
        angle = (place / (length + _TINY) * 2 * math.pi).unsqueeze(-1) / wave
        wavy = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
        waves.append(wavy.unsqueeze(1).expand(length, repeats, -1))
    rows, columns = waves[0], waves[1].transpose(0, 1)
    return torch.cat([rows, columns], dim=-1).permute(2, 0, 1).unsqueeze(0).to(maps.dtype)


class MaskedAttentionLayer(nn.Module):
    """A masked-attention decoder layer: cross-attention inside each query's mask, self-attention.

    A feed-forward part follows; post-norm throughout.
    """

    def __init__(self, width: int, config: DecoderConfig | Mask2FormerConfig) -> None:
        """Build one post-norm layer of `width`."""
        super().__init__()
        self.cross = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.itself = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.feed = nn.Sequential(
            nn.Linear(width, config.feed_forward),
            nn.ReLU(True),
            nn.Linear(config.feed_forward, width),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.heads = config.heads

    def forward(
        self,
        queries: Tensor,
        pixels: tuple[Tensor, Tensor],
        blocked: Tensor,
        query_mask: Tensor,
    ) -> Tensor:
        """Update queries (P, Q, D).

        Args:
            queries: (P, Q, D).
            pixels: Pixels as keys (P, h*w, D), and as values (P, h*w, D).
            blocked: (P, Q, h*w) bool, True where a query must not look.
            query_mask: (P, Q) bool, True where a query is real.
        """
        blocked = blocked.repeat_interleave(self.heads, dim=0)
        keys, values = pixels
        from_pixels, _ = self.cross(queries, keys, values, attn_mask=blocked, need_weights=False)
        queries = self.norms[0](queries + from_pixels)
        from_queries, _ = self.itself(
            queries, queries, queries, key_padding_mask=~query_mask, need_weights=False
        )
        queries = self.norms[1](queries + from_queries)
        updated: Tensor = self.norms[2](queries + self.feed(queries))
        return updated
