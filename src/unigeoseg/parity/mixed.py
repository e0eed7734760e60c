"""A batch of mixed tasks, where we differ from the released code on purpose.

Legend: P prompts, D width.
The released code gives every prompt of a batch the memory weight of the first prompt's task; ours
gives each its own. Prompts whose weight is the first's must still agree, and what lies before the
memory must agree for all. For the others the released weight must explain the recorded vector.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from unigeoseg.model.lkm import PooledKnowledgeMemory
from unigeoseg.parity.comparison import Comparison, compare_tensors

_INTERACTIVE = "intera"
# what depends on the memory: by prompt, of all prompts together, and losses over all prompts
_BY_PROMPT = re.compile(
    r"(?:seg\.(?:pooled_after_lkm|embedding_all|text_projector|origin_SEG_token_projector|d_layers)"
    r"|eval_seg\.pred_masks)\.(\d+)"
)
_TOGETHER = re.compile(
    r"seg\.SEG_token_projector\.0|eval_seg\.mask_logits_upsampled"
    r"|predictor\.(?:in|query|decoder|aux|pred_masks).*"
)
_LOSSES = ("train.loss", "train.loss_mask", "train.loss_dice")


def differing_prompts(types: Sequence[str]) -> frozenset[int]:
    """Prompts whose memory weight is not that of the first prompt's task."""
    first = types[0] == _INTERACTIVE
    return frozenset(index for index, kind in enumerate(types) if (kind == _INTERACTIVE) != first)


def mixed_batch_rows(
    case: str, name: str, computed: Tensor | None, golden: Tensor, differing: frozenset[int]
) -> list[Comparison]:
    """Compare one tensor; what depends on the weight of the prompts `differing` is not to agree."""
    by_prompt = _BY_PROMPT.fullmatch(name)
    if by_prompt:
        intended = int(by_prompt[1]) in differing
        return [compare_tensors(case, name, computed, golden, intended=intended)]
    if not differing or computed is None or not _TOGETHER.fullmatch(name):
        intended = bool(differing) and name in _LOSSES
        return [compare_tensors(case, name, computed, golden, intended=intended)]
    axis = int(golden.shape[0] == 1)
    return [
        compare_tensors(
            case,
            name,
            computed.select(axis, index),
            golden.select(axis, index),
            intended=index in differing,
        )
        for index in range(golden.shape[axis])
    ]


def memory_weight_rows(
    case: str,
    memory: PooledKnowledgeMemory,
    tensors: Mapping[str, Tensor],
    golden: Mapping[str, Tensor],
    types: Sequence[str],
) -> Iterator[Comparison]:
    """Check that the first prompt's weight makes the recorded vectors of the others."""
    weight = memory.interactive_weight if types[0] == _INTERACTIVE else memory.weight
    for index in sorted(differing_prompts(types)):
        pooled = tensors[f"seg.pooled_before_lkm.{index}"]
        with torch.no_grad():
            blended = memory(pooled, weight)
        yield compare_tensors(
            case,
            f"seg.pooled_after_lkm at the first prompt's weight.{index}",
            blended,
            golden[f"seg.pooled_after_lkm.{index}"],
        )


def remark(case: str, differing: frozenset[int]) -> str:
    """The remark on such a case below the table."""
    return (
        f"{case}: the released code gives every prompt the memory weight of the first one's task, "
        f"we give each its own; so what follows the memory differs for prompts "
        f"{sorted(differing)} of that batch, and with it the masks' losses and the gradients of "
        "both"
    )
