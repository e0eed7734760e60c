"""Prompts from a file of vectors: one target per feature."""

from pathlib import Path

import shapely

from unigeoseg.errors import AreaError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.vectors.reader import read_shapes
from unigeoseg.predict.output.schema import PromptEntry, prompt_name
from unigeoseg.prompt import Box, Point, Prompt


def read_prompt_file(path: str | Path, grid: Grid) -> list[PromptEntry]:
    """A prompt per feature, in pixels of a grid, with the feature's properties.

    A point is a click, several points of one feature are clicks on one target, anything else is
    the box round it.

    Raises:
        AreaError: If the file cannot be read or has no feature.
        PromptOutsideRasterError: If one lies off the grid.
    """
    entries = []
    for shape in read_shapes(path, grid):
        prompt = _shown_by(shape.geometry)
        prompt.check_inside(grid.width, grid.height)
        entries.append(PromptEntry(prompt, prompt_name(prompt), properties=shape.properties))
    if not entries:
        raise AreaError(f"{path} has no feature; give points or boxes")
    return entries


def _shown_by(geometry: shapely.Geometry) -> Prompt:
    if "Point" in geometry.geom_type:
        points = shapely.get_coordinates(geometry).tolist()
        return Prompt.from_points([Point(x, y) for x, y in points])
    return Prompt.from_box(Box(*geometry.bounds))
