"""Instructions for a view: who is meant, and how one would say it.

Each family draws a target, says it, and returns the mask that the words select. Referring
expressions are checked against the other regions with a margin, so that a person would pick the
same target; what is not clear is not said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from unigeoseg.data.lexicon import LEXICON
from unigeoseg.data.regions import Region, View
from unigeoseg.prompt import Box, Point, Prompt, Task

# categories that a set never shows, so that asking for them has a certain answer: nothing
_NEVER = {
    "hot_fair_buildings": ("airplane", "ship", "storage tank", "harbor", "oil spill", "landslide"),
    "dubai_mbrsc": ("airplane", "baseball diamond", "oil spill", "landslide"),
    "epfl_roads": ("airplane", "ship", "harbor", "oil spill", "landslide", "storage tank"),
    "agoro_fields": ("airplane", "ship", "harbor", "storage tank", "tennis court", "oil spill"),
    "gsi_solar": ("airplane", "ship", "harbor", "oil spill", "baseball diamond"),
    "bijie_landslide": ("airplane", "ship", "harbor", "oil spill", "tennis court", "storage tank"),
    "water_s2l8_128": ("airplane", "tennis court", "baseball diamond", "oil spill"),
    "hrsid_sar_ship": ("airplane", "tennis court", "baseball diamond", "solar panel"),
    "sar_oil_spill": ("airplane", "tennis court", "baseball diamond", "solar panel"),
}

_SIDES = {
    "left": lambda x, y: 1 - x,
    "right": lambda x, y: x,
    "top": lambda x, y: 1 - y,
    "bottom": lambda x, y: y,
}
_MARGIN = 0.06  # of the view's side: closer centres are not told apart by position
_RATIO = 1.3  # areas closer than this are not told apart by size
_SAYABLE = 150  # pixels: smaller objects are not described


@dataclass(frozen=True)
class Instruction:
    """A prompt in the view's pixels and the mask that it selects.

    Attributes:
        family: box, point, category, referring, attribute or absent.
        prompt: What is asked.
        mask: (S, S) bool; empty if nothing is meant.
        category: Category of the target.
    """

    family: str
    prompt: Prompt
    mask: np.ndarray
    category: str

    @property
    def answer(self) -> str:
        """The reply to a question (paper section 1), without a reason; "" to other tasks."""
        if self.prompt.task is not Task.REASONING:
            return ""
        if self.family == "absent":
            return "There is no such region in the image"
        return f"The target region belongs to {self.category}"


Generator = np.random.Generator
T = TypeVar("T")


def box(view: View, rng: Generator) -> Instruction | None:
    """A box round one object, drawn by a hand that is up to 6 % off half the time."""
    target = _any_object(view, rng)
    if target is None:
        return None
    edges = np.array(target.box, float)
    if rng.random() < 0.5:
        size = edges[2:] - edges[:2]
        edges += rng.uniform(-0.06, 0.06, 4) * np.tile(size, 2)
    height, width = view.regions.shape
    drawn = Box(*np.clip(edges, 0, (width, height, width, height)).tolist())
    return Instruction("box", Prompt.from_box(drawn), target.mask, target.category)


def point(view: View, rng: Generator) -> Instruction | None:
    """One to three clicks on one object (60/20/20 %), sometimes one click beside it."""
    target = _any_object(view, rng)
    if target is None:
        return None
    count = 1 if target.area < 200 else int(rng.choice([1, 2, 3], p=[0.6, 0.2, 0.2]))
    clicks = _clicks(target.mask, count, rng)
    if rng.random() < 0.15:
        clicks += _clicks(~target.mask & view.valid, 1, rng, positive=False)
    return Instruction("point", Prompt.from_points(clicks), target.mask, target.category)


def category(view: View, rng: Generator) -> Instruction | None:
    """All of one category, by one of its names."""
    name = _any_category(view, rng)
    if name is None:
        return None
    text = _dress(_pick(LEXICON[name].plural, rng), rng)
    return Instruction("category", _say(text), view.category_mask(name), name)


def attribute(view: View, rng: Generator) -> Instruction | None:
    """All of one category, by a question about its function or property."""
    name = _any_category(view, rng)
    if name is None:
        return None
    text = _pick(LEXICON[name].questions, rng)
    prompt = Prompt.from_text(text, Task.REASONING)
    return Instruction("attribute", prompt, view.category_mask(name), name)


def absent(view: View, rng: Generator) -> Instruction | None:
    """Something that is certainly not in the view."""
    missing = sorted((view.labelled | set(_NEVER.get(view.source, ()))) - set(view.present))
    if not missing or not view.valid.all():
        return None
    name = _pick(missing, rng)
    nothing = np.zeros(view.regions.shape, bool)
    if rng.random() < 0.3:
        prompt = Prompt.from_text(_pick(LEXICON[name].questions, rng), Task.REASONING)
    else:
        prompt = _say(_dress(_pick(LEXICON[name].plural, rng), rng))
    return Instruction("absent", prompt, nothing, name)


def referring(view: View, rng: Generator) -> Instruction | None:
    """One object, or those in one half, by size, rank, place or relation."""
    names = [name for name in view.present if LEXICON[name].thing] or list(view.present)
    if not names:
        return None
    name = _pick(names, rng)
    objects = view.objects(name, min_area=_SAYABLE)
    if not objects or len(objects) > 30:
        return None
    ways = [_by_size, _by_side, _by_place, _by_half, _by_rank, _by_neighbour]
    for index in rng.permutation(len(ways)):
        said = ways[index](view, objects, rng)
        if said:
            text, mask = said
            return Instruction("referring", _say(text), mask, name)
    return None


FAMILIES: dict[str, Callable[[View, Generator], Instruction | None]] = {
    "box": box,
    "point": point,
    "category": category,
    "referring": referring,
    "attribute": attribute,
    "absent": absent,
}

Said = tuple[str, np.ndarray] | None


def _by_size(view: View, objects: list[Region], rng: Generator) -> Said:
    if len(objects) < 2:
        return None
    ranked = sorted(objects, key=lambda item: item.area)
    if rng.random() < 0.65:
        target, other, word = ranked[-1], ranked[-2], _pick(("largest", "biggest"), rng)
        clear = target.area > _RATIO * other.area
    else:
        target, other, word = ranked[0], ranked[1], "smallest"
        clear = target.area * _RATIO < other.area and not _cut(target)
    noun = _one(target, rng)
    return (f"the {word} {noun}", target.mask) if clear else None


def _by_side(view: View, objects: list[Region], rng: Generator) -> Said:
    if len(objects) < 2:
        return None
    side = _pick(list(_SIDES), rng)
    ranked = sorted(objects, key=lambda item: _SIDES[side](*item.centre))
    if _SIDES[side](*ranked[-1].centre) - _SIDES[side](*ranked[-2].centre) < _MARGIN:
        return None
    noun = _one(ranked[-1], rng)
    word = {"top": "topmost", "bottom": "bottommost"}.get(side, f"{side}most")
    said = (
        f"the {word} {noun}",
        f"the {noun} farthest to the {side}",
        f"the {noun} nearest the {side} edge",
    )
    return _pick(said, rng), ranked[-1].mask


def _by_place(view: View, objects: list[Region], rng: Generator) -> Said:
    target = objects[int(rng.integers(len(objects)))]
    place, inside = _place(target.centre)
    if place is None or any(inside(*item.centre) for item in objects if item is not target):
        return None
    noun = _one(target, rng)
    said = (
        f"the {noun} {place}",
        f"the {noun} {place} of the image",
        f"the {noun} {place} of the scene",
    )
    return _pick(said, rng), target.mask


def _place(
    centre: tuple[float, float],
) -> tuple[str | None, Callable[[float, float], bool]]:
    """Words for a place in the view, and whether another centre would fit them too."""
    x, y = centre
    column = "left" if x < 0.4 else "right" if x > 0.6 else ""
    row = "upper" if y < 0.4 else "lower" if y > 0.6 else ""
    if row and column:
        return (
            f"in the {row} {column}",
            lambda a, b: _near(a, x) < 0.5 and _near(b, y) < 0.5 and _same(a, x) and _same(b, y),
        )
    if row:
        return ("at the top" if row == "upper" else "at the bottom"), lambda a, b: _same(b, y)
    if column:
        return f"on the {column} side", lambda a, b: _same(a, x)
    if abs(x - 0.5) < 0.1 and abs(y - 0.5) < 0.1:
        return "in the middle", lambda a, b: abs(a - 0.5) < 0.22 and abs(b - 0.5) < 0.22
    return None, lambda a, b: True


def _near(a: float, b: float) -> float:
    return abs(a - b)


def _same(a: float, b: float) -> bool:
    """Whether two coordinates lie in the same half, with a margin."""
    return a < 0.5 + _MARGIN if b < 0.5 else a > 0.5 - _MARGIN


def _by_half(view: View, objects: list[Region], rng: Generator) -> Said:
    """All objects in one half, if none straddles the middle."""
    axis = int(rng.integers(2))
    low = bool(rng.random() < 0.5)
    places = [item.centre[axis] for item in objects]
    inside = [item for item, place in zip(objects, places, strict=True) if (place < 0.5) == low]
    straddles = any(abs(place - 0.5) < _MARGIN for place in places)
    if straddles or not inside or len(inside) == len(objects):
        return None
    half = ("left" if low else "right") if axis == 0 else ("upper" if low else "lower")
    noun = _pick(LEXICON[objects[0].category].plural, rng)
    mask = np.logical_or.reduce([item.mask for item in inside])
    return f"the {noun} in the {half} half", mask


def _by_rank(view: View, objects: list[Region], rng: Generator) -> Said:
    """The second or third from one side, among at most six in clear order."""
    if not 3 <= len(objects) <= 6:
        return None
    side = _pick(list(_SIDES), rng)
    ranked = sorted(objects, key=lambda item: -_SIDES[side](*item.centre))
    places = [_SIDES[side](*item.centre) for item in ranked]
    if min(a - b for a, b in pairwise(places)) < _MARGIN / 2:
        return None
    rank = int(rng.integers(1, min(3, len(ranked))))
    word = ("first", "second", "third")[rank]
    return f"the {word} {_one(ranked[rank], rng)} from the {side}", ranked[rank].mask


def _by_neighbour(view: View, objects: list[Region], rng: Generator) -> Said:
    """The one closest to the only visible object of another category."""
    if len(objects) < 2:
        return None
    others = [name for name in view.present if name != objects[0].category]
    for name in rng.permutation(others).tolist() if others else []:
        anchors = view.objects(name)
        if len(anchors) != 1 or anchors[0].area > view.regions.size // 3:
            continue
        ranked = sorted(objects, key=lambda item: _distance(item, anchors[0]))
        if _distance(ranked[1], anchors[0]) - _distance(ranked[0], anchors[0]) < _MARGIN:
            return None
        word = _pick(("closest to", "nearest to", "next to"), rng)
        return f"the {_one(ranked[0], rng)} {word} the {_one(anchors[0], rng)}", ranked[0].mask
    return None


def _distance(one: Region, other: Region) -> float:
    return float(np.hypot(one.centre[0] - other.centre[0], one.centre[1] - other.centre[1]))


def _cut(target: Region) -> bool:
    """Whether the view's edge may have cut the object."""
    x0, y0, x1, y1 = target.box
    height, width = target.mask.shape
    return x0 == 0 or y0 == 0 or x1 == width or y1 == height


def _any_object(view: View, rng: Generator) -> Region | None:
    names = list(view.present)
    if not names:
        return None
    objects = view.objects(_pick(names, rng))
    return objects[int(rng.integers(len(objects)))] if objects else None


def _any_category(view: View, rng: Generator) -> str | None:
    names = [name for name in view.present if view.category_mask(name).sum() >= 40]
    return _pick(names, rng) if names else None


def _clicks(mask: np.ndarray, count: int, rng: Generator, *, positive: bool = True) -> list[Point]:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return []
    chosen = rng.integers(len(rows), size=count)
    return [Point(float(columns[i]) + 0.5, float(rows[i]) + 0.5, positive) for i in chosen]


def _one(target: Region, rng: Generator) -> str:
    return _pick(LEXICON[target.category].singular, rng)


def _say(text: str) -> Prompt:
    return Prompt.from_text(text, Task.REFERRING)


def _dress(noun: str, rng: Generator) -> str:
    """The ways people ask for all of something."""
    return _pick(
        ("{}", "the {}", "the {}", "all {}", "all the {}", "segment the {}", "find {}"), rng
    ).format(noun)


def _pick(options: Sequence[T], rng: Generator) -> T:
    return options[int(rng.integers(len(options)))]
