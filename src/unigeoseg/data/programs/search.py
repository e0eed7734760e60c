"""Program search: conditions that hold for a region, combined until they single it out.

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
"""Operators that identify a region by another one."""

_LANDMARKS = 6  # per patch
_LANDMARK_SHARE = (0.002, 0.6)  # of the patch: smaller or larger regions are no landmarks
_DIRECTIONS = ("left-of", "right-of", "above", "below")
_HIGHEST_RANK = 3
_MOST_COMPARED = 6  # regions of a set that are compared with each other
_MOST_SURVEYED = 4  # regions of which a landmark may be the largest


class SceneFacts:
    """The conditions that hold for the regions of one scene.

    Args:
        executor: Runs programs on its graph.
        rng: Draws landmarks and programs.
    """

    def __init__(self, executor: ProgramExecutor, rng: np.random.Generator) -> None:
        self._executor = executor
        self._rng = rng
        self._landmarks = self._find_landmarks()
        self._related: dict[int, list[Expression]] = {}

    def relations(self, node: Node) -> list[Expression]:
        """Tests of relations to landmarks and categories that hold for a region."""
        if node.region not in self._related:
            self._related[node.region] = self._relations(node)
        return self._related[node.region]

    def places(self, node: Node) -> list[Expression]:
        """Tests of the place in the patch; the narrowest that hold."""
        tests = [expression("in", place) for place in reversed(PLACES)]
        places = self._holding(node, tests)
        corners = [test for test in places if "-" in str(test.arguments[0])]
        edges = self._holding(node, (expression("at-edge", side) for side in SIDES))
        return (corners or places) + (edges if len(edges) == 1 else [])

    def appearance(self, node: Node) -> list[Expression]:
        """Tests of colour and course that hold; colour only to tell one thing from others."""
        kind = taxonomy()[node.category].kind
        if kind == "stuff":
            return self._holding(node, (expression("running", course) for course in COURSES))
        if self._executor.graph.grey or self._count(expression("category", node.category)) < 2:
            return []
        return self._holding(node, (expression("colour", word) for word in COLOURS))

    def comparisons(self, node: Node, source: Expression) -> list[Expression]:
        """Expressions that compare the regions of a set, this one among them."""
        count = self._count(source)
        if not 2 <= count <= _MOST_COMPARED:
            return []
        comparisons = [expression("largest", source), expression("smallest", source)]
        for side in SIDES if self._small(node) else ():
            ranks = range(1, min(_HIGHEST_RANK + 1, count))
            comparisons += [expression("rank", rank, side, source) for rank in ranks]
            if count > 2:
                comparisons += [expression("in-row", rank, side, source) for rank in ranks]
        for anchor, _ in self._landmarks_of_other_kinds(node):
            comparisons += [expression(name, source, anchor) for name in ("nearest", "farthest")]
        return comparisons

    def _relations(self, node: Node) -> list[Expression]:
        tests: list[Expression] = []
        anchors = [anchor for anchor, _ in self._landmarks_of_other_kinds(node)]
        for anchor in anchors:
            tests += self._close(node, anchor)
            tests += self._holding(node, (expression(name, anchor) for name in _DIRECTIONS))
        tests += self._category_relations(node)
        pairs = combinations(anchors, 2)
        return tests + self._holding(node, (expression("between", *pair) for pair in pairs))

    def _small(self, node: Node) -> bool:
        """Whether a region is small enough to be one of a series, for an eye."""
        x0, y0, x1, y1 = node.box
        graph = self._executor.graph
        return bool(2 * (x1 - x0) <= graph.width and 2 * (y1 - y0) <= graph.height)

    def _count(self, source: Expression) -> int:
        """Number of regions in a set; 0 if it is not clear."""
        try:
            return len(self._executor.members(source))
        except AmbiguousError:
            return 0

    def _landmarks_of_other_kinds(self, node: Node) -> list[tuple[Expression, Node]]:
        """Landmarks that are not of the region's own kind."""
        return [pair for pair in self._landmarks if pair[1].category != node.category]

    def _find_landmarks(self) -> list[tuple[Expression, Node]]:
        """Expressions that select a prominent region, and the region."""
        graph = self._executor.graph
        landmarks: list[tuple[Expression, Node]] = []
        present = sorted({node.category for node in graph.nodes.values()})
        for category in self._rng.permutation(present).tolist():
            if len(landmarks) < _LANDMARKS and taxonomy()[category].target:
                landmarks += self._landmark(expression("category", category))
        return landmarks

    def _landmark(self, source: Expression) -> list[tuple[Expression, Node]]:
        size = self._executor.graph.patch.regions.size
        for name in ("only", "largest"):
            anchor = expression(name, source)
            try:
                node = self._executor.single_node(anchor)
            except AmbiguousError:
                continue
            if name == "largest" and self._count(source) > _MOST_SURVEYED:
                break
            if _LANDMARK_SHARE[0] * size <= node.area_px <= _LANDMARK_SHARE[1] * size:
                return [(anchor, node)]
        return []

    def _close(self, node: Node, anchor: Expression) -> list[Expression]:
        """The closest relation to a landmark or a category that holds."""
        ways = (expression(name, anchor) for name in ("inside", "around", "beside", "near"))
        return self._holding(node, ways)[:1]

    def _category_relations(self, node: Node) -> list[Expression]:
        """Relations to any region of a category that has several, or to none of them."""
        single_landmarks = {
            anchor.arguments[0] for anchor, _ in self._landmarks if anchor.operator == "only"
        }
        tests: list[Expression] = []
        for category in sorted(
            {neighbour.category for neighbour in self._executor.graph.nodes.values()}
        ):
            source = expression("category", category)
            if (
                category == node.category
                or source in single_landmarks
                or not taxonomy()[category].target
            ):
                continue
            relations = self._close(node, source)
            away = expression("not", expression("near", source))
            tests += relations or self._holding(node, [away])
        return tests

    def _holding(
        self, node: Node, tests: Iterator[Expression] | list[Expression]
    ) -> list[Expression]:
        return [test for test in tests if self._holds(node, test)]

    def _holds(self, node: Node, test: Expression) -> bool:
        try:
            return self._executor.truth(test, node) is True
        except AmbiguousError:
            return False


def selection_fault(
    executor: ProgramExecutor, selection: Expression, node: Node
) -> AmbiguousError | None:
    """Why a program does not select one region and nothing else; None if it does.

    Returns:
        The error that the program raises; one with the rule "other" if it selects anything else.
    """
    try:
        if executor.run(selection) == (node,):
            return None
    except AmbiguousError as error:
        return error
    return AmbiguousError("other", f"{selection} does not select region {node.region}")


def topics_of(test: Expression) -> set[str]:
    """The topics of a test: the categories it names, or the place."""
    categories = {str(part) for part in test.walk() if part.operator == "category"}
    return categories or {"place" if test.operator in ("in", "at-edge") else test.operator}
