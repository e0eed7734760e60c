"""Reference implementation of programs, independent of `execute`: for verification.

Written from `docs/programs.md` alone: every formula and number is that page's. It shares no code
with the other modules of this folder, which write the programs, so that `verify` does not repeat a
mistake of theirs. It works on stored regions, categories and pixels.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from math import isqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.taxonomy.categories import ancestors, same_or_near, taxonomy

Truth = bool | None
"""Yes, no or unsure."""


class NoSelection(Exception):
    """A program is ambiguous, or no program."""


def reference_selection(program: str, patch: Patch) -> set[int]:
    """Ids of the regions that a program selects.

    Raises:
        NoSelection: If it is ambiguous or malformed.
    """
    match _tree(program):
        case ["program", "1", [*expression]]:
            try:
                selected = _Scene(patch).select(expression)
            except (KeyError, ValueError, TypeError) as error:
                raise NoSelection(f"malformed: {error!r}") from error
        case _:
            raise NoSelection("malformed")
    if not selected:
        raise NoSelection("none")
    return {region.id for region in selected}


def _tree(text: str) -> Any:  # noqa: ANN401 - nested lists of words
    stack: list[list[Any]] = [[]]
    for word in re.findall(r"[()]|[^()\s]+", text):
        if word == "(":
            stack.append([])
        elif word != ")":
            stack[-1].append(word)
        elif len(stack) > 1:
            inner = stack.pop()
            stack[-1].append(inner)
    return stack[0][0] if len(stack) == 1 and len(stack[0]) == 1 else None


class _Region:
    """One region and its measures; lengths and positions in hundredths of a pixel."""

    def __init__(self, region: int, category: int, mask: NDArray[np.bool_]) -> None:
        self.id, self.category, self.mask = region, category, mask
        rows, columns = np.nonzero(mask)
        self.x, self.y = columns.astype(np.int64), rows.astype(np.int64)
        self.n = len(rows)
        self.cx = 100 * int(self.x.sum()) // self.n + 50
        self.cy = 100 * int(self.y.sum()) // self.n + 50
        self.x0, self.x1 = int(self.x.min()), int(self.x.max()) + 1
        self.y0, self.y1 = int(self.y.min()), int(self.y.max()) + 1

    @property
    def box_area(self) -> int:
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    @cached_property
    def outline(self) -> NDArray[np.int64]:
        """(N, 2) x and y."""
        padded = np.pad(self.mask, 1, constant_values=True)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        rows, columns = np.nonzero(self.mask & ~inner)
        return np.stack([columns, rows], axis=1)

    @cached_property
    def tree(self) -> KDTree:
        return KDTree(self.outline)

    @cached_property
    def ring(self) -> NDArray[np.bool_]:
        grown = cv2.dilate(self.mask.astype(np.uint8), np.ones((7, 7), np.uint8))
        return (grown > 0) & ~self.mask

    def distance(self, region: "_Region") -> int:
        nearest = float(self.tree.query(region.outline)[0].min())
        return isqrt(10_000 * round(nearest * nearest))

    def along(self, side: str) -> tuple[int, int, int]:
        """Centroid, start and end on the axis of a side."""
        across = side in ("left", "right")
        return (self.cx, self.x0, self.x1) if across else (self.cy, self.y0, self.y1)


Regions = list[_Region]


class _Scene:
    """The regions of a patch that take part, and the operators."""

    def __init__(self, patch: Patch) -> None:
        self.patch = patch
        self.height, self.width = patch.regions.shape
        self.unit = 100 * max(self.width, self.height) // 32
        self.regions = [
            _Region(region, category, mask)
            for region, category in sorted(patch.categories.items())
            if (mask := patch.regions == region).sum() >= _smallest_px(category)
        ]

    def select(self, expression: Sequence[Any]) -> Regions:
        """The members of an expression of type one or set."""
        operator, *arguments = expression
        return _SELECTIONS[operator](self, *arguments)

    def single(self, expression: Sequence[Any]) -> _Region:
        """The region that an expression of type one selects."""
        (region,) = self.select(expression)
        return region

    def category(self, number: str) -> Regions:
        queried = int(number)
        unknown = int((self.patch.regions == UNKNOWN_REGION).sum())
        if 20 * unknown > self.width * self.height or queried not in self.patch.labelled:
            raise NoSelection("unknown")
        members = [region for region in self.regions if _answers(region.category, queried)]
        strangers = [region for region in self.regions if region not in members]
        if any(_answers(queried, region.category) for region in strangers):
            raise NoSelection("category")
        return members

    def filter(self, members: Sequence[Any], test: Sequence[Any]) -> Regions:
        check = self.test(test)
        truths = [(region, check(region)) for region in self.select(members)]
        if any(truth is None for _, truth in truths):
            raise NoSelection("margin")
        return [region for region, truth in truths if truth]

    def only(self, members: Sequence[Any]) -> Regions:
        selected = self.select(members)
        if len(selected) != 1:
            raise NoSelection("several" if selected else "none")
        return selected

    def largest(self, members: Sequence[Any]) -> Regions:
        p, *rivals = _at_least(2, sorted(self.select(members), key=lambda region: -region.n))
        _require(10 * p.n >= 13 * q.n and p.box_area >= q.box_area for q in rivals)
        return [p]

    def smallest(self, members: Sequence[Any]) -> Regions:
        p, *rivals = _at_least(2, sorted(self.select(members), key=lambda region: region.n))
        _require(13 * p.n <= 10 * q.n and p.box_area <= q.box_area for q in rivals)
        _require([not self.touches_edge(p)])
        return [p]

    def rank(self, number: str, side: str, members: Sequence[Any]) -> Regions:
        k, outward = int(number), side in ("right", "bottom")
        ordered = sorted(self.select(members), key=lambda p: p.along(side)[0], reverse=outward)
        _at_least(max(2, k), ordered)
        p = ordered[k - 1]
        for at, q in enumerate(ordered):
            if q is not p:
                ahead = (at < k - 1) != outward
                _require([self.is_before(q, p, side) if ahead else self.is_before(p, q, side)])
        return [p]

    def is_before(self, p: _Region, q: _Region, side: str) -> bool:
        """Whether p is before q along the axis of a side."""
        (cp, p0, p1), (cq, q0, q1) = p.along(side), q.along(side)
        return cq - cp >= self.unit and p0 <= q0 and p1 <= q1

    def in_row(self, number: str, side: str, members: Sequence[Any]) -> Regions:
        regions = _at_least(max(3, int(number)), self.select(members))
        across = side in ("left", "right")
        places = sorted((p.cx, p.cy) if across else (p.cy, p.cx) for p in regions)
        (u1, v1), (un, vn) = places[0], places[-1]
        steps = [b[0] - a[0] for a, b in pairwise(places)]
        g = min(steps)
        _require([g >= self.unit, max(steps) <= 2 * g, abs(vn - v1) <= un - u1])
        _require(
            6 * abs((v - v1) * (un - u1) - (u - u1) * (vn - v1)) <= g * (un - u1) for u, v in places
        )
        return self.rank(number, side, members)

    def nearest(self, members: Sequence[Any], to: Sequence[Any]) -> Regions:
        (d, first), (e, _), *_ = self.by_distance(members, to)
        _require([e - d >= self.unit, 4 * e >= 5 * d])
        return [first]

    def farthest(self, members: Sequence[Any], to: Sequence[Any]) -> Regions:
        *_, (e, _), (d, last) = self.by_distance(members, to)
        _require([d - e >= self.unit, 4 * d >= 5 * e])
        return [last]

    def by_distance(self, members: Sequence[Any], to: Sequence[Any]) -> list[tuple[int, _Region]]:
        regions, anchor = self.select(members), self.single(to)
        ranked = [(p.distance(anchor), p) for p in regions if p is not anchor]
        if len(ranked) < 2:
            raise NoSelection("none")
        return sorted(ranked, key=lambda pair: pair[0])

    def test(self, expression: Sequence[Any]) -> Callable[[_Region], Truth]:
        """A test as a function; the selections that it names are evaluated here, once."""
        operator, *arguments = expression
        if operator == "not":
            inner = self.test(arguments[0])
            return lambda p: None if inner(p) is None else not inner(p)
        if operator in _WORDS:
            return lambda p: _WORDS[operator](self, p, arguments[0])
        if operator == "between":
            q, r = self.single(arguments[0]), self.single(arguments[1])
            if q is r:
                raise NoSelection("none")
            return lambda p: False if p in (q, r) else _between(p, q, r)
        if operator in _TURNS:
            anchor = self.single(arguments[0])
            return lambda p: False if p is anchor else self.direction(p, anchor, operator)
        anchors, relation = self.select(arguments[0]), _RELATIONS[operator]
        return lambda p: _any(relation(self, p, q) for q in anchors if q is not p)

    def touches_edge(self, p: _Region) -> bool:
        return p.x0 == 0 or p.y0 == 0 or p.x1 == self.width or p.y1 == self.height

    def is_beside(self, p: _Region, q: _Region) -> Truth:
        close = int((p.tree.query(q.outline)[0] <= 3 + 1e-9).sum())
        return True if close >= 8 else False if p.distance(q) >= self.unit else None

    def is_near(self, p: _Region, q: _Region) -> Truth:
        d = p.distance(q)
        return True if d <= self.unit else False if d >= 3 * self.unit else None

    def is_inside(self, p: _Region, q: _Region) -> Truth:
        ring, shared = int(p.ring.sum()), int((p.ring & q.mask).sum())
        if not self.touches_edge(p) and 10 * shared >= 8 * ring:
            return True
        return False if 10 * shared <= 4 * ring else None

    def is_around(self, p: _Region, q: _Region) -> Truth:
        return self.is_inside(q, p)

    def at_edge(self, p: _Region, side: str) -> Truth:
        gaps = {
            "left": p.x0, "top": p.y0, "right": self.width - p.x1, "bottom": self.height - p.y1
        }  # fmt: skip
        return True if gaps[side] == 0 else False if 100 * gaps[side] >= self.unit else None

    def place(self, p: _Region, place: str) -> Truth:
        if place == "centre":
            return _and(
                _central(p.cx, p.x0, p.x1, self.width), _central(p.cy, p.y0, p.y1, self.height)
            )
        vertical, _, horizontal = place.partition("-")
        if horizontal:
            row = {"upper": "top", "lower": "bottom"}[vertical]
            return _and(self.place(p, row), self.place(p, horizontal))
        return {
            "left": lambda: _low(p.cx, p.x1, self.width),
            "right": lambda: _low(100 * self.width - p.cx, self.width - p.x0, self.width),
            "top": lambda: _low(p.cy, p.y1, self.height),
            "bottom": lambda: _low(100 * self.height - p.cy, self.height - p.y0, self.height),
        }[place]()

    def direction(self, p: _Region, q: _Region, operator: str) -> Truth:
        side, sign = _TURNS[operator]
        across = "top" if side == "left" else "left"
        (cp, p0, p1), (cq, q0, q1) = p.along(side), q.along(side)
        (bp, _, _), (bq, low, high) = p.along(across), q.along(across)
        a, b = sign * (cq - cp), abs(bq - bp)
        overlap = p1 - q0 if sign > 0 else q1 - p0
        level = 100 * low <= bp <= 100 * high
        if a >= 2 * self.unit and 100 * overlap <= self.unit and (level or b <= a):
            return True
        return False if a <= 0 or (b >= 2 * a and not level) else None

    def colour(self, p: _Region, name: str) -> Truth:
        pixels = self.patch.pixels[p.mask].astype(np.int64)
        red, green, blue = pixels.T
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        fitting = {
            "white": (low >= 180) & (high - low <= 40),
            "dark": high <= 70,
            "red": (red >= 100) & (10 * red >= 14 * np.maximum(green, blue)),
            "blue": (blue >= 90) & (10 * blue >= 13 * red) & (10 * blue >= 11 * green),
        }
        count = int(fitting[name].sum())
        return True if 5 * count >= 3 * p.n else False if 5 * count <= p.n else None

    def running(self, p: _Region, course: str) -> Truth:
        sx, sy = int(p.x.sum()), int(p.y.sum())
        a = p.n * int((p.x * p.x).sum()) - sx * sx
        c = p.n * int((p.y * p.y).sum()) - sy * sy
        b = p.n * int((p.x * p.y).sum()) - sx * sy
        spread, area = (a + c) ** 2, a * c - b * b
        long = True if 9 * spread >= 100 * area else False if 4 * spread <= 25 * area else None
        lead = {"across": a - c, "down": c - a}[course]
        straight = True if lead >= 3 * abs(b) else False if lead <= 2 * abs(b) else None
        return _and(long, straight)


_SELECTIONS: dict[str, Callable[..., Regions]] = {
    "category": _Scene.category,
    "filter": _Scene.filter,
    "only": _Scene.only,
    "largest": _Scene.largest,
    "smallest": _Scene.smallest,
    "rank": _Scene.rank,
    "in-row": _Scene.in_row,
    "nearest": _Scene.nearest,
    "farthest": _Scene.farthest,
}
_WORDS: dict[str, Callable[[_Scene, _Region, str], Truth]] = {
    "in": _Scene.place,
    "at-edge": _Scene.at_edge,
    "colour": _Scene.colour,
    "running": _Scene.running,
}
_RELATIONS: dict[str, Callable[[_Scene, _Region, _Region], Truth]] = {
    "beside": _Scene.is_beside,
    "near": _Scene.is_near,
    "inside": _Scene.is_inside,
    "around": _Scene.is_around,
}
_TURNS = {
    "left-of": ("left", 1),
    "right-of": ("left", -1),
    "above": ("top", 1),
    "below": ("top", -1),
}


def _smallest_px(category: int) -> int:
    """Pixels of the smallest region that is seen."""
    return 16 if taxonomy()[category].kind == "thing" else 64


def _answers(actual: int, queried: int) -> bool:
    return any(same_or_near(queried, lineal) for lineal in (actual, *ancestors(actual)))


def _at_least(count: int, regions: Regions) -> Regions:
    if len(regions) < count:
        raise NoSelection("none")
    return regions


def _require(conditions: Iterable[bool]) -> None:
    if not all(conditions):
        raise NoSelection("margin")


def _and(a: Truth, b: Truth) -> Truth:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _any(truths: Iterable[Truth]) -> Truth:
    values = list(truths)
    return True if True in values else None if None in values else False


def _low(centre: int, end: int, length: int) -> Truth:
    if 5 * centre <= 200 * length and 10 * end <= 7 * length:
        return True
    return False if 2 * centre >= 100 * length else None


def _central(centre: int, start: int, end: int, length: int) -> Truth:
    off = abs(2 * centre - 100 * length)
    if 4 * off <= 100 * length and 8 * start >= length and 8 * end <= 7 * length:
        return True
    return False if 2 * off >= 100 * length else None


def _between(p: _Region, q: _Region, r: _Region) -> Truth:
    dx, dy, ex, ey = r.cx - q.cx, r.cy - q.cy, p.cx - q.cx, p.cy - q.cy
    length, s, t = dx * dx + dy * dy, dx * ex + dy * ey, abs(ex * dy - ey * dx)
    if length <= 4 * s <= 3 * length and 6 * t <= length:
        return True
    return False if s <= 0 or s >= length or 2 * t >= length else None
