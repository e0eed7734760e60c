"""Referring expressions: programs that select a target alone, and their words.

Source: paper section 2, stage 6: position, neighbours and relations that identify one region.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations, islice
from typing import Any

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.base_writer import PatchWriter, off_length
from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.programs.graph import Node
from unigeoseg.data.programs.program import Expression, expression, format_program
from unigeoseg.data.programs.search import topics_of
from unigeoseg.prompt import Prompt, Task

WORDS = (6, 25)
"""Fewest and most words of an expression."""

_PER_TARGET = 3
_TRIES = 14  # programs that are run per target
_WORDINGS = 4  # attempts to say a program within the bounds of length


class ReferringWriter(PatchWriter):
    """Writes referring expressions about one patch.

    Args:
        common: What all writers of a patch have; see `PatchWriter`.
        words: Fewest and most words of an expression.
    """

    def __init__(self, *common: Any, words: tuple[int, int] = WORDS) -> None:  # noqa: ANN401
        super().__init__(*common)
        self._words = words

    def write(self, target: Candidate) -> Iterator[Draft]:
        """Up to three expressions for a region, each by another program."""
        node = self._run.graph.nodes[target.region]
        texts: set[str] = set()
        for selection in islice(self._programs(node), _PER_TARGET):
            text = self._text(selection, node)
            if text and text not in texts:
                texts.add(text)
                yield Draft(
                    family="referring",
                    prompt=Prompt.from_text(text, Task.REFERRING),
                    regions=(target.region,),
                    mask=target.mask,
                    category=target.category,
                    writer="",
                    program=format_program(selection),
                )

    def _programs(self, node: Node) -> Iterator[Expression]:
        """Programs that select the region alone, no two by the same operators."""
        operators_used: set[frozenset[str]] = set()
        for selection in islice(self._random_programs(node), _TRIES):
            operators = frozenset(part.operator for part in selection.walk())
            if operators not in operators_used and self._selects_alone(selection, node):
                operators_used.add(operators)
                yield selection

    def _random_programs(self, node: Node) -> Iterator[Expression]:
        """Programs that may select the region, in random order, relations sooner."""
        source = expression("category", node.category)
        relations, places = self._facts.relations(node), self._facts.places(node)
        options = list(_conjunctions(relations, [*places, *self._facts.appearance(node)]))
        compared = self._facts.comparisons(node, source)
        for place in places:
            compared += self._facts.comparisons(node, expression("filter", source, place))
        options += [(option.operator, (option,)) for option in compared]
        counts = Counter(kind for kind, _ in options)
        weights = np.array([_KIND_WEIGHTS[kind] / counts[kind] for kind, _ in options])
        # exponential races draw without replacement in proportion to the weights
        for index in np.argsort(self._rng.exponential(size=len(options)) / weights):
            _, parts = options[index]
            yield parts[0] if parts[0].type == "one" else _only(source, *parts)

    def _text(self, selection: Expression, node: Node) -> str:
        """A wording within the bounds of length; if there is none, the last is rejected."""
        text, tries = self._say.phrase(selection), 1
        while off_length(text, self._words) and tries < _WORDINGS:
            text, tries = self._say.phrase(selection), tries + 1
        length_fault = off_length(text, self._words)
        if length_fault:
            self._note("words", node, text, length_fault)
        return "" if length_fault else text


Option = tuple[str, tuple[Expression, ...]]
"""A kind of program, and its tests or itself."""

# how often each kind of program is tried first; a kind has many programs or few
_KIND_WEIGHTS = {
    "one relation": 3.0,
    "two conditions": 2.5,
    "no relation": 0.5,
    "in-row": 3.0,
    "nearest": 2.0,
    "farthest": 1.0,
    "largest": 0.7,
    "smallest": 0.7,
    "rank": 1.0,
}


def _conjunctions(relations: list[Expression], properties: list[Expression]) -> Iterator[Option]:
    """One condition, or two that speak of different things."""
    for test in relations:
        yield "one relation", (test,)
    for test in properties:
        yield "no relation", (test,)
    topics = {test: topics_of(test) for test in (*relations, *properties)}
    for first, second in combinations(topics, 2):
        if topics[first].isdisjoint(topics[second]):
            yield "two conditions" if first in relations else "no relation", (first, second)


def _only(source: Expression, *tests: Expression) -> Expression:
    for test in tests:
        source = expression("filter", source, test)
    return expression("only", source)
