"""LKM, the latent knowledge memory (paper section 4, Eq. 6-7).

Legend: P prompts, L tokens, D width, M memory slots.
"""

import torch
from torch import Tensor, nn

from unigeoseg.model.config import MemoryConfig


class LatentKnowledgeMemory(nn.Module):
    """Learnable slots recalled by the instruction's hidden states."""

    def __init__(self, width: int, config: MemoryConfig) -> None:
        """Build `config.slots` slots of `width`."""
        super().__init__()
        self.slots_MD = nn.Parameter(torch.randn(config.slots, width) * 0.02)
        self.weight = config.weight

    def forward(self, hidden_PLD: Tensor) -> Tensor:
        """Blend what is recalled into hidden states (P, L, D); the shape is kept."""
        match_PLM = torch.softmax(hidden_PLD @ self.slots_MD.T, dim=-1)  # Eq. 6, over slots
        recalled_PLD = match_PLM @ self.slots_MD
        return (1 - self.weight) * hidden_PLD + self.weight * recalled_PLD  # Eq. 7
