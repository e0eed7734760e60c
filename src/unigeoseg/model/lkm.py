"""LKM, the latent knowledge memory (paper section 4, Eq. 6-7), at either of its two places.

Legend: P prompts, L tokens, D width, M memory slots.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unigeoseg.model.config import MemoryConfig
from unigeoseg.model.layers import INIT_SPREAD
from unigeoseg.model.tate import INTERACTIVE

Pool = Callable[[Tensor, Tensor], Tensor]
"""Gathers hidden states (P, L, D) under (P, L) bool into (P, 1, D)."""


class LatentKnowledgeMemory(nn.Module):
    """Learnable slots recalled by every hidden state of the instruction, which is then pooled."""

    def __init__(self, width: int, config: MemoryConfig) -> None:
        """Build `config.slots` slots of `width`."""
        super().__init__()
        self.slots_MD = nn.Parameter(torch.randn(config.slots, width) * INIT_SPREAD)
        self.weight = config.weight

    def forward(self, hidden_PLD: Tensor, weight: float | Tensor | None = None) -> Tensor:
        """Blend what is recalled into hidden states (P, L, D); the shape is kept.

        Args:
            hidden_PLD: Hidden states (P, L, D).
            weight: Share of what is recalled, or one per prompt (P, 1, 1); lambda if None.
        """
        weight = self.weight if weight is None else weight
        match_PLM = torch.softmax(hidden_PLD @ self.slots_MD.T, dim=-1)  # Eq. 6, over slots
        recalled_PLD = match_PLM @ self.slots_MD
        return (1 - weight) * hidden_PLD + weight * recalled_PLD  # Eq. 7

    def gather(
        self, hidden_PLD: Tensor, attention_mask: Tensor, task_P: Tensor, pool: Pool
    ) -> tuple[Tensor, Tensor]:
        """Recall for every hidden state, then pool them.

        Args:
            hidden_PLD: Hidden states of the instruction (P, L, D).
            attention_mask: (P, L) bool, True where a token belongs to the instruction.
            task_P: (P,) int64; one lambda serves all tasks here.
            pool: Gathers the states of a prompt.

        Returns:
            The pooled vector (P, 1, D) and the hidden states (P, L, D).
        """
        del task_P
        hidden_PLD = self(hidden_PLD)
        return pool(hidden_PLD, attention_mask), hidden_PLD


class PooledKnowledgeMemory(LatentKnowledgeMemory):
    """Slots recalled by the pooled vector alone, and not for interactive prompts (released code).

    Each prompt has the weight of its own task; in the released code the first prompt of a batch
    decides for all.
    """

    def __init__(self, width: int, config: MemoryConfig) -> None:
        """Build `config.slots` slots of `width`."""
        super().__init__(width, config)
        self.interactive_weight = config.interactive_weight

    def gather(
        self, hidden_PLD: Tensor, attention_mask: Tensor, task_P: Tensor, pool: Pool
    ) -> tuple[Tensor, Tensor]:
        """Pool, then recall; as `LatentKnowledgeMemory.gather`, hidden states unchanged."""
        interactive = (task_P == INTERACTIVE)[:, None, None]
        weight = torch.where(interactive, self.interactive_weight, self.weight).to(hidden_PLD)
        return self(pool(hidden_PLD, attention_mask), weight), hidden_PLD
