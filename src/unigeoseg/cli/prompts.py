"""From a command's options to prompts in pixels of the scene."""

from collections.abc import Sequence
from dataclasses import dataclass

from unigeoseg.errors import OptionError, PromptError
from unigeoseg.geo.grid import Grid, parse_crs
from unigeoseg.prompt import Box, Point, Prompt, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user typed.

    Attributes:
        text: A phrase or question.
        points: "X,Y" on the target.
        not_points: "X,Y" off the target.
        boxes: "X0,Y0,X1,Y1", each round a target of its own.
        crs: None if coordinates are pixels, "scene" if they are in the scene's CRS, or a CRS.
        task: How to read the text; guessed without it.
    """

    text: str | None = None
    points: Sequence[str] = ()
    not_points: Sequence[str] = ()
    boxes: Sequence[str] = ()
    crs: str | None = None
    task: Task | None = None

    def prompts(self, grid: Grid) -> list[Prompt]:
        """One prompt for the text, one for the points, or one per box, on the scene's `grid`.

        Raises:
            PromptError: If nothing was asked, or what was asked does not go together.
            OptionError: If numbers are malformed.
        """
        drawn = bool(self.points or self.not_points or self.boxes)
        if self.text is not None and drawn:
            raise PromptError("both a text and coordinates were given: give one of them")
        if self.text is not None:
            return [Prompt.from_text(self.text, self.task)]
        if not drawn:
            raise PromptError("nothing was asked for: give a text, --point or --box")
        return self._drawn(grid)

    def _drawn(self, grid: Grid) -> list[Prompt]:
        points = [self._point(each, grid, positive=True) for each in self.points]
        points += [self._point(each, grid, positive=False) for each in self.not_points]
        boxes = [self._box(each, grid) for each in self.boxes]
        if len(boxes) > 1 and points:
            raise PromptError(
                "points were given with several boxes, so it is not clear which box they belong "
                "to: give one box with points, or boxes alone"
            )
        if boxes:
            return [Prompt.from_box(box, points) for box in boxes]
        return [Prompt.from_points(points)]

    def _point(self, text: str, grid: Grid, *, positive: bool) -> Point:
        x, y = _numbers(text, "X,Y", example="120,340")
        if self.crs is None:
            return Point(x, y, positive)
        return Point.from_map(x, y, grid, self._named(), positive=positive)

    def _box(self, text: str, grid: Grid) -> Box:
        x0, y0, x1, y1 = _numbers(text, "X0,Y0,X1,Y1", example="100,300,180,360")
        if self.crs is None:
            return Box(x0, y0, x1, y1)
        return Box.from_map((x0, y0, x1, y1), grid, self._named())

    def _named(self) -> str | None:
        """The CRS of map coordinates; None for the scene's own."""
        if self.crs is None or self.crs == "scene":
            return None
        parse_crs(self.crs)
        return self.crs


def _numbers(text: str, form: str, *, example: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(form.split(",")):
        raise OptionError(f"coordinates are {text!r}, expected {form}, such as {example}")
    return numbers


def parse_bands(text: str | None) -> list[int] | None:
    """Band numbers from "3,2,1" or "4".

    Raises:
        OptionError: If they are not whole numbers.
    """
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        message = f"--bands is {text!r}, expected numbers from 1, such as 3,2,1 or 4"
        raise OptionError(message) from None
