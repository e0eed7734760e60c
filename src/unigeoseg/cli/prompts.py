"""From a command's options to prompts in pixels of the scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unigeoseg.errors import OptionError, PromptError
from unigeoseg.geo.grid import Grid, parse_crs
from unigeoseg.prompt import Box, Point, Prompt, Task

if TYPE_CHECKING:
    from unigeoseg.predict.output.schema import PromptEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """A command's options that say what to segment.

    Attributes:
        text: A phrase or question.
        points: "X,Y" on the target.
        not_points: "X,Y" off the target.
        boxes: "X0,Y0,X1,Y1", each round a target of its own.
        crs: None if coordinates are pixels, "scene" if they are in the scene's CRS, or a CRS.
        task: How to read the text; guessed without it.
        file: Points and boxes, see `predict.prompt_files`.
        classes: "A,B,...": texts of one map of labels.
    """

    text: str | None = None
    points: Sequence[str] = ()
    not_points: Sequence[str] = ()
    boxes: Sequence[str] = ()
    crs: str | None = None
    task: Task | None = None
    file: Path | None = None
    classes: str | None = None

    def entries(self, grid: Grid) -> "list[PromptEntry]":
        """Prompts for the text or classes, the points, each box or each feature, on a `grid`.

        Each is named by what was typed.

        Raises:
            PromptError: If nothing was asked, or what was asked does not go together.
            OptionError: If numbers are malformed.
            AreaError: If the file cannot be read.
        """
        from unigeoseg.predict.output.schema import PromptEntry
        from unigeoseg.predict.prompt_files import read_prompt_file

        self._check_together()
        if self.text is not None:
            return [PromptEntry.of(Prompt.from_text(self.text, self.task))]
        if self.classes is not None:
            return [PromptEntry.of(p, is_class=True) for p in class_prompts(self.classes)]
        if self.file is not None:
            return read_prompt_file(self.file, grid)
        return self._drawn_entries(grid)

    def _check_together(self) -> None:
        """Refuse what does not go together, and nothing at all."""
        coordinates = bool(self.points or self.not_points or self.boxes)
        worded = self.text is not None or self.classes is not None
        if worded and (coordinates or self.file):
            raise PromptError("both a text and coordinates were given: give one of them")
        if self.text is not None and self.classes is not None:
            raise PromptError("both a text and --classes were given: give one of them")
        if self.file and coordinates:
            raise PromptError("both --prompts and coordinates were given: give one of them")
        if not (worded or coordinates or self.file):
            raise PromptError("nothing was asked for: give a text, --point, --box or --prompts")
        if len(self.boxes) > 1 and (self.points or self.not_points):
            raise PromptError(
                "points were given with several boxes, so it is not clear which box they belong "
                "to: give one box with points, or boxes alone"
            )

    def _drawn_entries(self, grid: Grid) -> "list[PromptEntry]":
        from unigeoseg.predict.output.schema import PromptEntry, drawn_name

        points = [_point_numbers(text) for text in self.points]
        not_points = [_point_numbers(text) for text in self.not_points]
        boxes = [_box_numbers(text) for text in self.boxes]
        clicks = [self._point(*xy, grid, positive=True) for xy in points]
        clicks += [self._point(*xy, grid, positive=False) for xy in not_points]
        crs = self._crs_name(grid)
        if not boxes:
            prompt = Prompt.from_points(clicks)
            return [PromptEntry(prompt, drawn_name(points, not_points, None, crs))]
        return [
            PromptEntry(
                Prompt.from_box(self._box(bounds, grid), clicks),
                drawn_name(points, not_points, bounds, crs),
            )
            for bounds in boxes
        ]

    def _point(self, x: float, y: float, grid: Grid, *, positive: bool) -> Point:
        if self.crs is None:
            return Point(x, y, positive)
        return Point.from_map(x, y, grid, self._map_crs(), positive=positive)

    def _box(self, bounds: tuple[float, float, float, float], grid: Grid) -> Box:
        if self.crs is None:
            return Box(*bounds)
        return Box.from_map(bounds, grid, self._map_crs())

    def _map_crs(self) -> str | None:
        """The CRS of map coordinates; None for the scene's own."""
        if self.crs is None or self.crs == "scene":
            return None
        parse_crs(self.crs)
        return self.crs

    def _crs_name(self, grid: Grid) -> str | None:
        """What a prompt's name says of its coordinates; None for pixels."""
        if self.crs != "scene":
            return self.crs
        return None if grid.crs is None else grid.crs.to_string()


def _point_numbers(text: str) -> tuple[float, float]:
    x, y = _numbers(text, "X,Y", example="120,340")
    return x, y


def _box_numbers(text: str) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = _numbers(text, "X0,Y0,X1,Y1", example="100,300,180,360")
    return x0, y0, x1, y1


def _numbers(text: str, form: str, *, example: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(form.split(",")):
        raise OptionError(f"coordinates are {text!r}, expected {form}, such as {example}")
    return numbers


def parse_bands(text: str | None) -> list[int | str] | None:
    """Band numbers and names from "3,2,1", "4", "B04,B03,B02" or "sentinel-2"."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    return [int(part) if part.lstrip("-").isdecimal() else part for part in parts]


def class_prompts(text: str) -> list[Prompt]:
    """Prompts of "building,road,river".

    Raises:
        OptionError: If a name is empty or comes twice.
    """
    names = [" ".join(part.split()) for part in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise OptionError(f"the classes are {text!r}; give different names, such as building,road")
    return [Prompt.from_text(name, Task.REFERRING) for name in names]
