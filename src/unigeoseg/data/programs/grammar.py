"""Verbalization of programs: noun phrases for what they select, verb phrases for why.

A phrase is put together from a construction for the operator, the wordings of its conditions, and
a name of the category, each drawn at random; it means neither more nor less than the program.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np

from unigeoseg.data.programs.execute import ProgramExecutor
from unigeoseg.data.programs.nouns import plurals, singulars, with_article
from unigeoseg.data.programs.phrases import (
    COUNTS,
    MOST,
    MOST_NORTH_UP,
    ORDINALS,
    WORDINGS,
    Wording,
    with_names,
)
from unigeoseg.data.programs.program import Expression

_ADJECTIVE_SHARE = 0.8  # of the conditions that may stand before the noun do
_COMPASS_SHARE = 0.5  # of the sides are named by the compass where north is up
_FRAMES = ("{}",) * 6 + ("segment {}", "find {}", "mark {}", "outline {}")

Constructions = tuple[list[str], list[str]]
"""Noun phrases that may stand anywhere, and texts that stand alone."""


class Verbalizer:
    """Verbalizes programs about one scene.

    Args:
        executor: Runs programs on the scene's graph.
        rng: Draws the words.
    """

    def __init__(self, executor: ProgramExecutor, rng: np.random.Generator) -> None:
        self._executor = executor
        self._rng = rng

    def noun(self, selection: Expression) -> str:
        """A definite noun phrase for an expression of type one: "the largest pond"."""
        return self.pick(_NOUNS[selection.operator](self, selection)[0])

    def phrase(self, selection: Expression) -> str:
        """A text of its own for an expression of type one, in one of all constructions.

        Some start with the set ("of the two ponds, the larger") or with a place ("in the upper
        left, the pond next to the road"); others ask for the region ("find the larger pond").
        """
        compact, fronted = _NOUNS[selection.operator](self, selection)
        at = int(self._rng.integers(len(compact) + len(fronted)))
        if at >= len(compact):
            return fronted[at - len(compact)]
        return self.pick(_FRAMES).format(compact[at])

    def verb(self, selection: Expression) -> str:
        """A verb phrase for what distinguishes the region: "lies closest to the road"."""
        return self.pick(_VERBS[selection.operator](self, selection))

    def condition_phrase(self, test: Expression) -> str:
        """A condition as a verb phrase: "lies next to the road"."""
        wording = self._wording(test)
        ways = [f"lies {place}" for place in wording.place] or [
            f"looks {word}" for word in wording.adjectives
        ]
        return self._fill(self.pick([*ways, *wording.verb]), test)

    def pick(self, options: Sequence[str]) -> str:
        """One of several texts."""
        return options[int(self._rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        """True in a share of the cases."""
        return bool(self._rng.random() < share)

    def several(self, source: Expression) -> str:
        """A set with its number: "the two ponds at the top"."""
        return f"the {self.count(source)} {self._group(source)}"

    def count(self, source: Expression) -> str:
        """The number of regions in a set, as a word."""
        number = len(self._executor.members(source))
        return COUNTS[number] if number < len(COUNTS) else str(number)

    def single(self, source: Expression, *, superlative: str = "") -> str:
        """A set's noun in the singular with what narrows it: "white building at the top"."""
        category, tests = _parts(source)
        adjectives, complement = self._modifiers(tests)
        noun = self.pick(singulars(category))
        return " ".join(part for part in (superlative, *adjectives, noun, complement) if part)

    def fronted(self, source: Expression, place: Expression) -> str:
        """A set of two conditions with the place first: "at the top, the pond by the road"."""
        category, tests = _parts(source)
        adjectives, complement = self._modifiers([test for test in tests if test is not place])
        adverbial = self._fill(self.pick(self._wording(place).place), place)
        noun = self.pick(singulars(category))
        parts = (f"{adverbial}, the", *adjectives, noun, complement)
        return " ".join(part for part in parts if part)

    def superlatives(self, side: str) -> tuple[str, ...]:
        """Words for the first region from a side; the first word stands before the noun."""
        if self._executor.graph.north_up and self.chance(_COMPASS_SHARE):
            return (MOST_NORTH_UP[side], *MOST[side][1:])
        return MOST[side]

    def _group(self, source: Expression) -> str:
        category, tests = _parts(source)
        adjectives, complement = self._modifiers(tests, plural=True)
        parts = (*adjectives, self.pick(plurals(category)), complement)
        return " ".join(part for part in parts if part)

    def _modifiers(
        self, tests: Sequence[Expression], *, plural: bool = False
    ) -> tuple[list[str], str]:
        """Adjectives, and what follows the noun: a place, then relations.

        Two conditions after the place become clauses of one "that", since "the road next to a
        pond at the edge" may be about the pond.
        """
        adjectives: list[str] = []
        places: list[str] = []
        relations: list[Expression] = []
        for test in tests:
            wording = self._wording(test)
            if wording.adjectives and (plural or self.chance(_ADJECTIVE_SHARE)):
                adjectives.append(self.pick(wording.adjectives))
            elif test.operator == "in":
                places.append(self._fill(self.pick(wording.place), test))
            else:
                relations.append(test)
        return adjectives, " ".join([*places, *self._postmodifiers(relations, plural)])

    def _postmodifiers(self, tests: Sequence[Expression], plural: bool) -> list[str]:
        """What follows the noun, for conditions that are not places."""
        if len(tests) > 1:
            return ["that " + " and ".join(self.condition_phrase(test) for test in tests)]
        ways = [
            self.pick(
                wording.place
                if plural and wording.place
                else (*wording.place, *(f"that {verb}" for verb in wording.verb))
            )
            for wording in map(self._wording, tests)
        ]
        return [self._fill(way, test) for way, test in zip(ways, tests, strict=True)]

    def _wording(self, test: Expression) -> Wording:
        key = test.operator
        first = test.arguments[0]
        if key == "not":
            key = f"not {cast(Expression, first).operator}"
        elif isinstance(first, str):
            key = f"{key} {first}"
        compass = f"{key} north-up"
        if self._executor.graph.north_up and compass in WORDINGS and self.chance(_COMPASS_SHARE):
            return WORDINGS[compass]
        return WORDINGS[key]

    def _fill(self, phrase: str, test: Expression) -> str:
        indefinite = with_article if test.operator != "not" else "any {}".format
        names = [
            self.noun(selection) if selection.type == "one" else indefinite(self.single(selection))
            for selection in _references(test)
        ]
        return with_names(phrase, names)


def _parts(source: Expression) -> tuple[int, list[Expression]]:
    """The category and the tests of a set."""
    tests: list[Expression] = []
    while source.operator == "filter":
        source, test = cast(tuple[Expression, Expression], source.arguments)
        tests.insert(0, test)
    return cast(int, source.arguments[0]), tests


def _references(test: Expression) -> list[Expression]:
    inner = [part for part in test.arguments if isinstance(part, Expression)]
    return _references(inner[0]) if test.operator == "not" else inner


def _source(selection: Expression, at: int = 0) -> Expression:
    return cast(Expression, selection.arguments[at])


def _only_noun(verbalizer: Verbalizer, selection: Expression) -> Constructions:
    source = _source(selection)
    tests = _parts(source)[1]
    if not tests:
        return [f"the {verbalizer.single(source)}"], [
            f"the only {verbalizer.single(source)} in the image"
        ]
    placing = [test for test in tests if test.operator == "in"]
    if len(tests) == 2 and len(placing) == 1:
        return [f"the {verbalizer.single(source)}"], [verbalizer.fronted(source, placing[0])]
    return [f"the {verbalizer.single(source)}"], []


def _only_verb(verbalizer: Verbalizer, selection: Expression) -> list[str]:
    tests = _parts(_source(selection))[1]
    return [
        " and ".join(verbalizer.condition_phrase(test) for test in tests)
        or "is the only one of its kind"
    ]


_EXTREMES = {
    "largest": (("larger", "bigger"), ("largest", "biggest"), "covers the most ground"),
    "smallest": (("smaller",), ("smallest",), "covers the least ground"),
}


def _extreme_noun(verbalizer: Verbalizer, selection: Expression) -> Constructions:
    source = _source(selection)
    of_two, of_many, _ = _EXTREMES[selection.operator]
    word = verbalizer.pick(of_two if verbalizer.count(source) == "two" else of_many)
    return [
        f"the {verbalizer.single(source, superlative=word)}",
        f"the {word} of {verbalizer.several(source)}",
        f"the {word} one among {verbalizer.several(source)}",
    ], [f"of {verbalizer.several(source)}, the {word}"]


def _extreme_verb(verbalizer: Verbalizer, selection: Expression) -> list[str]:
    of_two, of_many, ground = _EXTREMES[selection.operator]
    word = verbalizer.pick(of_two if verbalizer.count(_source(selection)) == "two" else of_many)
    return [f"is the {word}", ground] if word in of_many else [f"is the {word} of the two"]


def _rank_noun(verbalizer: Verbalizer, selection: Expression) -> Constructions:
    rank, side = cast(tuple[int, str], selection.arguments[:2])
    source = _source(selection, 2)
    if rank == 1:
        word, *adverbials = verbalizer.superlatives(side)
        fronted = [f"of {verbalizer.several(source)}, the one {place}" for place in adverbials]
        return [f"the {verbalizer.single(source, superlative=word)}"], [
            f"of {verbalizer.several(source)}, the {word} one",
            *fronted,
        ]
    nth = ORDINALS[rank - 1]
    category, tests = _parts(source)
    noun = verbalizer.pick(singulars(category))
    counted = f"the {nth} of {verbalizer.several(source)}, counted from the {side}"
    unmodified = [
        f"the {nth} {noun} from the {side}",
        f"the {noun} that comes {nth} when counting from the {side}",
    ]
    return [counted] if tests else [counted, *unmodified], [
        f"of {verbalizer.several(source)}, the {nth} from the {side}",
        f"among {verbalizer.several(source)}, the {nth} one counted from the {side}",
    ]


def _rank_verb(verbalizer: Verbalizer, selection: Expression) -> list[str]:
    rank, side = cast(tuple[int, str], selection.arguments[:2])
    if rank == 1:
        return [
            f"is the {verbalizer.superlatives(side)[0]}",
            *(f"lies {far}" for far in verbalizer.superlatives(side)[1:]),
        ]
    return [
        f"is the {ORDINALS[rank - 1]} from the {side}",
        f"comes {ORDINALS[rank - 1]} from the {side}",
    ]


def _row_noun(verbalizer: Verbalizer, selection: Expression) -> Constructions:
    rank, side = cast(tuple[int, str], selection.arguments[:2])
    source = _source(selection, 2)
    category, tests = _parts(source)
    nth, noun = ORDINALS[rank - 1], verbalizer.pick(singulars(category))
    unmodified = [
        f"the {nth} {noun} from the {side} in the row of {verbalizer.count(source)}",
        f"the {noun} that is {nth} from the {side} in the line of {verbalizer.count(source)}",
    ]
    in_row = f"the {nth} from the {side} of {verbalizer.several(source)} in a row"
    return [in_row] if tests else [in_row, *unmodified], [
        f"of {verbalizer.several(source)} in a row, the {nth} from the {side}",
        f"in the row of {verbalizer.several(source)[4:]}, the {nth} one from the {side}",
    ]


def _row_verb(verbalizer: Verbalizer, selection: Expression) -> list[str]:
    rank, side = cast(tuple[int, str], selection.arguments[:2])
    return [f"is the {ORDINALS[rank - 1]} from the {side} in the row"]


_DISTANCES = {
    "nearest": ("closest to", "nearest to"),
    "farthest": ("farthest from", "most distant from"),
}


def _distance_noun(verbalizer: Verbalizer, selection: Expression) -> Constructions:
    source, anchor = cast(tuple[Expression, Expression], selection.arguments)
    word = verbalizer.pick(_DISTANCES[selection.operator])
    category, tests = _parts(source)
    noun = verbalizer.pick(singulars(category))
    unmodified = [
        f"the {noun} {word} {verbalizer.noun(anchor)}",
        f"the {noun} that lies {word} {verbalizer.noun(anchor)}",
        f"the {noun} which is {word} {verbalizer.noun(anchor)}",
    ]
    ways = [
        f"of {verbalizer.several(source)}, the one {word} {verbalizer.noun(anchor)}",
        f"among {verbalizer.several(source)}, the one that lies {word} {verbalizer.noun(anchor)}",
    ]
    among = f"the one {word} {verbalizer.noun(anchor)} among {verbalizer.several(source)}"
    return [among] if tests else unmodified, ways


def _distance_verb(verbalizer: Verbalizer, selection: Expression) -> list[str]:
    anchor = _source(selection, 1)
    return [
        f"{verb} {word} {verbalizer.noun(anchor)}"
        for word in _DISTANCES[selection.operator]
        for verb in ("lies", "is")
    ]


_NOUNS = {
    "only": _only_noun,
    "largest": _extreme_noun,
    "smallest": _extreme_noun,
    "rank": _rank_noun,
    "in-row": _row_noun,
    "nearest": _distance_noun,
    "farthest": _distance_noun,
}
_VERBS = {
    "only": _only_verb,
    "largest": _extreme_verb,
    "smallest": _extreme_verb,
    "rank": _rank_verb,
    "in-row": _row_verb,
    "nearest": _distance_verb,
    "farthest": _distance_verb,
}
