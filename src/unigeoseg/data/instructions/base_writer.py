"""Base of the writers that select regions of one patch by programs."""

import numpy as np

from unigeoseg.data.ledger import Measurement, RejectionHandler
from unigeoseg.data.patches.patch import Patch, patch_rejection
from unigeoseg.data.programs.execute import ProgramExecutor
from unigeoseg.data.programs.grammar import Verbalizer
from unigeoseg.data.programs.graph import Node
from unigeoseg.data.programs.program import Expression
from unigeoseg.data.programs.search import SceneFacts, selection_fault


class PatchWriter:
    """Writes instructions for one patch by programs over its scene graph.

    Args:
        patch: The patch.
        executor: Runs programs on its graph.
        facts: What is true of its regions.
        rng: Draws programs and words.
        reject: Takes note of programs and texts that were dropped.
    """

    def __init__(
        self,
        patch: Patch,
        executor: ProgramExecutor,
        facts: SceneFacts,
        rng: np.random.Generator,
        reject: RejectionHandler,
    ) -> None:
        self._patch = patch
        self._run = executor
        self._rng = rng
        self._reject = reject
        self._facts = facts
        self._say = Verbalizer(executor, rng)

    def _selects_alone(self, selection: Expression, node: Node) -> bool:
        """Whether a program selects a region and no other; a rejection is noted if not."""
        fault = selection_fault(self._run, selection, node)
        if fault:
            self._note(fault.rule, node, str(selection), fault.counted)
        return not fault

    def _note(
        self, rule: str, node: Node, detail: str, measured: Measurement = (None, None)
    ) -> None:
        located = f"region {node.region}: {detail}"
        self._reject(patch_rejection(self._patch, "write", rule, located, measured))


def off_length(text: str, words: tuple[int, int]) -> tuple[int, int] | None:
    """Number of words of a text and the bound, lower or upper, that it breaks; None if it fits."""
    count, (lower, upper) = len(text.split()), words
    if lower <= count <= upper:
        return None
    return count, lower if count < lower else upper
