"""TATE as the released code computes it: on the sentence between image and instruction.

Legend: P prompts, L tokens, E tokens of the template, D width, M coordinate rows, R reasoning
queries. The template is the same for every prompt, so what the referring and reasoning branches
make of it is constant, and the interactive branch depends on the coordinates alone. The paper's
own TATE is in `model.tate`.
"""

import math

import torch
from torch import Tensor, nn

from unigeoseg.model.config import EnhanceConfig
from unigeoseg.model.layers import INIT_SPREAD
from unigeoseg.model.tate import INTERACTIVE, REASONING, PoolingWeights

_COORDINATES = 4  # x0, y0, x1, y1 of a box; x, y, 0, 0 of a point


class TemplateInteractive(nn.Module):
    """One coordinate row beside each of the first tokens: linear([E ; rows, then zeros])."""

    def __init__(self, width: int) -> None:
        """Work on tokens of `width`."""
        super().__init__()
        self.project = nn.Linear(_COORDINATES, width)
        self.join = nn.Linear(2 * width, width)

    def forward(self, text_PED: Tensor, coordinates_PMC: Tensor, present_PM: Tensor) -> Tensor:
        """Enhance (P, E, D) by coordinate rows (P, M, 5), M <= E, of which (P, M) bool exist."""
        rows = self.rows(coordinates_PMC, present_PM)
        zeros = text_PED.new_zeros(len(rows), text_PED.shape[1] - rows.shape[1], rows.shape[2])
        rows_PED = torch.cat([rows, zeros], dim=1)
        joined: Tensor = self.join(torch.cat([text_PED, rows_PED], dim=-1))
        return joined

    def rows(self, coordinates_PMC: Tensor, present_PM: Tensor) -> Tensor:
        """Project coordinate rows to (P, M, D); zero where there is none."""
        x0, y0, x1, y1, _ = coordinates_PMC.unbind(-1)
        box = (x0 != x1) | (y0 != y1)
        four = torch.stack([x0, y0, x1 * box, y1 * box], dim=-1)
        four = four.to(self.project.weight)  # coordinates are float32 whatever the weights are
        rows: Tensor = self.project(four) * present_PM.unsqueeze(-1)
        return rows


class TemplateReasoning(nn.Module):
    """Two pooled vectors, fused and normed, in the place of every token."""

    def __init__(self, width: int, config: EnhanceConfig) -> None:
        """Build `config.reasoning_queries` queries of `width`."""
        super().__init__()
        self.query_RD = nn.Parameter(torch.randn(config.reasoning_queries, width) * INIT_SPREAD)
        self.function = nn.Linear(width, width)
        self.fuse = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(config.dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, text_PED: Tensor) -> Tensor:
        """Pool (P, E, D) to (P, 1, D)."""
        match_PRE = self.query_RD @ text_PED.transpose(1, 2) / math.sqrt(text_PED.shape[-1])
        gathered_PD = (match_PRE.softmax(dim=-1) @ text_PED).mean(dim=1)
        mean_PD = self.function(text_PED).mean(dim=1)
        fused = self.fuse(torch.cat([gathered_PD, mean_PD], dim=-1))
        normed: Tensor = self.norm(self.dropout(fused))
        return normed.unsqueeze(1)


class TemplateEnhancement(nn.Module):
    """The three branches on the template; each prompt has the branch of its own task."""

    def __init__(self, width: int, config: EnhanceConfig) -> None:
        """Build the branches for tokens of `width`."""
        super().__init__()
        self.interactive = TemplateInteractive(width)
        self.reasoning = TemplateReasoning(width, config)

    def forward(
        self,
        text_PLD: Tensor,
        instruction_PL: Tensor,
        task_P: Tensor,
        coordinates: tuple[Tensor, Tensor],
        pooling_weights: PoolingWeights,
    ) -> Tensor:
        """Enhance the tokens before the instruction in (P, L, D), and leave the others.

        Args:
            text_PLD: Embeddings of template, instruction and what follows.
            instruction_PL: (P, L) bool; it starts at the same token in every prompt.
            task_P: (P,) int64, one of INTERACTIVE, REFERRING, REASONING.
            coordinates: Rows (P, M, 5) and which of them exist (P, M) bool.
            pooling_weights: The referring branch, which in the released code has its query in
                common with the pooling of the hidden states.
        """
        start = int(instruction_PL[0].to(torch.uint8).argmax())
        text_PED = text_PLD[:, :start]
        every = torch.ones_like(instruction_PL[:, :start])
        referring = text_PED * pooling_weights(text_PED, every).unsqueeze(-1)
        task_P11 = task_P[:, None, None]
        enhanced = torch.where(task_P11 == REASONING, self.reasoning(text_PED), referring)
        interactive = self.interactive(text_PED, *coordinates)
        enhanced = torch.where(task_P11 == INTERACTIVE, interactive, enhanced)
        return torch.cat([enhanced, text_PLD[:, start:]], dim=1)
