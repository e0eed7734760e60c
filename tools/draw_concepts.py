"""Draw the figure of docs/concepts.md: `python tools/draw_concepts.py`; needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrow, FancyBboxPatch, Polygon, Rectangle

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "concepts.svg"
SIZE = 11, 5.7
LAND, ROOF, WATER, INK = "#e9e4d4", "#b98b73", "#8fb6cf", "#333333"
PALE, GREY = "#f6f6f6", "#d9d9d9"
ACCENT, TARGET, QUIET = "#c2410c", "#e11d48", "#666666"
REGIONS = "#f59e0b", "#10b981", TARGET, "#3b82f6"


class Box(NamedTuple):
    """A rectangle; y runs down."""

    x: float
    y: float
    width: float
    height: float


ROOFS = Box(0.10, 0.12, 0.20, 0.16), Box(0.42, 0.14, 0.17, 0.14), Box(0.44, 0.38, 0.34, 0.24)
"""Of the landscape, a unit square that every panel shows a part of."""
RIVER = (0.0, 0.62), (0.22, 0.66), (0.30, 1.0), (0.12, 1.0), (0.0, 0.84)
ALL, WINDOW, PATCH = Box(0, 0, 1, 1), Box(0.34, 0.08, 0.6, 0.6), Box(0.06, 0.06, 0.8, 0.8)


def main() -> None:
    """Draw both rows and write the file."""
    mpl.rcParams["svg.hashsalt"] = "concepts"
    figure = draw()
    figure.savefig(FIGURE, metadata={"Date": None})


def draw() -> plt.Figure:
    """The figure: using a model above, making and scoring data below."""
    figure, axes = plt.subplots(figsize=SIZE)
    axes.set(xlim=(0, SIZE[0]), ylim=(SIZE[1], 0))
    axes.set_axis_off()
    draw_use(axes)
    draw_data(axes)
    figure.subplots_adjust(0, 0, 1, 1)
    return figure


def draw_use(axes: Axes) -> None:
    """First row: a scene and a prompt become a mask."""
    write(axes, 0.3, 0.35, "Using a model", size=12, align="left", colour=ACCENT)
    place = Box(0.5, 0.6, 1.7, 1.7)
    draw_land(axes, place)
    outline(axes, place, WINDOW, style="--")
    write(axes, 1.6, 1.92, "window", colour=ACCENT)
    caption(axes, 1.35, 2.62, "scene", "the whole image, on its grid")
    arrow(axes, 2.4, 1.5)
    draw_land(axes, Box(3.15, 0.85, 1.3, 1.3), WINDOW)
    caption(axes, 3.8, 2.62, "view", "a window as the network sees it")
    arrow(axes, 4.65, 1.65)
    frame(axes, Box(5.45, 1.35, 1.35, 0.75), "#eef2ff")
    write(axes, 6.12, 1.78, "network")
    frame(axes, Box(5.2, 0.45, 1.85, 0.45), "#fff7ed")
    write(axes, 6.12, 0.74, '"the largest roof"')
    axes.add_patch(FancyArrow(6.12, 0.97, 0, 0.2, width=0.015, head_width=0.1, color=INK))
    caption(axes, 6.12, 2.62, "prompt", "a text, points or a box")
    arrow(axes, 7.0, 1.65)
    place = Box(7.85, 0.6, 1.7, 1.7)
    draw_land(axes, place, colours=(PALE, GREY, GREY))
    draw_box(axes, place, ALL, ROOFS[2], TARGET)
    caption(axes, 8.7, 2.62, "mask", "which pixels are meant, on the scene's grid")


def draw_data(axes: Axes) -> None:
    """Second row: a labelled image becomes triplets, and these a suite."""
    write(axes, 0.3, 3.28, "Making data and scoring", size=12, align="left", colour=ACCENT)
    place = Box(0.6, 3.5, 1.5, 1.5)
    draw_land(axes, place)
    outline(axes, place, PATCH)
    caption(axes, 1.35, 5.3, "patch", "a square of a labelled image")
    arrow(axes, 2.4, 4.25)
    place = Box(3.1, 3.55, 1.4, 1.4)
    draw_land(axes, place, PATCH, colours=(LAND, REGIONS[3], LAND))
    for roof, colour in zip(ROOFS, REGIONS[: len(ROOFS)], strict=True):
        draw_box(axes, place, PATCH, roof, colour)
    caption(axes, 3.8, 5.3, "region", "a labelled object or piece")
    arrow(axes, 4.65, 4.25)
    frame(axes, Box(5.25, 3.55, 2.3, 1.4), "white")
    draw_land(axes, Box(5.4, 3.62, 0.6, 0.6), PATCH)
    draw_land(axes, Box(6.15, 3.62, 0.6, 0.6), PATCH, colours=(PALE, PALE, PALE))
    draw_box(axes, Box(6.15, 3.62, 0.6, 0.6), PATCH, ROOFS[2], TARGET)
    write(axes, 5.4, 4.48, "the largest building", align="left")
    write(axes, 5.4, 4.72, "(largest (category 25))", align="left", size=8, family="monospace")
    write(axes, 7.5, 4.93, "its program", align="right", size=9, colour=ACCENT)
    caption(axes, 6.4, 5.3, "triplet", "image, mask and instruction")
    arrow(axes, 7.75, 4.25)
    for step in (0.28, 0.14, 0.0):
        frame(axes, Box(8.05 + step + 0.45, 3.85 - step, 1.25, 0.95), "white")
    write(axes, 9.12, 4.28, "test triplets", size=9)
    write(axes, 9.12, 4.53, "and a protocol", size=9)
    caption(axes, 9.3, 5.3, "suite", "what a system is scored on")


def draw_land(
    axes: Axes, place: Box, part: Box = ALL, colours: Sequence[str] = (LAND, WATER, ROOF)
) -> None:
    """Draw a part of the landscape at a place of the figure; colours of land, water, roofs."""
    frame_of_land = Rectangle(place[:2], place.width, place.height, fc=colours[0], ec=INK, lw=0.9)
    axes.add_patch(frame_of_land)
    river = axes.add_patch(Polygon(on_figure(RIVER, place, part), fc=colours[1], ec="none"))
    river.set_clip_path(frame_of_land)
    for roof in ROOFS:
        draw_box(axes, place, part, roof, colours[2]).set_clip_path(frame_of_land)


def draw_box(axes: Axes, place: Box, part: Box, box: Box, colour: str) -> Rectangle:
    """Fill a box of the landscape."""
    (left, top), (right, bottom) = on_figure(
        ((box.x, box.y), (box.x + box.width, box.y + box.height)), place, part
    )
    patch = Rectangle((left, top), right - left, bottom - top, fc=colour, ec=INK, lw=0.6)
    axes.add_patch(patch)
    return patch


def outline(axes: Axes, place: Box, box: Box, style: str = "-") -> None:
    """Draw the border of a box of the landscape."""
    corner = on_figure([(box.x, box.y)], place, ALL)[0]
    width, height = place.width * box.width, place.height * box.height
    axes.add_patch(Rectangle(corner, width, height, fill=False, ec=ACCENT, ls=style, lw=1.8))


def on_figure(
    corners: Sequence[tuple[float, float]], place: Box, part: Box
) -> list[tuple[float, float]]:
    """Corners (x, y) of the landscape where the figure shows them."""
    return [
        (
            place.x + place.width * (x - part.x) / part.width,
            place.y + place.height * (y - part.y) / part.height,
        )
        for x, y in corners
    ]


def frame(axes: Axes, box: Box, colour: str) -> None:
    """Draw a rounded box."""
    axes.add_patch(
        FancyBboxPatch(box[:2], box.width, box.height, "round,pad=0.04", fc=colour, ec=INK)
    )


def caption(axes: Axes, x: float, y: float, word: str, meaning: str) -> None:
    """Write a concept and, below it, what it is."""
    write(axes, x, y, word, weight="bold", size=12)
    write(axes, x, y + 0.25, meaning, colour=QUIET, size=9)


def write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    colour: str = INK,
    size: float = 10,
    weight: str = "normal",
    align: str = "center",
    family: str = "sans-serif",
) -> None:
    """Write a line of text, its baseline at y."""
    axes.text(x, y, text, color=colour, size=size, weight=weight, ha=align, family=family)


def arrow(axes: Axes, x: float, y: float) -> None:
    """Draw an arrow to the right."""
    axes.add_patch(FancyArrow(x, y, 0.38, 0, width=0.02, head_width=0.14, color=INK))


if __name__ == "__main__":
    main()
