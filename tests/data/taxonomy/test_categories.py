"""The taxonomy: the paper's categories, and rules that every entry keeps."""

import hashlib
import json
from importlib.resources import files
from itertools import combinations
from typing import Any

import pytest

from unigeoseg.data.taxonomy.categories import (
    Category,
    ancestors,
    category_by_name,
    leaked_word,
    parse_categories,
    same_or_near,
    taxonomy,
)
from unigeoseg.data.taxonomy.wording import normal_form
from unigeoseg.errors import DataError

EVERY = [
    pytest.param(category, id=f"{category.id}-{category.label}") for category in taxonomy().values()
]
PAPER_SHA256 = "8b1721289335ae53de38ba5ca3a3051bdf69c6930142e241645094a5f7c97f17"


def texts(category: Category) -> list[str]:
    return [*category.questions, *category.held_out.questions]


def test_the_papers_ids_and_names_are_ours():
    """SHA-256 of the sorted lines "id,name" of the paper's list of 117 categories."""
    lines = sorted(
        f"{key},{category.name}"
        for key, category in taxonomy().items()
        if category.origin == "paper"
    )
    assert len(lines) == 117
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == PAPER_SHA256


def test_own_categories_start_at_201():
    own_ids = [key for key, category in taxonomy().items() if category.origin == "own"]
    assert own_ids == list(range(201, 201 + len(own_ids)))
    assert {key for key, category in taxonomy().items() if not category.target} == {24, 37}


@pytest.mark.parametrize("category", EVERY)
def test_no_question_gives_its_category_away(category):
    assert {text: leaked_word(text, category) for text in texts(category)} == dict.fromkeys(
        texts(category)
    )


@pytest.mark.parametrize("category", EVERY)
def test_there_is_enough_to_say(category):
    assert 3 <= len(category.singular) <= 6 and 3 <= len(category.plural) <= 6
    assert 3 <= len(category.functions) <= 6 and 3 <= len(category.properties) <= 6
    assert 6 <= len(category.questions) <= 80
    assert len(category.held_out.names) == 2 and 1 <= len(category.held_out.questions) <= 3


@pytest.mark.parametrize("category", EVERY)
def test_texts_are_questions_phrases_or_requests(category):
    for text in texts(category):
        assert text.endswith("?") or text[0].islower() or text.startswith(("Identify ", "Find "))
        assert text[0].islower() == (text[-1].isalpha()), text
    assert category.reason[0].islower() and category.reason[-1] != "."


@pytest.mark.parametrize("category", EVERY)
def test_held_out_words_are_not_used(category):
    """No category is known by them, so none of its own ways to name it repeats one."""
    assert not any(map(category_by_name, category.held_out.names))
    assert not set(category.questions) & set(category.held_out.questions)


@pytest.mark.parametrize("category", EVERY)
def test_a_broader_category_is_not_called_the_same(category):
    assert not set(ancestors(category.id)) & set(category.near_duplicates)


def test_no_question_stands_for_two_categories():
    every = [text.lower() for category in taxonomy().values() for text in texts(category)]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("category", EVERY)
def test_its_own_name_finds_it_or_a_near_duplicate(category):
    for name in (*category.usable_names, *category.synonyms):
        match = category_by_name(name)
        assert match is not None and same_or_near(match.id, category.id)
    assert all(category_by_name(name) is category for name in category.synonyms)


def test_near_duplicates_of_the_paper():
    for a, b in ((45, 80), (52, 65), (7, 61), (8, 60)):
        assert same_or_near(a, b) and same_or_near(b, a)
    assert same_or_near(5, 5)
    assert not same_or_near(5, 21)
    with pytest.raises(KeyError, match="999"):
        same_or_near(999, 999)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("oiltank", 77),
        ("Storage-Tanks", 77),
        ("storage_tank", 77),
        ("aeroplane", 68),
        ("houses", 25),
        ("harbour", 78),
        ("ground_track_field", 72),
        ("farmland", 57),
        ("paddy", 13),
        ("AIRPORT", 80),
        ("swimming pool", 65),
        ("impervious (other)", 8),
        ("solar panel (solar power generation facility)", 201),
        ("land (unpaved area)", 6),
        ("sea surface", 5),
        ("vehicle", 229),
        ("car", 63),
        ("small-vehicle", 73),
    ],
)
def test_class_names_of_public_sets(name, found):
    category = category_by_name(name)
    assert category is not None and category.id == found


@pytest.mark.parametrize("name", ["", "()", "look-alike", "land", "unlabeled", "tank top", "0"])
def test_what_is_not_known(name):
    assert category_by_name(name) is None


def test_broader_categories():
    assert ancestors(88) == (68,)
    assert ancestors(99) == (230, 64, 229)
    assert ancestors(13) == (57, 2)
    assert ancestors(5) == ()
    with pytest.raises(KeyError, match="999"):
        ancestors(999)


@pytest.mark.parametrize(
    ("text", "category", "word"),
    [
        ("Where would athletes run a lap on the track?", 72, "run"),
        ("Where is the ground of this field?", 72, None),
        ("Which parcels are irrigating?", 14, "irrigating"),
        ("Which aircraft is made in Hamburg?", 89, "aircraft"),
        ("Which aerodrome is it?", 45, "aerodrome"),
        ("Where would planes land on the jetport?", 80, "jetport"),
        ("Where would a family bathe?", 52, "bathe"),
        ("Where would one swim?", 52, "swim"),
        ("What floats on the rainwater?", 21, "rainwater"),
    ],
)
def test_what_leaks(text, category, word):
    assert leaked_word(text, taxonomy()[category]) == word


def entries() -> list[dict]:
    """Two near-duplicates and a category below them, as JSON values."""
    selected = [entry for entry in packaged("objects") if entry["id"] in (45, 80, 82)]
    for entry in selected:
        entry["neighbours"] = []
    selected[2]["parent"] = 45
    return selected


def questions() -> dict[str, dict]:
    return {key: packaged("questions")[key] for key in ("45", "80", "82")}


def packaged(name: str) -> Any:
    return json.loads((files("unigeoseg.data.taxonomy") / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("at", "field", "value", "message"),
    [
        (1, "id", 45, "45 .Airport.: the id is that of 'Airport' too"),
        (0, "id", True, "entry True .Airport.: questions.json has no questions of it"),
        (0, "id", 7, "entry 7 .Airport.: questions.json has no questions of it"),
        (0, "reason", " ", r"45 .Airport.: reason is \(' ',\); expected different texts in ASCII"),
        (0, "label", "a\u00e9roport", "expected different texts in ASCII"),
        (0, "kind", "idea", "45 .Airport.: kind: idea not in literal .*'thing', 'stuff'"),
        (0, "size_m", [5, 2], "smallest < largest"),
        (0, "size_m", [0, 2], "smallest < largest"),
        (0, "size_m", [2], "size_m: Not enough values"),
        (0, "size_m", ["2", 3], r"size_m\[0\]: '2' is str, expected float"),
        (0, "singular", ["a", "a"], "singular is .*; expected different texts"),
        (0, "plural", "airports", "plural: 'airports' is str, expected a list"),
        (0, "colour", "red", "45 .Airport.: unknown fields colour"),
        (0, "held_out", ["a"], "45 .Airport.: held_out: expected an object"),
        (0, "held_out", {}, "45 .Airport.: held_out.names: 'names' is missing"),
        (0, "near_duplicates", [], "80 .Airport.: 45 is near to it; 45 must list 80 too"),
        (0, "near_duplicates", [80, 7], "it points to 7"),
        (0, "near_duplicates", [80, 80], "near_duplicates is .80, 80.; expected different whole"),
        (0, "parent", 45, "it points to 45"),
        (0, "parent", 82, "its parents run in a circle"),
        (0, "parent", 0, r"parent is \(0,\); expected different whole numbers above 0"),
        (2, "neighbours", [999], "82 .Chimney.: it points to 999"),
        (2, "synonyms", ["Aerodromes"], "'aerodrom' names category 80 too"),
        (2, "plural", ["airports"], "'airport' names category 45 too"),
    ],
)
def test_a_broken_entry_is_named(at, field, value, message):
    broken = entries()
    broken[at][field] = value
    with pytest.raises(DataError, match=message):
        parse_categories(broken, questions())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("questions", "why?", "questions of 45 .Airport.: questions: 'why.' is str, expected a li"),
        ("questions", ["a", "a"], "entry 45 .Airport.: questions is .*; expected different texts"),
        ("held_out", [3], r"questions of 45 .Airport.: held_out\[0\]: 3 is int, expected str"),
        ("held_out", [" "], "45 .Airport.: held_out: questions is .*; expected different texts"),
        ("answers", [], "questions of 45 .Airport.: unknown fields answers"),
        ("name", "Chimney", "questions of 45 .Airport.: they are those of 'Chimney'"),
    ],
)
def test_broken_questions_are_named(key, value, message):
    broken = questions()
    broken["45"][key] = value
    with pytest.raises(DataError, match=message):
        parse_categories(entries(), broken)


def test_questions_of_no_category_are_named():
    spare = questions() | {"83": packaged("questions")["83"]}
    with pytest.raises(DataError, match="questions of 83: there is no such category"):
        parse_categories(entries(), spare)


def test_a_missing_field_is_named():
    broken = entries()
    del broken[1]["kind"]
    with pytest.raises(DataError, match=r"80 \(Airport\): kind: 'kind' is missing"):
        parse_categories(broken, questions())


def test_entries_come_back_in_order_and_cannot_be_changed():
    parsed = parse_categories(reversed(entries()), questions())
    assert list(parsed) == [45, 80, 82]
    with pytest.raises(TypeError, match="item assignment"):
        parsed[1] = parsed[45]
    assert parsed[45].near_duplicates == (80,)


def test_every_word_for_one_thing_is_its_own():
    """What is not nearly the same shares no name, so a generator may use any way to name it."""
    for a, b in combinations(taxonomy().values(), 2):
        if not same_or_near(a.id, b.id):
            shared = set(map(normal_form, a.usable_names)) & set(map(normal_form, b.usable_names))
            assert not shared, (a.label, b.label)
