"""What the writers of one patch have in common."""

import numpy as np

from unigeoseg.data.language.execute import Executor
from unigeoseg.data.language.grammar import Speaker
from unigeoseg.data.language.search import Facts
from unigeoseg.data.ledger import RejectionHandler
from unigeoseg.data.patch import Patch


class PatchWriter:
    """Writes about one patch by programs.

    Args:
        patch: The patch.
        executor: Runs programs on its graph.
        facts: What can be said of its regions.
        rng: Draws programs and words.
        reject: Takes note of what was tried and dropped.
    """

    def __init__(
        self,
        patch: Patch,
        executor: Executor,
        facts: Facts,
        rng: np.random.Generator,
        reject: RejectionHandler,
    ) -> None:
        self._patch = patch
        self._run = executor
        self._rng = rng
        self._reject = reject
        self._facts = facts
        self._say = Speaker(executor, rng)
