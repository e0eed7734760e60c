"""From the instruction's hidden states to the queries of the mask decoder.

Legend: P prompts, L tokens, D language width, E decoder width, C meeting width, Q queries,
N places of the coarsest map.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import SegTokenConfig
from unigeoseg.model.layers import INIT_SPREAD


class TargetPooling(nn.Module):
    """Attention pooling of the hidden states: target and words become queries (Nano)."""

    def __init__(self, language_width: int, decoder_width: int) -> None:
        """Pool states of `language_width`, project to `decoder_width`."""
        super().__init__()
        self.match = nn.Linear(language_width, 1)
        self.project = nn.Linear(language_width, decoder_width)

    def pooling_weights(self, hidden_PLD: Tensor, attention_mask: Tensor) -> Tensor:
        """Attention-pooling weights of states (P, L, D): (P, L), summing to 1 under the mask."""
        match_PL: Tensor = self.match(hidden_PLD).squeeze(-1)
        return match_PL.masked_fill(~attention_mask, -torch.inf).softmax(dim=-1)

    def pool(self, hidden_PLD: Tensor, attention_mask: Tensor) -> Tensor:
        """Attention pooling: the weighted sum of states (P, L, D) under (P, L) bool, (P, 1, D)."""
        return self.pooling_weights(hidden_PLD, attention_mask).unsqueeze(1) @ hidden_PLD

    def forward(
        self, pooled_P1D: Tensor, hidden_PLD: Tensor, attention_mask: Tensor, coarse_PChw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Project pooled vector and hidden states.

        Args:
            pooled_P1D: The pooled vector (P, 1, D).
            hidden_PLD: Hidden states (P, L, D).
            attention_mask: (P, L) bool, True where a token belongs to the instruction.
            coarse_PChw: The coarsest map of each prompt's image; not used here.

        Returns:
            Queries (P, 1 + L, E), the target first, and which are real (P, 1 + L) bool.
        """
        del coarse_PChw
        queries: Tensor = self.project(torch.cat([pooled_P1D, hidden_PLD], dim=1))
        # the target is as real as the first token
        return queries, torch.cat([attention_mask[:, :1], attention_mask], dim=1)


class OneOrAll(nn.Module):
    """Whether one region is meant ("the largest roof") or all that fit ("the roofs"); Nano."""

    def __init__(self, width: int) -> None:
        """Read target embeddings of `width`."""
        super().__init__()
        self.logit = nn.Linear(width, 1)

    def forward(self, target_PE: Tensor) -> Tensor:
        """The logit of one region, (P,), of the target's embeddings (P, E)."""
        logit: Tensor = self.logit(target_PE).squeeze(-1)
        return logit


class AlwaysAll(nn.Module):
    """Base's masks stay whole, as the released code gives them."""

    def forward(self, target_PE: Tensor) -> Tensor:
        """Minus infinity, (P,), of the target's embeddings (P, E)."""
        return target_PE.new_full(target_PE.shape[:1], -torch.inf)


class PerceiverBlock(nn.Module):
    """A latent attends to the image and to itself, then feeds forward (released D_Projector)."""

    def __init__(self, config: SegTokenConfig) -> None:
        """Build one block of `config.width`."""
        super().__init__()
        width, inner = config.width, config.heads * config.head_width
        self.heads = config.heads
        self.media_norm = nn.LayerNorm(width)
        self.latent_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.feed_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width, bias=False)
        self.down = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, latent_P1C: Tensor, media_PNC: Tensor) -> Tensor:
        """Refine latents (P, 1, C) on media (P, N, C)."""
        latent = self.latent_norm(latent_P1C)
        context = torch.cat([self.media_norm(media_PNC), latent], dim=1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(latent), *self.key_value(context).chunk(2, dim=-1))
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        latent_P1C = latent_P1C + self.out(mixed.transpose(1, 2).flatten(2))
        feed = self.down(functional.gelu(self.up(self.feed_norm(latent_P1C))))
        normed: Tensor = self.norm(latent_P1C + feed)
        return normed


class SegToken(nn.Module):
    """The pooled vector, and what it sees of the image, become the one query (Base).

    The released code also carries the words through the Perceiver block, but returns its first
    row alone, which no other row can reach: they are left out here.
    """

    def __init__(
        self, language_width: int, image_width: int, decoder_width: int, config: SegTokenConfig
    ) -> None:
        """Meet states of `language_width` and maps of `image_width` in `config.width`."""
        super().__init__()
        self.query_D = nn.Parameter(torch.randn(language_width) * INIT_SPREAD)
        self.direct = nn.Linear(language_width, config.width)
        self.text = nn.Linear(language_width, config.width)
        self.image = nn.Linear(image_width, config.width)
        self.perceiver = PerceiverBlock(config)
        self.join = nn.Linear(2 * config.width, decoder_width)

    def pooling_weights(self, hidden_PLD: Tensor, attention_mask: Tensor) -> Tensor:
        """Attention-pooling weights of states (P, L, D): (P, L), summing to 1 under the mask."""
        match_PL = hidden_PLD @ self.query_D / math.sqrt(hidden_PLD.shape[-1])
        return match_PL.masked_fill(~attention_mask, -torch.inf).softmax(dim=-1)

    def pool(self, hidden_PLD: Tensor, attention_mask: Tensor) -> Tensor:
        """Attention pooling: the weighted sum of states (P, L, D) under (P, L) bool, (P, 1, D)."""
        return self.pooling_weights(hidden_PLD, attention_mask).unsqueeze(1) @ hidden_PLD

    def forward(
        self, pooled_P1D: Tensor, hidden_PLD: Tensor, attention_mask: Tensor, coarse_PChw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Make the query.

        Args:
            pooled_P1D: The pooled vector (P, 1, D).
            hidden_PLD: Hidden states (P, L, D); not used here.
            attention_mask: (P, L) bool; not used here.
            coarse_PChw: The coarsest map of each prompt's image (P, C', h, w).

        Returns:
            The query (P, 1, E), and that it is real (P, 1) bool.
        """
        del hidden_PLD
        media_PNC = self.image(coarse_PChw.flatten(2).transpose(1, 2))
        seen_P1C = self.perceiver(self.text(pooled_P1D), media_PNC)
        query: Tensor = self.join(torch.cat([self.direct(pooled_P1D), seen_P1C], dim=-1))
        return query, attention_mask.new_ones(len(query), 1)
