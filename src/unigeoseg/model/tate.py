"""TATE, task-adaptive text enhancement (paper section 4, Eq. 1-5).

Legend: P prompts, L tokens, D width, M coordinate rows, R reasoning queries.
A prompt's own task picks its branch, so one batch may mix tasks.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from unigeoseg.model.config import EnhanceConfig
from unigeoseg.model.layers import INIT_SPREAD

INTERACTIVE, REFERRING, REASONING = 0, 1, 2  # ids of the tasks in `PromptInputs.task`
COORDINATES = 5  # x0, y0, x1, y1 in [0, 1] and a sign; a point has x0 = x1, y0 = y1

PoolingWeights = Callable[[Tensor, Tensor], Tensor]
"""Attention-pooling weights of states (P, L, D) under (P, L) bool: (P, L), summing to 1."""


class InteractiveEnhance(nn.Module):
    """Coordinates joined to every token (Eq. 1): linear([E ; Proj(C)])."""

    def __init__(self, width: int) -> None:
        """Start as the identity on the tokens, so that pretrained word meaning survives."""
        super().__init__()
        self.project = nn.Linear(COORDINATES, width)
        self.join = nn.Linear(2 * width, width)
        with torch.no_grad():
            self.join.weight[:, :width] = torch.eye(width)
            self.join.weight[:, width:] *= 0.1
            self.join.bias.zero_()

    def forward(self, text_PLD: Tensor, coordinates_PMC: Tensor, present_PM: Tensor) -> Tensor:
        """Enhance (P, L, D) by coordinate rows (P, M, 5), of which `present_PM` (P, M) exist.

        Rows are averaged after projection, so their order does not matter and any number fits.
        """
        weight = present_PM.unsqueeze(-1).to(text_PLD.dtype)
        rows = self.project(coordinates_PMC.to(text_PLD)) * weight
        pooled = rows.sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        joined: Tensor = self.join(
            torch.cat([text_PLD, pooled.unsqueeze(1).expand_as(text_PLD)], dim=-1)
        )
        return joined


class ReferringEnhance(nn.Module):
    """One learnable query weighs the tokens (Eq. 2): softmax(q E^T / sqrt(D)) applied to E.

    The weights are multiplied by the number of tokens, so that their mean is 1 and a sentence's
    scale does not shrink with its length before the layers that follow.
    """

    def __init__(self, width: int) -> None:
        """Start with equal weights."""
        super().__init__()
        self.query_D = nn.Parameter(torch.zeros(width))

    def forward(self, text_PLD: Tensor, attention_mask: Tensor) -> Tensor:
        """PoolingWeights tokens (P, L, D); `attention_mask` (P, L) bool."""
        match_PL = text_PLD @ self.query_D / math.sqrt(text_PLD.shape[-1])
        weight_PL = match_PL.masked_fill(~attention_mask, -torch.inf).softmax(dim=-1)
        count_P1 = attention_mask.sum(dim=1, keepdim=True)
        return text_PLD * (weight_PL * count_P1).unsqueeze(-1)


class ReasoningEnhance(nn.Module):
    """Several queries gather the question (Eq. 3-4): mean_i softmax(q_i E^T) E + E W_G, normed."""

    def __init__(self, width: int, config: EnhanceConfig) -> None:
        """Start near the identity: W_G = 1, small queries."""
        super().__init__()
        self.query_RD = nn.Parameter(torch.randn(config.reasoning_queries, width) * INIT_SPREAD)
        self.gate = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.norm = nn.LayerNorm(width)
        nn.init.eye_(self.gate.weight)

    def forward(self, text_PLD: Tensor, attention_mask: Tensor) -> Tensor:
        """Enhance (P, L, D); `attention_mask` (P, L) bool."""
        match_PRL = self.query_RD @ text_PLD.transpose(1, 2) / math.sqrt(text_PLD.shape[-1])
        match_PRL = match_PRL.masked_fill(~attention_mask.unsqueeze(1), -torch.inf)
        gathered_P1D = (match_PRL.softmax(dim=-1) @ text_PLD).mean(dim=1, keepdim=True)
        normed: Tensor = self.norm(self.dropout(gathered_P1D + self.gate(text_PLD)))
        return normed


class TaskAdaptiveEnhancement(nn.Module):
    """The three branches; each prompt goes through the branch of its task (Eq. 5)."""

    def __init__(self, width: int, config: EnhanceConfig) -> None:
        """Build the branches for tokens of `width`."""
        super().__init__()
        self.interactive = InteractiveEnhance(width)
        self.referring = ReferringEnhance(width)
        self.reasoning = ReasoningEnhance(width, config)

    def forward(
        self,
        text_PLD: Tensor,
        instruction_PL: Tensor,
        task_P: Tensor,
        coordinates: tuple[Tensor, Tensor],
        pooling_weights: PoolingWeights | None = None,
    ) -> Tensor:
        """Enhance the instruction in token embeddings (P, L, D) by each prompt's task.

        Args:
            text_PLD: Token embeddings E_t.
            instruction_PL: (P, L) bool, True where a token belongs to the instruction; the
                others are left as they are.
            task_P: (P,) int64, one of INTERACTIVE, REFERRING, REASONING.
            coordinates: Rows (P, M, 5) and which of them exist (P, M) bool.
            pooling_weights: How the hidden states are pooled later; not used, the branches have
                their own.
        """
        del pooling_weights
        enhanced = torch.empty_like(text_PLD)
        rows, present = coordinates
        for task in (INTERACTIVE, REFERRING, REASONING):
            # a branch without prompts runs too: where processes train together, each has to
            # bring a gradient for every weight
            prompts = (task_P == task).nonzero().squeeze(1)
            text, mask = text_PLD[prompts], instruction_PL[prompts]
            if task == INTERACTIVE:
                branch = self.interactive(text, rows[prompts], present[prompts])
            elif task == REFERRING:
                branch = self.referring(text, mask)
            else:
                branch = self.reasoning(text, mask)
            enhanced = enhanced.index_copy(0, prompts, branch)
        return torch.where(instruction_PL.unsqueeze(-1), enhanced, text_PLD)


class OneBranch(nn.Module):
    """Every prompt through the referring or the reasoning branch (paper's ablation of branches)."""

    def __init__(self, width: int, config: EnhanceConfig) -> None:
        """Build the branch that `config.branches` names for tokens of `width`."""
        super().__init__()
        self.branch = (
            ReferringEnhance(width)
            if config.branches == "referring"
            else ReasoningEnhance(width, config)
        )

    def forward(
        self,
        text_PLD: Tensor,
        instruction_PL: Tensor,
        task_P: Tensor,
        coordinates: tuple[Tensor, Tensor],
        pooling_weights: PoolingWeights | None = None,
    ) -> Tensor:
        """Enhance the instruction in (P, L, D); arguments as `TaskAdaptiveEnhancement.forward`."""
        del task_P, coordinates, pooling_weights
        enhanced = self.branch(text_PLD, instruction_PL)
        return torch.where(instruction_PL.unsqueeze(-1), enhanced, text_PLD)


class NoEnhancement(nn.Module):
    """The token embeddings as they are (paper's ablation without TATE)."""

    def forward(
        self,
        text_PLD: Tensor,
        instruction_PL: Tensor,
        task_P: Tensor,
        coordinates: tuple[Tensor, Tensor],
        pooling_weights: PoolingWeights | None = None,
    ) -> Tensor:
        """Return (P, L, D); arguments as `TaskAdaptiveEnhancement.forward`."""
        del instruction_PL, task_P, coordinates, pooling_weights
        return text_PLD
