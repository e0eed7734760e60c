"""Referring expressions: programs that select a target alone, and their words.

Source: paper section 2, stage 6: position, neighbours and relations that identify one region.
"""

from collections.abc import Iterator
from itertools import combinations, islice

import numpy as np

from unigeoseg.data.candidate import Candidate
from unigeoseg.data.draft import Draft
from unigeoseg.data.language.execute import Executor
from unigeoseg.data.language.grammar import Speaker
from unigeoseg.data.language.graph import Node
from unigeoseg.data.language.program import Expression, expression, print_program
from unigeoseg.data.language.search import RELATIONS, Facts, singles_out
from unigeoseg.data.ledger import Reject, Rejection
from unigeoseg.data.patch import Patch
from unigeoseg.prompt import Prompt, Task

WORDS = (6, 25)
"""Fewest and most words of an expression."""

_PER_TARGET = 3
_TRIES = 14  # programs that are run per target
_WORDINGS = 4  # attempts to say a program within the bounds of length


class ReferringWriter:
    """Writes referring expressions about one patch.

    Args:
        patch: The patch.
        executor: Runs programs on its graph.
        rng: Draws programs and words.
        reject: Takes note of programs that select something else.
    """

    def __init__(
        self, patch: Patch, executor: Executor, rng: np.random.Generator, reject: Reject
    ) -> None:
        self._patch = patch
        self._run = executor
        self._rng = rng
        self._reject = reject
        self._facts = Facts(executor, rng)
        self._say = Speaker(executor, rng)

    def write(self, target: Candidate) -> Iterator[Draft]:
        """Up to three expressions for a region, each by another program."""
        node = self._run.graph.nodes[target.region]
        said: set[str] = set()
        for selection in islice(self._programs(node), _PER_TARGET):
            text = self._text(selection)
            if text and text not in said:
                said.add(text)
                yield Draft(
                    family="referring",
                    prompt=Prompt.from_text(text, Task.REFERRING),
                    regions=(target.region,),
                    mask=target.mask,
                    category=target.category,
                    writer="",
                    program=print_program(selection),
                )

    def _programs(self, node: Node) -> Iterator[Expression]:
        """Programs that select the region alone, no two by the same means."""
        used: set[frozenset[str]] = set()
        for selection in islice(self._drawn(node), _TRIES):
            means = frozenset(part.operator for part in selection.walk())
            if means in used:
                continue
            rule = singles_out(self._run, selection, node)
            if rule:
                detail = f"region {node.region}: {selection}"
                self._reject(Rejection("write", rule, self._patch.source, self._patch.key, detail))
            else:
                used.add(means)
                yield selection

    def _drawn(self, node: Node) -> Iterator[Expression]:
        """Programs that may select the region, in random order, relations sooner."""
        source = expression("category", node.category)
        relations, places = self._facts.relations(node), self._facts.places(node)
        looks = self._facts.looks(node)
        options = [*self._conjunctions(source, relations, [*places, *looks])]
        options += self._facts.compared(node, source)
        for place in places:
            options += self._facts.compared(node, expression("filter", source, place))
        weights = np.array([_weight(option) for option in options])
        # exponential races draw without replacement in proportion to the weights
        order = np.argsort(self._rng.exponential(size=len(options)) / weights)
        return (options[at] for at in order)

    def _conjunctions(
        self, source: Expression, relations: list[Expression], others: list[Expression]
    ) -> Iterator[Expression]:
        """`only` of one condition, or of two that speak of different things."""
        tests = [*relations, *others]
        for test in tests:
            yield _only(source, test)
        for one, other in combinations(tests, 2):
            if not _about(one) & _about(other):
                yield _only(source, one, other)

    def _text(self, selection: Expression) -> str:
        for _ in range(_WORDINGS):
            text = self._say.phrase(selection)
            if WORDS[0] <= len(text.split()) <= WORDS[1]:
                return text
        return ""


def _only(source: Expression, *tests: Expression) -> Expression:
    for test in tests:
        source = expression("filter", source, test)
    return expression("only", source)


def _about(test: Expression) -> set[str]:
    """What a test speaks of: the categories it names, or the place."""
    named = {str(part) for part in test.walk() if part.operator == "category"}
    return named or {"place" if test.operator in ("in", "at-edge") else test.operator}


_WEIGHTS = {"in-row": 8.0, "rank": 0.7, "largest": 1.5, "smallest": 1.5}


def _weight(option: Expression) -> float:
    """How soon a program is tried."""
    if option.operator != "only":
        return _WEIGHTS.get(option.operator, 3.0)
    related = sum(part.operator in RELATIONS for part in option.walk())
    return (0.3, 1.5, 1.0)[min(related, 2)]
