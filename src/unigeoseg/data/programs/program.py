"""The language of programs: expressions that select regions of a patch, as text and as values.

`(program 1 (largest (filter (category 25) (in left))))`. What each operator selects is defined in
`docs/programs.md`; this module knows their shapes alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias, Union

from unigeoseg.errors import ProgramError

VERSION = 1
"""Of the language; a change of what any program selects raises it."""

SIDES: Final = ("left", "right", "top", "bottom")
PLACES: Final = (
    *SIDES,
    "upper-left",
    "upper-right",
    "lower-left",
    "lower-right",
    "centre",
)
COLOURS: Final = ("white", "dark", "red", "blue")
COURSES: Final = ("across", "down")

_WORDS = {"side": SIDES, "place": PLACES, "colour": COLOURS, "course": COURSES}
_TYPES = {"one": ("one",), "set": ("set",), "ref": ("one", "set"), "test": ("test",)}

# operator: its type and the types of its arguments. "one" is a single region, "set" any number,
# "ref" either, "test" a condition on a region, "number" a whole number from 1.
_OPERATORS: dict[str, tuple[str, tuple[str, ...]]] = {
    "category": ("set", ("number",)),
    "filter": ("set", ("set", "test")),
    "only": ("one", ("set",)),
    "largest": ("one", ("set",)),
    "smallest": ("one", ("set",)),
    "rank": ("one", ("number", "side", "set")),
    "in-row": ("one", ("number", "side", "set")),
    "nearest": ("one", ("set", "one")),
    "farthest": ("one", ("set", "one")),
    "in": ("test", ("place",)),
    "at-edge": ("test", ("side",)),
    "beside": ("test", ("ref",)),
    "near": ("test", ("ref",)),
    "inside": ("test", ("ref",)),
    "around": ("test", ("ref",)),
    "left-of": ("test", ("one",)),
    "right-of": ("test", ("one",)),
    "above": ("test", ("one",)),
    "below": ("test", ("one",)),
    "between": ("test", ("one", "one")),
    "colour": ("test", ("colour",)),
    "running": ("test", ("course",)),
    "not": ("test", ("test",)),
}
_TOKEN = re.compile(r"[()]|[^\s()]+")
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Expression:
    """An operator and its arguments.

    Attributes:
        operator: Its name.
        arguments: Expressions, words and numbers, in order.

    Raises:
        ProgramError: If the operator is unknown or an argument is not of its type.
    """

    operator: str
    arguments: tuple[Union["Expression", str, int], ...]

    def __post_init__(self) -> None:
        """Check the arguments against the operator."""
        if self.operator not in _OPERATORS:
            raise ProgramError(
                f"the operator {self.operator!r} is unknown; known are {', '.join(_OPERATORS)}"
            )
        kinds = _OPERATORS[self.operator][1]
        if len(kinds) != len(self.arguments) or not all(
            _fits(argument, kind) for argument, kind in zip(self.arguments, kinds, strict=True)
        ):
            raise ProgramError(
                f"{self.operator} takes ({' '.join(kinds)}), got "
                f"({' '.join(map(str, self.arguments))})"
            )

    @property
    def type(self) -> str:
        """one, set or test."""
        return _OPERATORS[self.operator][0]

    def __str__(self) -> str:
        return f"({' '.join((self.operator, *map(str, self.arguments)))})"

    def walk(self) -> Iterator["Expression"]:
        """This expression and all within it, outer ones first."""
        yield self
        for argument in self.arguments:
            if isinstance(argument, Expression):
                yield from argument.walk()


def expression(operator: str, *arguments: Expression | str | int) -> Expression:
    """An expression; short for `Expression(operator, (...))`."""
    return Expression(operator, arguments)


def format_program(selection: Expression) -> str:
    """A program as text, in ASCII without quotes or line breaks."""
    return f"(program {VERSION} {selection})"


def parse_program(text: str) -> Expression:
    """Read the text of a program.

    Returns:
        Its selection, an expression of type one or set.

    Raises:
        ProgramError: If the text is not a program of this version.
    """
    tree = _read(text)
    if not (isinstance(tree, list) and len(tree) == 3 and tree[0] == "program"):
        raise ProgramError(f"{text[:80]!r} is not of the form (program {VERSION} EXPRESSION)")
    if tree[1] != str(VERSION):
        raise ProgramError(f"the program is of version {tree[1]}, this one reads {VERSION}")
    selection = _build(tree[2])
    if not isinstance(selection, Expression) or selection.type == "test":
        raise ProgramError(f"{text[:80]!r} selects nothing; give an operator of type one or set")
    return selection


_Tree: TypeAlias = "str | list[_Tree]"


def _read(text: str) -> _Tree:
    """Nested lists of words."""
    stack: list[list[_Tree]] = [[]]
    for token in _TOKEN.findall(text):
        if token == "(":
            stack.append([])
        elif token == ")" and len(stack) > 1:
            expression_tree = stack.pop()
            stack[-1].append(expression_tree)
        elif token == ")":
            raise ProgramError(f"{text[:80]!r} closes more brackets than it opens")
        else:
            stack[-1].append(token)
        if len(stack) > _DEEPEST:
            raise ProgramError(f"{text[:80]!r} is nested deeper than {_DEEPEST} levels")
    if len(stack) > 1 or len(stack[0]) != 1:
        raise ProgramError(f"{text[:80]!r} is not one bracketed expression")
    return stack[0][0]


def _build(tree: _Tree) -> Expression | str | int:
    if isinstance(tree, str):
        return int(tree) if re.fullmatch(r"[1-9][0-9]{0,8}", tree) else tree
    if not tree or not isinstance(tree[0], str):
        raise ProgramError("an expression starts with the name of an operator, got ()")
    return Expression(tree[0], tuple(_build(part) for part in tree[1:]))


def _fits(argument: Expression | str | int, kind: str) -> bool:
    if kind in _TYPES:
        return isinstance(argument, Expression) and argument.type in _TYPES[kind]
    if kind == "number":
        return isinstance(argument, int) and argument >= 1
    return isinstance(argument, str) and argument in _WORDS[kind]
