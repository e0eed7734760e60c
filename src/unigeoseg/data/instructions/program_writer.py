"""The writer that needs no model: programs over the scene graph, worded by a grammar.

Source: paper section 2, stage 6, where GPT-4o writes; here a program proves what is selected.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.instructions.reasoning import ReasoningWriter
from unigeoseg.data.instructions.referring import ReferringWriter
from unigeoseg.data.ledger import RejectionHandler
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.programs.execute import ProgramExecutor
from unigeoseg.data.programs.graph import scene_graph
from unigeoseg.data.programs.search import SceneFacts


class OfflineWriter:
    """Writes referring expressions and reasoning questions.

    Args:
        reject: Takes note of programs and questions that were dropped.
    """

    name = "offline/1"

    def __init__(self, reject: RejectionHandler) -> None:
        self._reject = reject

    def write(
        self, patch: Patch, candidates: Sequence[Candidate], rng: np.random.Generator
    ) -> Iterator[Draft]:
        """Drafts about candidates of one patch; the same for the same state of `rng`."""
        executor = ProgramExecutor(scene_graph(patch))
        facts = SceneFacts(executor, rng)
        writers = (
            ReferringWriter(patch, executor, facts, rng, self._reject),
            ReasoningWriter(patch, executor, facts, rng, self._reject),
        )
        for target in candidates:
            for writer in writers:
                for draft in writer.write(target):
                    yield replace(draft, writer=self.name)
