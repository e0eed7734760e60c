"""Execution of programs: the regions that one selects in a scene graph, or why that is ambiguous.

A selection is ambiguous where people would not agree on it. The definitions are in
`docs/programs.md`.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from unigeoseg.data.programs import relations
from unigeoseg.data.programs.graph import Node, SceneGraph
from unigeoseg.data.programs.program import Expression
from unigeoseg.data.programs.relations import Truth
from unigeoseg.data.taxonomy.categories import taxonomy
from unigeoseg.data.taxonomy.confusable import confusable
from unigeoseg.errors import AmbiguousError, ProgramError

Nodes = tuple[Node, ...]

_AXES = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}
_DIRECTIONS = {"left-of": (0, 1), "right-of": (0, -1), "above": (1, 1), "below": (1, -1)}


def execute_program(selection: Expression, graph: SceneGraph) -> frozenset[int]:
    """Ids of the regions that a program selects.

    Raises:
        AmbiguousError: If it selects none, or a margin is not met.
        ProgramError: If it names a category that the taxonomy does not have.
    """
    return frozenset(node.region for node in ProgramExecutor(graph).run(selection))


class ProgramExecutor:
    """Runs programs on one graph and caches what their parts select.

    Args:
        graph: The scene graph of a patch.
    """

    def __init__(self, graph: SceneGraph) -> None:
        self.graph = graph
        self._selections: dict[Expression, Nodes | AmbiguousError] = {}
        self._truths: dict[tuple[Expression, int], Truth] = {}

    def run(self, selection: Expression) -> Nodes:
        """Nodes that an expression of type one or set selects, in order of their ids.

        Raises:
            AmbiguousError: If it selects none, or a margin is not met.
            ProgramError: If it names a category that the taxonomy does not have.
        """
        nodes = self.members(selection)
        if not nodes:
            raise AmbiguousError("none", f"{selection} selects no region", (0, 1))
        return nodes

    def members(self, selection: Expression) -> Nodes:
        """As `run`, but a set may be empty."""
        outcome = self._selections.get(selection)
        if outcome is None:
            try:
                outcome = _SELECTORS[selection.operator](self, *selection.arguments)
            except AmbiguousError as error:
                outcome = error
            self._selections[selection] = outcome
        if isinstance(outcome, AmbiguousError):
            raise outcome
        return outcome

    def truth(self, test: Expression, node: Node) -> Truth:
        """Whether a test holds for a node.

        Raises:
            AmbiguousError: If a region that it names is not clear.
        """
        key = (test, node.region)
        if key not in self._truths:
            self._truths[key] = _TESTS[test.operator](self, node, *test.arguments)
        return self._truths[key]

    def single_node(self, selection: Expression) -> Node:
        """The node that an expression of type one selects."""
        return self.run(selection)[0]


def _category(executor: ProgramExecutor, category: int) -> Nodes:
    if category not in taxonomy():
        raise ProgramError(f"the taxonomy has no category {category}")
    graph = executor.graph
    if not graph.clear or category not in graph.patch.labelled:
        raise AmbiguousError("unknown", f"not every region of category {category} is labelled")
    if any(confusable(category, box.category) is not False for box in graph.patch.boxes):
        raise AmbiguousError("unknown", f"a region of category {category} has a box alone")
    answers = {node: confusable(category, node.category) for node in graph.nodes.values()}
    if None in answers.values():
        raise AmbiguousError("category", f"a wider category may hold some of {category}")
    return tuple(node for node, answer in answers.items() if answer)


def _filter(executor: ProgramExecutor, source: Expression, test: Expression) -> Nodes:
    nodes = executor.members(source)
    for reference in _references(test):
        executor.members(reference)  # an unclear reference makes the whole selection unclear
    truths = [executor.truth(test, node) for node in nodes]
    if None in truths:
        raise AmbiguousError("margin", f"{test} is unsure for a region of {source}")
    return tuple(node for node, truth in zip(nodes, truths, strict=True) if truth)


def _references(test: Expression) -> Iterable[Expression]:
    """Selections that a test refers to."""
    for argument in test.arguments:
        if isinstance(argument, Expression):
            yield from _references(argument) if argument.type == "test" else (argument,)


def _only(executor: ProgramExecutor, source: Expression) -> Nodes:
    nodes = executor.run(source)
    if len(nodes) > 1:
        count = len(nodes)
        raise AmbiguousError("several", f"{source} selects {count} regions", (count, 1))
    return nodes


def _largest(executor: ProgramExecutor, source: Expression) -> Nodes:
    first, *rivals = sorted(_several(executor, source), key=lambda node: -node.area_px)
    for smaller in rivals:
        if 10 * first.area_px < 13 * smaller.area_px or first.box_area < smaller.box_area:
            raise AmbiguousError("margin", f"{source} has no clearly largest region")
    return (first,)


def _smallest(executor: ProgramExecutor, source: Expression) -> Nodes:
    first, *rivals = sorted(_several(executor, source), key=lambda node: node.area_px)
    for larger in rivals:
        if 13 * first.area_px > 10 * larger.area_px or first.box_area > larger.box_area:
            raise AmbiguousError("margin", f"{source} has no clearly smallest region")
    if any(relations.is_at_edge(executor.graph, first, side) for side in _AXES):
        raise AmbiguousError("margin", "the smallest region is cut by the patch's edge")
    return (first,)


def _rank(executor: ProgramExecutor, rank: int, side: str, source: Expression) -> Nodes:
    return (_nth(executor, _several(executor, source), rank, side, source),)


def _nth(executor: ProgramExecutor, nodes: Nodes, rank: int, side: str, source: Expression) -> Node:
    """The node of which rank - 1 others lie clearly on the given side, the rest on the other."""
    axis, sign = _AXES[side]
    if rank > len(nodes):
        count = len(nodes)
        message = f"{source} has {count} regions, none of rank {rank}"
        raise AmbiguousError("none", message, (count, rank))
    ordered = sorted(nodes, key=lambda node: sign * (node.x, node.y)[axis])
    ranked = ordered[rank - 1]
    for place, node in enumerate(ordered):
        expected = (place < rank - 1) == (sign > 0)
        precedes = relations.is_before(node, ranked, axis, executor.graph.unit)
        if node is not ranked and precedes is not expected:
            raise AmbiguousError("margin", f"{source} is in no clear order from the {side}")
    return ranked


def _in_row(executor: ProgramExecutor, rank: int, side: str, source: Expression) -> Nodes:
    nodes = executor.run(source)
    if len(nodes) < 3:
        count = len(nodes)
        message = f"{source} has {count} regions; a row has at least 3"
        raise AmbiguousError("none", message, (count, 3))
    axis = _AXES[side][0]
    points = sorted(((node.x, node.y)[axis], (node.x, node.y)[1 - axis]) for node in nodes)
    if not _in_line(points, executor.graph.unit):
        raise AmbiguousError("margin", f"{source} is no row from the {side}")
    return (_nth(executor, nodes, rank, side, source),)


def _in_line(points: Sequence[tuple[int, int]], unit: int) -> bool:
    """Whether points, sorted along their first coordinate, are evenly spaced on a line."""
    gaps = [following[0] - preceding[0] for preceding, following in pairwise(points)]
    (x0, y0), (x1, y1) = points[0], points[-1]
    length, rise = x1 - x0, y1 - y0
    off = max(abs((y - y0) * length - (x - x0) * rise) for x, y in points)
    even = min(gaps) >= unit and max(gaps) <= 2 * min(gaps)
    return even and abs(rise) <= length and 6 * off <= min(gaps) * length


def _nearest(executor: ProgramExecutor, source: Expression, anchor: Expression) -> Nodes:
    nodes, distances = _distances(executor, source, anchor)
    near, runner_up = distances[0], distances[1]
    if runner_up - near < executor.graph.unit or 4 * runner_up < 5 * near:
        raise AmbiguousError("margin", f"none of {source} is clearly nearest to {anchor}")
    return (nodes[0],)


def _farthest(executor: ProgramExecutor, source: Expression, anchor: Expression) -> Nodes:
    nodes, distances = _distances(executor, source, anchor)
    far, runner_up = distances[-1], distances[-2]
    if far - runner_up < executor.graph.unit or 4 * far < 5 * runner_up:
        raise AmbiguousError("margin", f"none of {source} is clearly farthest from {anchor}")
    return (nodes[-1],)


def _distances(
    executor: ProgramExecutor, source: Expression, anchor: Expression
) -> tuple[Nodes, list[int]]:
    """Regions of a set but the anchor, and their distances from it, in rising order."""
    centre = executor.single_node(anchor)
    nodes = [node for node in executor.members(source) if node is not centre]
    if len(nodes) < 2:
        count = len(nodes)
        message = f"{source} has {count} regions beside {anchor}, not 2"
        raise AmbiguousError("none", message, (count, 2))
    pairs = sorted(
        ((executor.graph.distance(centre, node), node) for node in nodes), key=lambda pair: pair[0]
    )
    return tuple(node for _, node in pairs), [distance for distance, _ in pairs]


def _several(executor: ProgramExecutor, source: Expression) -> Nodes:
    nodes = executor.members(source)
    if len(nodes) < 2:
        count = len(nodes)
        message = f"{source} has {count} regions, at least 2 are compared"
        raise AmbiguousError("none", message, (count, 2))
    return nodes


Relation = Callable[[SceneGraph, Node, Node], Truth]


def _related(holds: Relation) -> Callable[..., Truth]:
    """A test of a relation to any of the regions referred to, the region itself left out."""

    def test(executor: ProgramExecutor, node: Node, reference: Expression) -> Truth:
        anchors = executor.members(reference)
        return relations.disjunction(
            holds(executor.graph, node, anchor) for anchor in anchors if anchor is not node
        )

    return test


def _toward(axis: int, sign: int) -> Callable[..., Truth]:
    def test(executor: ProgramExecutor, node: Node, reference: Expression) -> Truth:
        anchor = executor.single_node(reference)
        return node is not anchor and relations.is_toward(executor.graph, node, anchor, axis, sign)

    return test


def _between(executor: ProgramExecutor, node: Node, start: Expression, end: Expression) -> Truth:
    first, second = executor.single_node(start), executor.single_node(end)
    if first is second:
        raise AmbiguousError("none", f"{start} and {end} are the same region")
    return node not in (first, second) and relations.is_between(node, first, second)


def _not(executor: ProgramExecutor, node: Node, test: Expression) -> Truth:
    truth = executor.truth(test, node)
    return None if truth is None else not truth


_SELECTORS: dict[str, Callable[..., Nodes]] = {
    "category": _category,
    "filter": _filter,
    "only": _only,
    "largest": _largest,
    "smallest": _smallest,
    "rank": _rank,
    "in-row": _in_row,
    "nearest": _nearest,
    "farthest": _farthest,
}
_TESTS: dict[str, Callable[..., Truth]] = {
    "in": lambda executor, node, place: relations.is_in_place(executor.graph, node, place),
    "at-edge": lambda executor, node, side: relations.is_at_edge(executor.graph, node, side),
    "beside": _related(relations.is_beside),
    "near": _related(relations.is_near),
    "inside": _related(relations.is_inside),
    "around": _related(relations.is_around),
    **{name: _toward(axis, sign) for name, (axis, sign) in _DIRECTIONS.items()},
    "between": _between,
    "colour": lambda executor, node, word: relations.has_colour(executor.graph, node, word),
    "running": lambda executor, node, course: relations.is_running(node, course),
    "not": _not,
}
