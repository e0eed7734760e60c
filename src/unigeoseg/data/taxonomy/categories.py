"""The categories: what each is called, how it is recognised, and how it is asked for unnamed.

The 117 categories of the paper (section 2) have its ids and names; ids from 201 are our own, for
what public datasets label beyond them. The entries are data, in `*.json` beside this
file: `land` (cover and use of the ground), `objects` (what can be counted), `own` (our additions).
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations
from types import MappingProxyType
from typing import Any, Literal

from unigeoseg.data.taxonomy.wording import find_leak, normal_form
from unigeoseg.errors import DataError

_THEMES = ("land", "objects", "own")

Kind = Literal["thing", "stuff"]
Origin = Literal["paper", "own"]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Words kept from every generator, to test later what was never read.

    Attributes:
        names: Two more ways to name the category.
        questions: One more reasoning question.
    """

    names: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """What is known of one category.

    Attributes:
        id: 1 to 117 as in the paper; our own from 201.
        name: The paper's name, as it is spelled there.
        label: How a person says it, lower case but for proper names.
        origin: "paper" or "own".
        kind: "thing" if single objects can be counted, else "stuff".
        target: Whether one may ask for it; not the background, not what hides the ground.
        parent: Id of the broader category, or None.
        near_duplicates: Ids that mean the same or nearly; symmetric.
        size_m: Typical smallest and largest extent of one object or parcel, in metres.
        beside: Ids of what it usually lies next to.
        singular: Ways to name one, or one area of it.
        plural: Ways to name all of it.
        synonyms: Its class names in public datasets.
        functions: Phrases that complete "a place (or thing) that ...".
        properties: What can be seen or measured.
        questions: Reasoning questions and phrases that mean it and do not name it.
        held_out: Words that no generator may use.
        reason: Completes "the reason is that ..." in an answer.
    """

    id: int
    name: str
    label: str
    origin: Origin
    kind: Kind
    target: bool
    parent: int | None
    near_duplicates: tuple[int, ...]
    size_m: tuple[float, float]
    beside: tuple[int, ...]
    singular: tuple[str, ...]
    plural: tuple[str, ...]
    synonyms: tuple[str, ...]
    functions: tuple[str, ...]
    properties: tuple[str, ...]
    questions: tuple[str, ...]
    held_out: HeldOut
    reason: str

    @property
    def ways(self) -> tuple[str, ...]:
        """Every way to name it that a generator may use."""
        return (self.name, self.label, *self.singular, *self.plural)


@cache
def taxonomy() -> Mapping[int, Category]:
    """All categories by id, read once from the package.

    Raises:
        DataError: An entry breaks the rules of `parse`.
    """
    folder = files("unigeoseg.data.taxonomy")
    texts = [(folder / f"{theme}.json").read_text("utf-8") for theme in _THEMES]
    return parse_categories(entry for text in texts for entry in json.loads(text))


def parse_categories(entries: Iterable[Mapping[str, Any]]) -> Mapping[int, Category]:
    """Categories from the JSON values of their entries, checked one by one and together.

    Raises:
        DataError: A field is missing, unknown or of the wrong type, an id comes twice or points
            nowhere, near-duplicates are not mutual, parents run in a circle, or a name means two
            categories. The message names the entry.
    """
    categories: dict[int, Category] = {}
    for entry in entries:
        category = _category(entry)
        if category.id in categories:
            raise _broken(category, f"the id is that of {categories[category.id].name!r} too")
        categories[category.id] = category
    for category in categories.values():
        _check_links(category, categories)
    _index(categories)
    return MappingProxyType(dict(sorted(categories.items())))


def category_by_name(name: str) -> Category | None:
    """The category that a class name means, in any spelling; None if nothing is known by it.

    What stands in parentheses counts only if the whole name is known with it. Where
    near-duplicates share a name ("Airport" is 45 and 80), it means the one with the higher id.
    """
    index = _names()
    found = index.get(normal_form(name), index.get(normal_form(name.split("(")[0])))
    return None if found is None else taxonomy()[found]


def ancestors(category_id: int) -> tuple[int, ...]:
    """Ids of the broader categories, nearest first.

    Raises:
        KeyError: There is no such id.
    """
    return _ancestors(taxonomy()[category_id], taxonomy())


def same_or_near(a: int, b: int) -> bool:
    """Whether two ids mean the same or nearly the same.

    Raises:
        KeyError: There is no such id.
    """
    return taxonomy()[a].id == taxonomy()[b].id or b in taxonomy()[a].near_duplicates


def leaked_word(text: str, category: Category) -> str | None:
    """The word or phrase by which a text gives its category away, or None.

    The names of near-duplicates and of the parent count as the category's own; those held out count
    as whole phrases. How words are compared: `wording.said_in`.
    """
    known = taxonomy()
    near = [known[other] for other in category.near_duplicates]
    broader = [known[category.parent]] if category.parent is not None else []
    named = (category, *near, *broader)
    return find_leak(
        text,
        names=[name for one in named for name in (*one.ways, *one.synonyms)],
        phrases=[name for one in named for name in one.held_out.names],
    )


@cache
def _names() -> Mapping[str, int]:
    return _index(taxonomy())


def _index(categories: Mapping[int, Category]) -> dict[str, int]:
    """Normal form of each name to the id it means; a synonym outranks a shared name."""
    owners: dict[str, list[tuple[bool, int]]] = {}
    for category in categories.values():
        synonyms = {normal_form(name) for name in category.synonyms}
        for form in synonyms | {normal_form(name) for name in category.ways}:
            owners.setdefault(form, []).append((form in synonyms, category.id))
    for form, claims in owners.items():
        for (synonym, a), (other, b) in combinations(claims, 2):
            if (synonym and other) or b not in categories[a].near_duplicates:
                raise _broken(categories[b], f"{form!r} names category {a} too; keep one of them")
    return {form: max(claims)[1] for form, claims in owners.items()}


def _check_links(category: Category, categories: Mapping[int, Category]) -> None:
    parent = () if category.parent is None else (category.parent,)
    for other in (*parent, *category.near_duplicates, *category.beside):
        if other not in categories or other == category.id:
            raise _broken(category, f"it points to {other}; expected the id of another category")
    for other in category.near_duplicates:
        if category.id not in categories[other].near_duplicates:
            raise _broken(category, f"{other} is near to it; {other} must list {category.id} too")
    _ancestors(category, categories)


def _ancestors(category: Category, categories: Mapping[int, Category]) -> tuple[int, ...]:
    found: list[int] = []
    parent = category.parent
    while parent is not None and parent in categories:
        if parent in (category.id, *found):
            raise _broken(category, f"its parents run in a circle: {[*found, parent]}")
        found.append(parent)
        parent = categories[parent].parent
    return tuple(found)


def _category(entry: Mapping[str, Any]) -> Category:
    held_out = entry.get("held_out")
    flat = {key: value for key, value in entry.items() if key != "held_out"}
    if isinstance(held_out, dict):
        flat |= {f"held_out.{key}": value for key, value in held_out.items()}
    odd = sorted(flat.keys() ^ _RULES.keys())
    if odd:
        raise _broken(
            entry, f"the field {odd[0]!r} is {'unknown' if odd[0] in flat else 'missing'}"
        )
    for key, (valid, expected) in _RULES.items():
        if not valid(flat[key]):
            raise _broken(entry, f"{key} is {flat[key]!r}; expected {expected}")
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in flat.items()
    }
    kept = HeldOut(values.pop("held_out.names"), values.pop("held_out.questions"))
    return Category(**values, held_out=kept)


def _broken(entry: Category | Mapping[str, Any], what: str) -> DataError:
    known = entry if isinstance(entry, Mapping) else {"id": entry.id, "name": entry.name}
    return DataError(f"taxonomy entry {known.get('id')} ({known.get('name')}): {what}")


def _is_id(value: object) -> bool:
    return type(value) is int and value > 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and bool(normal_form(value))


def _list_of(valid: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, list) and all(map(valid, value)) and len(set(value)) == len(value)
    )


def _is_extent(value: object) -> bool:
    if not isinstance(value, list) or [type(edge) in (int, float) for edge in value] != [True] * 2:
        return False
    return bool(0 < value[0] < value[1] < math.inf)


_TEXT = (_is_text, "a text in ASCII")
_TEXTS = (_list_of(_is_text), "a list of different texts in ASCII")
_IDS = (_list_of(_is_id), "a list of different ids")
_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "id": (_is_id, "a whole number above 0"),
    "name": _TEXT,
    "label": _TEXT,
    "origin": (lambda value: value in ("paper", "own"), "paper or own"),
    "kind": (lambda value: value in ("thing", "stuff"), "thing or stuff"),
    "target": (lambda value: isinstance(value, bool), "true or false"),
    "parent": (lambda value: value is None or _is_id(value), "an id or null"),
    "near_duplicates": _IDS,
    "size_m": (_is_extent, "two numbers of metres, 0 < smallest < largest"),
    "beside": _IDS,
    "singular": _TEXTS,
    "plural": _TEXTS,
    "synonyms": _TEXTS,
    "functions": _TEXTS,
    "properties": _TEXTS,
    "questions": _TEXTS,
    "held_out.names": _TEXTS,
    "held_out.questions": _TEXTS,
    "reason": _TEXT,
}
