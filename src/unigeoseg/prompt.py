"""What a user asks: a task with its text, points or box.

Coordinates are pixels of the scene: x to the right, y down, the first pixel's centre at
(0.5, 0.5); boxes are half-open. `Point.from_map` and `Box.from_map` take map coordinates.
The prompt carries numbers; `Prompt.instruction` renders them as text and nothing parses that
text back.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from unigeoseg.errors import (
    EmptyInstructionError,
    NoGeoreferenceError,
    PromptError,
    PromptOutsideRasterError,
)

if TYPE_CHECKING:
    from rasterio.crs import CRS

    from unigeoseg.geo.grid import Grid

_QUESTION = re.compile(r"[?\uff1f]|^(where|which|what|how|who|whose|when|why)\b", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(area|region|place|part|zone|site|spot|location|structure|facility|land)s?\s+"
    r"(that|where|which|whose|used\s+(for|to|by|as)|suitable\s+for|in\s+which|most|best|likely)\b",
    re.IGNORECASE,
)


class Task(StrEnum):
    """The three tasks of the model."""

    INTERACTIVE = "interactive"
    """Points or a box show the region."""
    REFERRING = "referring"
    """A phrase names it: "the large building in the north"."""
    REASONING = "reasoning"
    """A question implies it: "where could a helicopter land?"."""


@dataclass(frozen=True, slots=True)
class Point:
    """A pixel position on the region, or off it.

    Attributes:
        x: Pixels to the right.
        y: Pixels down.
        positive: True on the region, False on what is to be left out.

    Raises:
        PromptError: If x or y is not finite.
    """

    x: float
    y: float
    positive: bool = True

    def __post_init__(self) -> None:
        """Check that the numbers are finite."""
        _check_finite("point", self.x, self.y)

    @classmethod
    def from_map(
        cls,
        x: float,
        y: float,
        grid: "Grid",
        crs: "CRS | str | None" = None,
        *,
        positive: bool = True,
    ) -> "Point":
        """A point from map coordinates.

        Args:
            x: Easting or longitude in the units of `crs`.
            y: Northing or latitude in the units of `crs`.
            grid: The scene's grid.
            crs: CRS of x and y; None for the grid's own.
            positive: True on the region.

        Raises:
            NoGeoreferenceError: If the grid has no CRS.
            UnknownCrsError: If `crs` is a text that names no CRS.
            PromptError: If the position is not finite or not in the grid's CRS.
        """
        _check_finite("point", x, y)
        _check_georeferenced(grid)
        return cls(*grid.to_pixel(x, y, crs), positive)


@dataclass(frozen=True, slots=True)
class Box:
    """A box of pixels, half-open: it holds x0 <= x < x1 and y0 <= y < y1.

    Attributes:
        x0: Left edge.
        y0: Upper edge.
        x1: Right edge, above x0.
        y1: Lower edge, above y0.

    Raises:
        PromptError: If an edge is not finite, or the box has no area.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        """Check the edges."""
        _check_finite("box", self.x0, self.y0, self.x1, self.y1)
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise PromptError(
                f"box {_numbers(self.x0, self.y0, self.x1, self.y1)} has no area; "
                "give x0,y0,x1,y1 with x0 < x1 and y0 < y1"
            )

    @classmethod
    def from_map(
        cls,
        bounds: tuple[float, float, float, float],
        grid: "Grid",
        crs: "CRS | str | None" = None,
    ) -> "Box":
        """A box from map coordinates: the envelope, in pixels, of its four corners.

        Args:
            bounds: Any two opposite corners ``(x0, y0, x1, y1)`` in the units of `crs`.
            grid: The scene's grid.
            crs: CRS of the corners; None for the grid's own.

        Raises:
            NoGeoreferenceError: If the grid has no CRS.
            UnknownCrsError: If `crs` is a text that names no CRS.
            PromptError: If a corner is not finite or not in the grid's CRS, or the box has
                no area.
        """
        x0, y0, x1, y1 = bounds
        _check_finite("box", *bounds)
        _check_georeferenced(grid)
        corners = [grid.to_pixel(x, y, crs) for x in (x0, x1) for y in (y0, y1)]
        xs, ys = zip(*corners, strict=True)
        return cls(min(xs), min(ys), max(xs), max(ys))


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a user gives, beside the scene.

    Prefer the constructors `from_text`, `from_points` and `from_box`.

    Attributes:
        task: Which of the three tasks.
        text: The phrase or question; empty for an interactive prompt.
        points: Points of an interactive prompt.
        box: Box of an interactive prompt.

    Raises:
        EmptyInstructionError: If a text task has no text.
        PromptError: If the parts do not go together.
    """

    task: Task
    text: str = ""
    points: tuple[Point, ...] = ()
    box: Box | None = None

    def __post_init__(self) -> None:
        """Check that the parts belong to the task."""
        if self.task is Task.INTERACTIVE:
            self._check_interactive()
        elif not self.text.strip():
            raise EmptyInstructionError(
                "the instruction is empty; say what to segment, such as 'the buildings'"
            )
        elif self.points or self.box:
            raise PromptError(
                f"a {self.task} prompt takes text alone, got points or a box too; give one of them"
            )

    @classmethod
    def from_text(cls, text: str, task: Task | None = None) -> "Prompt":
        """A referring or reasoning prompt.

        Without `task` it is reasoning if the text has a question mark, starts with a question
        word (where, which, what, how, who, whose, when, why), or speaks of a place by its use
        ("the area that ...", "a region where ...", "the place used for ..."); else referring.

        Raises:
            EmptyInstructionError: If the text is blank.
            PromptError: If `task` is interactive.
        """
        text = " ".join(text.split())
        if task is None:
            asks = _QUESTION.search(text) or _PLACE.search(text)
            task = Task.REASONING if asks else Task.REFERRING
        return cls(task, text)

    @classmethod
    def from_points(cls, points: Iterable[Point]) -> "Prompt":
        """An interactive prompt of points, at least one of them positive.

        Raises:
            PromptError: If no point is positive.
        """
        return cls(Task.INTERACTIVE, points=tuple(points))

    @classmethod
    def from_box(cls, box: Box, points: Iterable[Point] = ()) -> "Prompt":
        """An interactive prompt of a box, with points if it needs them."""
        return cls(Task.INTERACTIVE, points=tuple(points), box=box)

    def instruction(self, width: int, height: int) -> str:
        """The text that the model reads.

        Args:
            width: Columns of the image that the coordinates belong to, in pixels.
            height: Its rows.

        Returns:
            The text itself, or a fixed sentence with coordinates divided by width and height,
            three decimals: "Please segment the region corresponding to the point
            [0.490, 0.828]."
        """
        if self.task is not Task.INTERACTIVE:
            return self.text
        unit = self.scaled(1 / width, 1 / height)
        positive = [point for point in unit.points if point.positive]
        negative = [point for point in unit.points if not point.positive]
        parts = [_box_words(unit.box)] if unit.box else []
        parts += [_point_words(positive)] if positive else []
        exclusion = f", excluding {_point_words(negative, always_many=True)}" if negative else ""
        return f"Please segment the region corresponding to {' and '.join(parts)}{exclusion}."

    def check_inside(self, width: int, height: int) -> None:
        """Check that every point is on the raster and that the box overlaps it.

        Raises:
            PromptOutsideRasterError: If one is not.
        """
        for point in self.points:
            if not (0 <= point.x < width and 0 <= point.y < height):
                raise _outside(f"point {_numbers(point.x, point.y)}", width, height)
        box = self.box
        if box and not (box.x0 < width and box.y0 < height and box.x1 > 0 and box.y1 > 0):
            raise _outside(f"box {_numbers(box.x0, box.y0, box.x1, box.y1)}", width, height)

    def clipped(self, width: int, height: int) -> "Prompt":
        """The prompt with its box cut to the raster.

        Raises:
            PromptOutsideRasterError: As `check_inside`.
        """
        self.check_inside(width, height)
        if self.box is None:
            return self
        box = self.box
        inside = Box(max(box.x0, 0), max(box.y0, 0), min(box.x1, width), min(box.y1, height))
        return replace(self, box=inside)

    def shifted(self, dx: float, dy: float) -> "Prompt":
        """The prompt moved by (dx, dy) pixels.

        Into a window's frame: ``prompt.shifted(-window.col_off, -window.row_off)``.
        """
        return self._mapped(1, 1, dx, dy)

    def scaled(self, sx: float, sy: float) -> "Prompt":
        """The prompt on an image resized by the factors sx and sy, both above 0."""
        return self._mapped(sx, sy, 0, 0)

    def _mapped(self, sx: float, sy: float, dx: float, dy: float) -> "Prompt":
        points = tuple(Point(p.x * sx + dx, p.y * sy + dy, p.positive) for p in self.points)
        box = self.box and Box(
            self.box.x0 * sx + dx,
            self.box.y0 * sy + dy,
            self.box.x1 * sx + dx,
            self.box.y1 * sy + dy,
        )
        return replace(self, points=points, box=box)

    def _check_interactive(self) -> None:
        if self.text:
            raise PromptError(
                f"an interactive prompt takes points or a box, got the text {self.text!r} too; "
                "give one of them"
            )
        if self.box is None and not any(point.positive for point in self.points):
            raise PromptError(
                "an interactive prompt needs a box or a point on the region, got "
                f"{len(self.points)} points to leave out; add one"
            )


PromptLike: TypeAlias = Prompt | str | Point | Box | Sequence[Point]
"""What users may give for a prompt."""


def as_prompt(prompt: PromptLike) -> Prompt:
    """A `Prompt` from what users may give instead.

    Raises:
        PromptError: If it is something else, or empty.
    """
    if isinstance(prompt, Prompt):
        return prompt
    if isinstance(prompt, str):
        return Prompt.from_text(prompt)
    if isinstance(prompt, Box):
        return Prompt.from_box(prompt)
    points = [prompt] if isinstance(prompt, Point) else prompt
    if isinstance(points, Sequence) and all(isinstance(point, Point) for point in points):
        return Prompt.from_points(points)
    raise PromptError(
        f"a prompt is a text, a Prompt, a Box, a Point or points, got {type(prompt).__name__}"
    )


def _check_finite(kind: str, *numbers: float) -> None:
    if not all(math.isfinite(number) for number in numbers):
        raise PromptError(f"{kind} {_numbers(*numbers)} is not finite; give plain numbers")


def _check_georeferenced(grid: "Grid") -> None:
    if not grid.georeferenced:
        raise NoGeoreferenceError(
            "map coordinates were given but the raster has no CRS; give pixel coordinates"
        )


def _outside(part: str, width: int, height: int) -> PromptOutsideRasterError:
    return PromptOutsideRasterError(
        f"{part} is outside the raster of {width} x {height} pixels (x from 0 to {width} to the "
        f"right, y from 0 to {height} down); give pixels, or name the CRS of map coordinates"
    )


def _numbers(*numbers: float) -> str:
    return f"({', '.join(f'{number:.10g}' for number in numbers)})"


def _point_words(points: list[Point], *, always_many: bool = False) -> str:
    if len(points) == 1 and not always_many:
        return f"the point [{points[0].x:.3f}, {points[0].y:.3f}]"
    return f"the points {{{', '.join(f'({p.x:.3f}, {p.y:.3f})' for p in points)}}}"


def _box_words(box: Box) -> str:
    return f"the box x0,y0=[{box.x0:.3f},{box.y0:.3f}], x1,y1=[{box.x1:.3f},{box.y1:.3f}]"
