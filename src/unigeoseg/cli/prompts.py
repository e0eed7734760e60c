"""From a command's options to prompts in pixels of the scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unigeoseg.errors import OptionError, PromptError
from unigeoseg.geo.grid import Grid, parse_crs
from unigeoseg.prompt import Box, Point, Prompt, Task

if TYPE_CHECKING:
    from unigeoseg.geo.vectors.features import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """What the user typed.

    Attributes:
        text: A phrase or question.
        points: "X,Y" on the target.
        not_points: "X,Y" off the target.
        boxes: "X0,Y0,X1,Y1", each round a target of its own.
        crs: None if coordinates are pixels, "scene" if they are in the scene's CRS, or a CRS.
        task: How to read the text; guessed without it.
        file: Points and boxes, see `stream.places`.
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

    @property
    def drawn(self) -> bool:
        """Whether places are asked about, not texts."""
        return bool(self.points or self.not_points or self.boxes or self.file)

    def prompts(self, grid: Grid) -> list[Prompt]:
        """Prompts for the text or classes, the points, each box or each feature, on a `grid`.

        Raises:
            PromptError: If nothing was asked, or what was asked does not go together.
            OptionError: If numbers are malformed.
        """
        texts = self.text is not None or self.classes is not None
        if texts and self.drawn:
            raise PromptError("both a text and coordinates were given: give one of them")
        if self.text is not None and self.classes is not None:
            raise PromptError("both a text and --classes were given: give one of them")
        if self.text is not None:
            return [Prompt.from_text(self.text, self.task)]
        if self.classes is not None:
            return class_prompts(self.classes)
        if not self.drawn:
            raise PromptError("nothing was asked for: give a text, --point, --box or --prompts")
        return [prompt for prompt, _ in self.places(grid)] if self.file else self._drawn(grid)

    def places(self, grid: Grid) -> list[tuple[Prompt, dict[str, "Value"]]]:
        """Prompts of the file, with what it says of each.

        Raises:
            PromptError: If there are other coordinates too, or they cannot be used.
        """
        from unigeoseg.predict.prompt_files import read_places

        if self.points or self.not_points or self.boxes:
            raise PromptError("both --prompts and coordinates were given: give one of them")
        assert self.file is not None, "asked when there is one"
        return read_places(self.file, grid)

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
