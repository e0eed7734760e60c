"""What a program selects in a scene graph, or why people would not agree on it.

The definitions are in `docs/programs.md`.
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
    """Runs programs on one graph and remembers what their parts select.

    Args:
        graph: The scene graph of a patch.
    """

    def __init__(self, graph: SceneGraph) -> None:
        self.graph = graph
        self._known: dict[Expression, Nodes | AmbiguousError] = {}
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
        known = self._known.get(selection)
        if known is None:
            try:
                known = _SELECTORS[selection.operator](self, *selection.arguments)
            except AmbiguousError as error:
                known = error
            self._known[selection] = known
        if isinstance(known, AmbiguousError):
            raise known
        return known

    def truth(self, test: Expression, node: Node) -> Truth:
        """Whether a test holds for a node.

        Raises:
            AmbiguousError: If a region that it names is not clear.
        """
        key = (test, node.region)
        if key not in self._truths:
            self._truths[key] = _TESTS[test.operator](self, node, *test.arguments)
        return self._truths[key]

    def one(self, selection: Expression) -> Node:
        """The node that an expression of type one selects."""
        return self.run(selection)[0]


def _category(run: ProgramExecutor, category: int) -> Nodes:
    if category not in taxonomy():
        raise ProgramError(f"the taxonomy has no category {category}")
    graph = run.graph
    if not graph.clear or category not in graph.patch.labelled:
        raise AmbiguousError("unknown", f"not every region of category {category} is labelled")
    if any(confusable(category, box.category) is not False for box in graph.patch.boxes):
        raise AmbiguousError("unknown", f"a region of category {category} has a box alone")
    answers = {node: confusable(category, node.category) for node in graph.nodes.values()}
    if None in answers.values():
        raise AmbiguousError("category", f"a wider category may hold some of {category}")
    return tuple(node for node, answer in answers.items() if answer)


def _filter(run: ProgramExecutor, source: Expression, test: Expression) -> Nodes:
    nodes = run.members(source)
    for named in _named(test):
        run.members(named)
    truths = [run.truth(test, node) for node in nodes]
    if None in truths:
        raise AmbiguousError("margin", f"{test} is unsure for a region of {source}")
    return tuple(node for node, truth in zip(nodes, truths, strict=True) if truth)


def _named(test: Expression) -> Iterable[Expression]:
    """Selections that a test refers to."""
    for argument in test.arguments:
        if isinstance(argument, Expression):
            yield from _named(argument) if argument.type == "test" else (argument,)


def _only(run: ProgramExecutor, source: Expression) -> Nodes:
    nodes = run.run(source)
    if len(nodes) > 1:
        count = len(nodes)
        raise AmbiguousError("several", f"{source} selects {count} regions", (count, 1))
    return nodes


def _largest(run: ProgramExecutor, source: Expression) -> Nodes:
    first, *others = sorted(_several(run, source), key=lambda node: -node.area_px)
    for other in others:
        if 10 * first.area_px < 13 * other.area_px or first.box_area < other.box_area:
            raise AmbiguousError("margin", f"{source} has no clearly largest region")
    return (first,)


def _smallest(run: ProgramExecutor, source: Expression) -> Nodes:
    first, *others = sorted(_several(run, source), key=lambda node: node.area_px)
    for other in others:
        if 13 * first.area_px > 10 * other.area_px or first.box_area > other.box_area:
            raise AmbiguousError("margin", f"{source} has no clearly smallest region")
    if any(relations.at_edge(run.graph, first, side) for side in _AXES):
        raise AmbiguousError("margin", "the smallest region is cut by the patch's edge")
    return (first,)


def _rank(run: ProgramExecutor, rank: int, side: str, source: Expression) -> Nodes:
    return (_nth(run, _several(run, source), rank, side, source),)


def _nth(run: ProgramExecutor, nodes: Nodes, rank: int, side: str, source: Expression) -> Node:
    """The node of which rank - 1 others lie clearly on the given side, the rest on the other."""
    axis, sign = _AXES[side]
    if rank > len(nodes):
        count = len(nodes)
        message = f"{source} has {count} regions, none of rank {rank}"
        raise AmbiguousError("none", message, (count, rank))
    ordered = sorted(nodes, key=lambda node: sign * (node.x, node.y)[axis])
    chosen = ordered[rank - 1]
    for place, other in enumerate(ordered):
        expected = (place < rank - 1) == (sign > 0)
        clear = relations.before(other, chosen, axis, run.graph.unit)
        if other is not chosen and clear is not expected:
            raise AmbiguousError("margin", f"{source} is in no clear order from the {side}")
    return chosen


def _in_row(run: ProgramExecutor, rank: int, side: str, source: Expression) -> Nodes:
    nodes = run.run(source)
    if len(nodes) < 3:
        count = len(nodes)
        message = f"{source} has {count} regions; a row has at least 3"
        raise AmbiguousError("none", message, (count, 3))
    axis = _AXES[side][0]
    points = sorted(((node.x, node.y)[axis], (node.x, node.y)[1 - axis]) for node in nodes)
    if not _in_line(points, run.graph.unit):
        raise AmbiguousError("margin", f"{source} is no row from the {side}")
    return (_nth(run, nodes, rank, side, source),)


def _in_line(points: Sequence[tuple[int, int]], unit: int) -> bool:
    """Whether points, sorted along their first coordinate, are evenly spaced on a line."""
    gaps = [after[0] - now[0] for now, after in pairwise(points)]
    (x0, y0), (x1, y1) = points[0], points[-1]
    length, rise = x1 - x0, y1 - y0
    off = max(abs((y - y0) * length - (x - x0) * rise) for x, y in points)
    even = min(gaps) >= unit and max(gaps) <= 2 * min(gaps)
    return even and abs(rise) <= length and 6 * off <= min(gaps) * length


def _nearest(run: ProgramExecutor, source: Expression, anchor: Expression) -> Nodes:
    nodes, distances = _distances(run, source, anchor)
    near, runner_up = distances[0], distances[1]
    if runner_up - near < run.graph.unit or 4 * runner_up < 5 * near:
        raise AmbiguousError("margin", f"none of {source} is clearly nearest to {anchor}")
    return (nodes[0],)


def _farthest(run: ProgramExecutor, source: Expression, anchor: Expression) -> Nodes:
    nodes, distances = _distances(run, source, anchor)
    far, runner_up = distances[-1], distances[-2]
    if far - runner_up < run.graph.unit or 4 * far < 5 * runner_up:
        raise AmbiguousError("margin", f"none of {source} is clearly farthest from {anchor}")
    return (nodes[-1],)


def _distances(
    run: ProgramExecutor, source: Expression, anchor: Expression
) -> tuple[Nodes, list[int]]:
    """Regions of a set but the anchor, and their distances from it, in rising order."""
    centre = run.one(anchor)
    nodes = [node for node in run.members(source) if node is not centre]
    if len(nodes) < 2:
        count = len(nodes)
        message = f"{source} has {count} regions beside {anchor}, not 2"
        raise AmbiguousError("none", message, (count, 2))
    pairs = sorted(
        ((run.graph.distance(centre, node), node) for node in nodes), key=lambda pair: pair[0]
    )
    return tuple(node for _, node in pairs), [distance for distance, _ in pairs]


def _several(run: ProgramExecutor, source: Expression) -> Nodes:
    nodes = run.members(source)
    if len(nodes) < 2:
        count = len(nodes)
        message = f"{source} has {count} regions, at least 2 are compared"
        raise AmbiguousError("none", message, (count, 2))
    return nodes


Pair = Callable[[SceneGraph, Node, Node], Truth]


def _related(holds: Pair) -> Callable[..., Truth]:
    """A test of a relation to any of the regions named, the region itself left out."""

    def test(run: ProgramExecutor, node: Node, others: Expression) -> Truth:
        named = run.members(others)
        return relations.exists(holds(run.graph, node, each) for each in named if each is not node)

    return test


def _toward(axis: int, sign: int) -> Callable[..., Truth]:
    def test(run: ProgramExecutor, node: Node, other: Expression) -> Truth:
        named = run.one(other)
        return node is not named and relations.toward(run.graph, node, named, axis, sign)

    return test


def _between(run: ProgramExecutor, node: Node, one: Expression, other: Expression) -> Truth:
    first, second = run.one(one), run.one(other)
    if first is second:
        raise AmbiguousError("none", f"{one} and {other} are the same region")
    return node not in (first, second) and relations.between(node, first, second)


def _not(run: ProgramExecutor, node: Node, test: Expression) -> Truth:
    truth = run.truth(test, node)
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
    "in": lambda run, node, place: relations.in_place(run.graph, node, place),
    "at-edge": lambda run, node, side: relations.at_edge(run.graph, node, side),
    "beside": _related(relations.beside),
    "near": _related(relations.near),
    "inside": _related(relations.inside),
    "around": _related(relations.around),
    **{name: _toward(axis, sign) for name, (axis, sign) in _DIRECTIONS.items()},
    "between": _between,
    "colour": lambda run, node, word: relations.coloured(run.graph, node, word),
    "running": lambda run, node, course: relations.running(node, course),
    "not": _not,
}
