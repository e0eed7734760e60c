"""Prompts from a file of vectors: one target per feature."""

from pathlib import Path

import shapely

from unigeoseg.errors import AreaError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.vectors.features import Value
from unigeoseg.geo.vectors.reader import Shape, read_shapes
from unigeoseg.prompt import Box, Point, Prompt


def read_places(path: str | Path, grid: Grid) -> list[tuple[Prompt, dict[str, Value]]]:
    """A prompt per feature, in pixels of a grid, with the feature's properties.

    A point is a click, several points of one feature are clicks on one target, anything else is
    the box round it.

    Raises:
        AreaError: If the file cannot be read or has no feature.
        PromptOutsideRasterError: If one lies off the grid.
    """
    shapes = read_shapes(path, grid)
    if not shapes:
        raise AreaError(f"{path} has no feature; give points or boxes")
    places = [(_prompt(shape), shape.properties) for shape in shapes]
    for prompt, _ in places:
        prompt.check_inside(grid.width, grid.height)
    return places


def _prompt(shape: Shape) -> Prompt:
    if "Point" in shape.geometry.geom_type:
        points = shapely.get_coordinates(shape.geometry).tolist()
        return Prompt.from_points([Point(x, y) for x, y in points])
    return Prompt.from_box(Box(*shape.geometry.bounds))
