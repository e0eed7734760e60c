"""The taxonomy: categories with their names, features, and questions that do not name them.

The 117 categories of the paper (section 2) have its ids and names; ids from 201 are our own, for
what public datasets label beyond them.

The entries are data, in JSON files beside this one: `land` (cover and use of the ground), `objects`
(what can be counted), `own` (our additions). The questions that mean a category stand in
`questions.json`, by category id.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from unigeoseg.data.taxonomy.wording import find_leak, normal_form
from unigeoseg.errors import DataError
from unigeoseg.runtime.records import record_from

_THEMES = ("land", "objects", "own")
_QUESTIONS = "questions"

T = TypeVar("T")

Kind = Literal["thing", "stuff"]
Origin = Literal["paper", "own"]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Words kept from every generator, to test later what was never read.

    Attributes:
        names: Two more ways to name the category.
        questions: One more reasoning question.

    Raises:
        ValueError: A text is empty, not ASCII, or comes twice.
    """

    names: tuple[str, ...]
    questions: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the texts."""
        _check_texts({"names": self.names, "questions": self.questions})


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """An entry of `questions.json`: what asks for one category without naming it.

    Attributes:
        name: The category's name, for readers of the file; it must be that of the entry.
        questions: Reasoning questions and phrases.
        held_out: Questions that no generator may use.
    """

    name: str
    questions: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """One category of the taxonomy.

    Attributes:
        id: 1 to 117 as in the paper; our own from 201.
        name: The paper's name, as it is spelled there.
        label: The common name, lower case but for proper names.
        origin: "paper" or "own".
        kind: "thing" if single objects can be counted, else "stuff".
        target: Whether one may ask for it; not the background, not what hides the ground.
        parent: Id of the broader category, or None.
        near_duplicates: Ids that mean the same or nearly; symmetric.
        size_m: Typical smallest and largest extent of one object or parcel, in metres.
        neighbours: Ids of what it usually lies next to.
        singular: Ways to name one, or one area of it.
        plural: Ways to name all of it.
        synonyms: Its class names in public datasets.
        functions: Phrases that complete "a place (or thing) that ...".
        properties: Features that can be seen or measured.
        questions: Reasoning questions and phrases that mean it and do not name it.
        held_out: Words that no generator may use.
        reason: Completes "the reason is that ..." in an answer.

    Raises:
        ValueError: An id is not positive, a text is empty or not ASCII, an item of a list comes
            twice, or the extent is not 0 < smallest < largest.
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
    neighbours: tuple[int, ...]
    singular: tuple[str, ...]
    plural: tuple[str, ...]
    synonyms: tuple[str, ...]
    functions: tuple[str, ...]
    properties: tuple[str, ...]
    questions: tuple[str, ...]
    held_out: HeldOut
    reason: str

    def __post_init__(self) -> None:
        """Check the values, beyond the types of the fields."""
        parent = () if self.parent is None else (self.parent,)
        ids = {
            "id": (self.id,),
            "parent": parent,
            "near_duplicates": self.near_duplicates,
            "neighbours": self.neighbours,
        }
        _check_items(ids, lambda number: number > 0, "different whole numbers above 0")
        smallest, largest = self.size_m
        if not 0 < smallest < largest < math.inf:
            raise ValueError(f"size_m is {self.size_m}; expected metres, 0 < smallest < largest")
        _check_texts(
            {
                "name": (self.name,),
                "label": (self.label,),
                "singular": self.singular,
                "plural": self.plural,
                "synonyms": self.synonyms,
                "functions": self.functions,
                "properties": self.properties,
                "questions": self.questions,
                "reason": (self.reason,),
            }
        )

    @property
    def usable_names(self) -> tuple[str, ...]:
        """Every way to name it that a generator may use."""
        return (self.name, self.label, *self.singular, *self.plural)


@cache
def taxonomy() -> Mapping[int, Category]:
    """All categories by id, read once from the package.

    Raises:
        DataError: An entry breaks the rules of `parse_categories`.
    """
    entries = [entry for theme in _THEMES for entry in _packaged_json(theme)]
    return parse_categories(entries, _packaged_json(_QUESTIONS))


def _packaged_json(name: str) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads((files("unigeoseg.data.taxonomy") / f"{name}.json").read_text("utf-8"))


def parse_categories(
    entries: Iterable[Mapping[str, Any]], questions: Mapping[str, Any]
) -> Mapping[int, Category]:
    """Categories from JSON values, checked one by one and together.

    Args:
        entries: An entry per category: the fields of `Category` without its questions.
        questions: A `QuestionSet` by category id.

    Raises:
        DataError: A field is missing, unknown or of the wrong type, an id comes twice or points
            nowhere, questions are of no category, near-duplicates are not mutual, parents run in a
            circle, or a name means two categories. The message names the entry.
    """
    categories: dict[int, Category] = {}
    for entry in entries:
        category = _parse_category(entry, questions)
        if category.id in categories:
            raise _fault(category, f"the id is that of {categories[category.id].name!r} too")
        categories[category.id] = category
    unused = sorted(questions.keys() - set(map(str, categories)))
    if unused:
        raise DataError(f"taxonomy questions of {unused[0]}: there is no such category")
    for category in categories.values():
        _check_links(category, categories)
    _index_names(categories)
    return MappingProxyType(dict(sorted(categories.items())))


def category_by_name(name: str) -> Category | None:
    """The category that a class name means, in any spelling; None if nothing is known by it.

    What stands in parentheses counts only if the whole name is known with it. Where
    near-duplicates share a name ("Airport" is 45 and 80), it means the one with the higher id.
    """
    index = _ids_by_name()
    category_id = index.get(normal_form(name), index.get(normal_form(name.split("(")[0])))
    return None if category_id is None else taxonomy()[category_id]


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
    as whole phrases. How words are compared: `wording.find_leak`.
    """
    categories = taxonomy()
    near = [categories[category_id] for category_id in category.near_duplicates]
    broader = [categories[category.parent]] if category.parent is not None else []
    relatives = (category, *near, *broader)
    return find_leak(
        text,
        names=[
            name for relative in relatives for name in (*relative.usable_names, *relative.synonyms)
        ],
        phrases=[name for relative in relatives for name in relative.held_out.names],
    )


@cache
def _ids_by_name() -> Mapping[str, int]:
    return _index_names(taxonomy())


def _index_names(categories: Mapping[int, Category]) -> dict[str, int]:
    """Normal form of each name to the id it means; a synonym outranks a shared name."""
    claims: dict[str, list[tuple[bool, int]]] = {}
    for category in categories.values():
        synonyms = {normal_form(name) for name in category.synonyms}
        for form in synonyms | {normal_form(name) for name in category.usable_names}:
            claims.setdefault(form, []).append((form in synonyms, category.id))
    for form, claimants in claims.items():
        for (a_synonym, a), (b_synonym, b) in combinations(claimants, 2):
            if (a_synonym and b_synonym) or b not in categories[a].near_duplicates:
                raise _fault(categories[b], f"{form!r} names category {a} too; keep one of them")
    return {form: max(claimants)[1] for form, claimants in claims.items()}


def _check_links(category: Category, categories: Mapping[int, Category]) -> None:
    parent = () if category.parent is None else (category.parent,)
    for linked in (*parent, *category.near_duplicates, *category.neighbours):
        if linked not in categories or linked == category.id:
            raise _fault(category, f"it points to {linked}; expected the id of another category")
    for near in category.near_duplicates:
        if category.id not in categories[near].near_duplicates:
            raise _fault(category, f"{near} is near to it; {near} must list {category.id} too")
    _ancestors(category, categories)


def _ancestors(category: Category, categories: Mapping[int, Category]) -> tuple[int, ...]:
    lineage: list[int] = []
    parent = category.parent
    while parent is not None and parent in categories:
        if parent in (category.id, *lineage):
            raise _fault(category, f"its parents run in a circle: {[*lineage, parent]}")
        lineage.append(parent)
        parent = categories[parent].parent
    return tuple(lineage)


def _parse_category(entry: Mapping[str, Any], questions: Mapping[str, Any]) -> Category:
    """A category from its entry and its questions."""
    title = f"{entry.get('id')} ({entry.get('name')})"
    if str(entry.get("id")) not in questions:
        raise DataError(f"taxonomy entry {title}: {_QUESTIONS}.json has no questions of it")
    asking = record_from(QuestionSet, questions[str(entry["id"])], f"taxonomy questions of {title}")
    if asking.name != entry.get("name"):
        raise DataError(f"taxonomy questions of {title}: they are those of {asking.name!r}")
    values: dict[str, Any] = {**entry, "questions": asking.questions}
    if isinstance(entry.get("held_out"), dict):
        values["held_out"] = {**entry["held_out"], "questions": asking.held_out}
    return record_from(Category, values, f"taxonomy entry {title}")


def _fault(category: Category, problem: str) -> DataError:
    return DataError(f"taxonomy entry {category.id} ({category.name}): {problem}")


def _check_texts(fields: Mapping[str, tuple[str, ...]]) -> None:
    _check_items(
        fields, lambda text: text.isascii() and bool(normal_form(text)), "different texts in ASCII"
    )


def _check_items(
    fields: Mapping[str, tuple[T, ...]], valid: Callable[[T], bool], expected: str
) -> None:
    """Check that the items of each field are valid, and that none comes twice.

    Raises:
        ValueError: If not; the message names the field.
    """
    for name, items in fields.items():
        if not all(map(valid, items)) or len(set(items)) < len(items):
            raise ValueError(f"{name} is {items!r}; expected {expected}")
