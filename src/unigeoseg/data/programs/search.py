"""Programs that single out a region: what is true of it, put together and tried.

A program is drawn at random, those with relations more often than those with positions alone.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from unigeoseg.data.programs.execute import ProgramExecutor
from unigeoseg.data.programs.graph import Node
from unigeoseg.data.programs.program import (
    COLOURS,
    COURSES,
    PLACES,
    SIDES,
    Expression,
    expression,
)
from unigeoseg.data.taxonomy.categories import taxonomy
from unigeoseg.errors import AmbiguousError

RELATION_OPERATORS = frozenset(
    "beside near inside around left-of right-of above below between nearest farthest".split()
)
"""Operators that tell a region by another one."""

_ANCHORS = 6  # regions that others are told by, per patch
_ANCHOR_SHARE = (0.002, 0.6)  # of the patch: smaller or larger regions are no landmarks
_DIRECTIONS = ("left-of", "right-of", "above", "below")
_FIRST = 3  # the highest rank that is counted
_COMPARED = 6  # more regions than this are not compared with each other
_SURVEYED = 4  # a landmark is the largest of no more than this


class SceneFacts:
    """What can be said of the regions of one scene.

    Args:
        executor: Runs programs on its graph.
        rng: Draws landmarks and programs.
    """

    def __init__(self, executor: ProgramExecutor, rng: np.random.Generator) -> None:
        self._run = executor
        self._rng = rng
        self._anchors = self._landmarks()
        self._related: dict[int, list[Expression]] = {}

    def relations(self, node: Node) -> list[Expression]:
        """Tests of relations to landmarks and categories that hold for a region."""
        if node.region not in self._related:
            self._related[node.region] = self._relations(node)
        return self._related[node.region]

    def places(self, node: Node) -> list[Expression]:
        """Tests of the place in the patch; the narrowest that hold."""
        tests = [expression("in", place) for place in reversed(PLACES)]
        held = self._holding(node, tests)
        corners = [test for test in held if "-" in str(test.arguments[0])]
        edges = self._holding(node, (expression("at-edge", side) for side in SIDES))
        return (corners or held) + (edges if len(edges) == 1 else [])

    def looks(self, node: Node) -> list[Expression]:
        """Tests of colour and course that hold; colour only to tell one thing from others."""
        kind = taxonomy()[node.category].kind
        if kind == "stuff":
            return self._holding(node, (expression("running", course) for course in COURSES))
        if self._run.graph.grey or self._count(expression("category", node.category)) < 2:
            return []
        return self._holding(node, (expression("colour", word) for word in COLOURS))

    def compared(self, node: Node, source: Expression) -> list[Expression]:
        """Expressions that compare the regions of a set, this one among them."""
        alike = self._count(source)
        if not 2 <= alike <= _COMPARED:
            return []
        tried = [expression("largest", source), expression("smallest", source)]
        for side in SIDES if self._small(node) else ():
            ranks = range(1, min(_FIRST + 1, alike))
            tried += [expression("rank", rank, side, source) for rank in ranks]
            if alike > 2:
                tried += [expression("in-row", rank, side, source) for rank in ranks]
        for anchor, _ in self._others(node):
            tried += [expression(name, source, anchor) for name in ("nearest", "farthest")]
        return tried

    def _relations(self, node: Node) -> list[Expression]:
        found: list[Expression] = []
        anchors = [anchor for anchor, _ in self._others(node)]
        for anchor in anchors:
            found += self._close(node, anchor)
            found += self._holding(node, (expression(name, anchor) for name in _DIRECTIONS))
        found += self._kinds(node)
        pairs = combinations(anchors, 2)
        return found + self._holding(node, (expression("between", *pair) for pair in pairs))

    def _small(self, node: Node) -> bool:
        """Whether a region is small enough to be one of a series, for an eye."""
        x0, y0, x1, y1 = node.box
        graph = self._run.graph
        return bool(2 * (x1 - x0) <= graph.width and 2 * (y1 - y0) <= graph.height)

    def _count(self, source: Expression) -> int:
        """Number of regions in a set; 0 if it is not clear."""
        try:
            return len(self._run.members(source))
        except AmbiguousError:
            return 0

    def _others(self, node: Node) -> list[tuple[Expression, Node]]:
        """Landmarks that are not of the region's own kind."""
        return [pair for pair in self._anchors if pair[1].category != node.category]

    def _landmarks(self) -> list[tuple[Expression, Node]]:
        """Expressions that select a prominent region, and the region."""
        graph = self._run.graph
        found: list[tuple[Expression, Node]] = []
        present = sorted({node.category for node in graph.nodes.values()})
        for category in self._rng.permutation(present).tolist():
            if len(found) < _ANCHORS and taxonomy()[category].target:
                found += self._landmark(expression("category", category))
        return found

    def _landmark(self, source: Expression) -> list[tuple[Expression, Node]]:
        size = self._run.graph.patch.regions.size
        for name in ("only", "largest"):
            anchor = expression(name, source)
            try:
                node = self._run.one(anchor)
            except AmbiguousError:
                continue
            if name == "largest" and self._count(source) > _SURVEYED:
                break
            if _ANCHOR_SHARE[0] * size <= node.area_px <= _ANCHOR_SHARE[1] * size:
                return [(anchor, node)]
        return []

    def _close(self, node: Node, other: Expression) -> list[Expression]:
        """The closest relation to a landmark or a category that holds."""
        ways = (expression(name, other) for name in ("inside", "around", "beside", "near"))
        return self._holding(node, ways)[:1]

    def _kinds(self, node: Node) -> list[Expression]:
        """Relations to any region of a category that has several, or to none of them."""
        told = {anchor.arguments[0] for anchor, _ in self._anchors if anchor.operator == "only"}
        found: list[Expression] = []
        for category in sorted({other.category for other in self._run.graph.nodes.values()}):
            source = expression("category", category)
            if category == node.category or source in told or not taxonomy()[category].target:
                continue
            held = self._close(node, source)
            away = expression("not", expression("near", source))
            found += held or self._holding(node, [away])
        return found

    def _holding(
        self, node: Node, tests: Iterator[Expression] | list[Expression]
    ) -> list[Expression]:
        return [test for test in tests if self._holds(node, test)]

    def _holds(self, node: Node, test: Expression) -> bool:
        try:
            return self._run.truth(test, node) is True
        except AmbiguousError:
            return False


def selection_fault(
    executor: ProgramExecutor, selection: Expression, node: Node
) -> AmbiguousError | None:
    """Why a program does not select one region and nothing else; None if it does.

    Returns:
        What the program raises, or one with the rule "other" if it selects something else.
    """
    try:
        if executor.run(selection) == (node,):
            return None
    except AmbiguousError as error:
        return error
    return AmbiguousError("other", f"{selection} does not select region {node.region}")


def topics_of(test: Expression) -> set[str]:
    """What a test speaks of: the categories it names, or the place."""
    named = {str(part) for part in test.walk() if part.operator == "category"}
    return named or {"place" if test.operator in ("in", "at-edge") else test.operator}
