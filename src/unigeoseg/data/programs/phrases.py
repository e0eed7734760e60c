"""The lexicon of programs: wordings of each operator.

`{a}` and `{b}` stand for the regions that an operator refers to. A phrase of `place` follows "lies"
or a noun ("the pond next to the road"); one of `verb` follows "it" or "that" ("that borders the
road"); one of `adjectives` stands before the noun ("the white building").
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """Ways to word one condition.

    Attributes:
        place: Adverbials of place.
        verb: Verb phrases, third person singular.
        adjectives: Words before the noun.
    """

    place: tuple[str, ...] = ()
    verb: tuple[str, ...] = ()
    adjectives: tuple[str, ...] = ()


def _side(word: str, compass: str) -> dict[str, Wording]:
    low = {"top": "upper", "bottom": "lower"}.get(word, word)
    at = f"at the {word}" if low != word else f"on the {word}"
    places = (
        f"{at} of the image",
        f"{at} of the scene",
        f"in the {low} part of the image",
        f"in the {low} part of the view",
        f"towards the {word} of the image",
        f"{at} of the picture",
        at,
    )
    return {
        f"in {word}": Wording(places),
        f"in {word} north-up": Wording(
            (f"in the {compass} of the scene", f"in the {compass}ern part of the image")
        ),
    }


def _corner(row: str, column: str, compass: str) -> dict[str, Wording]:
    end = {"upper": "top", "lower": "bottom"}[row]
    return {
        f"in {row}-{column}": Wording(
            (
                f"in the {row} {column} part of the image",
                f"in the {row} {column} of the scene",
                f"in the {row} {column} quarter of the image",
                f"towards the {end} {column} of the image",
                f"at the {end} {column}",
                f"in the {end} {column} of the picture",
            )
        ),
        f"in {row}-{column} north-up": Wording(
            (f"in the {compass} of the scene", f"in the {compass}ern part of the image")
        ),
    }


def _edge(side: str) -> dict[str, Wording]:
    return {
        f"at-edge {side}": Wording(
            (f"at the {side} edge of the image", f"against the {side} border of the image"),
            (
                f"touches the {side} edge of the image",
                f"reaches the {side} edge of the picture",
                f"runs out of view at the {side} edge",
                f"is cut off by the {side} border",
            ),
        )
    }


def _toward(operator: str, words: tuple[str, ...], compass: str) -> dict[str, Wording]:
    return {
        operator: Wording(tuple(f"{word} {{a}}" for word in words)),
        f"{operator} north-up": Wording(
            (f"{compass} of {{a}}", f"to the {compass} of {{a}}"),
        ),
    }


def _colour(word: str, *synonyms: str) -> dict[str, Wording]:
    return {f"colour {word}": Wording((), (f"looks mostly {word}",), (word, *synonyms))}


WORDINGS: dict[str, Wording] = {
    **_side("left", "west"),
    **_side("right", "east"),
    **_side("top", "north"),
    **_side("bottom", "south"),
    **_corner("upper", "left", "northwest"),
    **_corner("upper", "right", "northeast"),
    **_corner("lower", "left", "southwest"),
    **_corner("lower", "right", "southeast"),
    "in centre": Wording(
        (
            "in the middle of the image",
            "in the centre of the scene",
            "near the centre of the image",
            "in the middle of the picture",
            "in the central part of the view",
        )
    ),
    **_edge("left"),
    **_edge("right"),
    **_edge("top"),
    **_edge("bottom"),
    "beside": Wording(
        ("next to {a}", "right beside {a}", "adjacent to {a}", "directly beside {a}"),
        ("borders {a}", "adjoins {a}", "touches {a}", "shares an edge with {a}"),
    ),
    "near": Wording(
        ("close to {a}", "near {a}", "not far from {a}", "a short way from {a}"),
        ("comes close to {a}",),
    ),
    "inside": Wording(
        ("inside {a}", "in the midst of {a}"),
        ("is enclosed by {a}", "is surrounded by {a}", "has {a} all round it"),
    ),
    "around": Wording((), ("encloses {a}", "surrounds {a}", "has {a} inside it")),
    "not near": Wording(
        ("away from {a}", "at some distance from {a}", "not close to {a}"),
        ("keeps its distance from {a}",),
    ),
    **_toward("left-of", ("to the left of", "left of", "on the left-hand side of"), "west"),
    **_toward("right-of", ("to the right of", "right of", "on the right-hand side of"), "east"),
    **_toward("above", ("above", "further up than", "higher up than"), "north"),
    **_toward("below", ("below", "further down than", "lower down than"), "south"),
    "between": Wording(
        ("between {a} and {b}", "in between {a} and {b}"),
    ),
    **_colour("white", "whitish"),
    **_colour("dark", "dark-coloured"),
    **_colour("red", "reddish"),
    **_colour("blue", "bluish"),
    "running across": Wording(
        (),
        ("is long in the left-right direction", "runs sideways rather than up and down"),
    ),
    "running down": Wording(
        (),
        ("is long in the up-down direction", "runs up and down rather than sideways"),
    ),
}

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
MOST = {
    "left": ("leftmost", "farthest to the left", "nearest to the left edge"),
    "right": ("rightmost", "farthest to the right", "nearest to the right edge"),
    "top": ("topmost", "farthest up", "nearest to the top edge"),
    "bottom": ("bottommost", "farthest down", "nearest to the bottom edge"),
}
MOST_NORTH_UP = {
    "left": "westernmost",
    "right": "easternmost",
    "top": "northernmost",
    "bottom": "southernmost",
}


def with_names(phrase: str, names: Sequence[str]) -> str:
    """A phrase with names in the places of {a} and {b}; it has none, one or both."""
    return phrase.format(**dict(zip("ab"[: len(names)], names, strict=True)))
