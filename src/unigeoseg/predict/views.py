"""Views: where and at what scale the network sees a scene for a prompt.

Legend: h w window, H W what the network sees.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.geo.array_reader import resize_bands
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.tiling import TilePlan
from unigeoseg.model.processor import letterbox, letterbox_place
from unigeoseg.prompt import Prompt, Task

MASK_THRESHOLD = 0.5
"""The score above which the network itself counts a pixel as the target's."""

_LOGIT_LIMIT = 30.0  # exp stays finite in float32, and the sigmoid is 0 or 1 there
_ROOM = 1.5  # side of the window of several points, as a multiple of their extent
_STRIDE = 32  # the network's input sides are multiples of it


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewConfig:
    """How a scene is shown to the network.

    Attributes:
        tile: Side in pixels of the tiles of a large scene.
        overlap: Pixels that neighbouring tiles share.
        single_view: A scene whose longer side is at most this is shown in one view.
        smallest: Whole views with a shorter side below this are enlarged to it.
        largest: Whole views with a longer side above this are shrunk to it.
        side: Longer side at which the network sees the window of a prompt.
        click: Side in pixels of the window in which clicks are first looked at.
        click_margin: Side of the window in which they are looked at again, as a multiple of the
            longer side of what was found at the first look; 0 where one look is enough.
        box_margin: Side of the window round a box, as a multiple of the box's longer side.
        smallest_window: Least side in pixels of the window of a prompt.
        square: Side in pixels of the square that the network takes, in whose middle it sees any
            window; 0 where it takes any multiple of 32.
    """

    tile: int = 1024
    overlap: int = 128
    single_view: int = 1280
    smallest: int = 256
    largest: int = 640
    side: int = 256
    click: int = 384
    box_margin: float = 2.0
    click_margin: float = 2.4
    smallest_window: int = 48
    square: int = 0

    @classmethod
    def for_square(cls, side: int) -> "ViewConfig":
        """For a network that takes squares of `side`, as Base does.

        As the released code, it sees a scene whole, for prompts too; larger scenes in windows at
        their own scale, which is how its training images were cut.
        """
        return cls(
            tile=side,
            overlap=side // 4,
            click=side,
            click_margin=0,
            smallest_window=side,
            square=side,
        )


@dataclass(frozen=True, slots=True)
class View:
    """A window of the scene and how the network sees it.

    Attributes:
        window: The window.
        shape: Size (H, W) of what the network sees.
        letterbox: Whether the window lies in the middle of that, with black beside it.
    """

    window: Window
    shape: tuple[int, int]
    letterbox: bool = False

    def restore(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring the network's mask logits (H/4, W/4) to the window's pixels (h, w)."""
        height, width = int(self.window.height), int(self.window.width)
        if self.letterbox:
            large = cv2.resize(logits, self.shape[::-1])
            logits = np.ascontiguousarray(large[letterbox_place(height, width, self.shape[0])])
        return np.asarray(cv2.resize(logits, (width, height)), np.float32)


def view_pixels(pixels: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """What the network sees (3, H, W) of a window's pixels (3, h, w)."""
    if view.letterbox:
        square = letterbox(np.ascontiguousarray(pixels.transpose(1, 2, 0)), view.shape[0])
        return np.ascontiguousarray(square.transpose(2, 0, 1))
    return pixels if pixels.shape[1:] == view.shape else resize_bands(pixels, view.shape)


def scores_from_logits(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sigmoid of mask logits: scores in [0, 1] of the same shape, float32."""
    clipped = np.clip(logits, -_LOGIT_LIMIT, _LOGIT_LIMIT)
    return np.asarray(np.reciprocal(1 + np.exp(-clipped)), np.float32)


def plan_views(prompt: Prompt, grid: Grid, config: ViewConfig) -> list[View]:
    """Where the network looks for a prompt that lies inside a scene."""
    if prompt.task is Task.INTERACTIVE and not (seen_whole(grid, config) and config.square):
        return [_view_round(prompt, grid, config)]
    return [view_of(window, config) for window in plan_scene(grid, config).windows()]


def seen_whole(grid: Grid, config: ViewConfig) -> bool:
    """Whether a scene is shown in one view."""
    return max(grid.shape) <= config.single_view


def plan_scene(grid: Grid, config: ViewConfig) -> TilePlan:
    """The tiles in which all of a scene is seen; a single one if it is small.

    They lie at the same places of the ground in every cut of one mosaic, but for the outermost.
    """
    if seen_whole(grid, config):
        return TilePlan.of(grid.width, grid.height, max(grid.shape), 0)
    return TilePlan.of(grid.width, grid.height, config.tile, config.overlap, anchor=grid.anchor)


def _view_round(prompt: Prompt, grid: Grid, config: ViewConfig) -> View:
    """A square window round points and box, cut to the scene."""
    xs = [point.x for point in prompt.points]
    ys = [point.y for point in prompt.points]
    side = float(config.click)
    if prompt.box:
        box = prompt.box
        xs, ys = [*xs, box.x0, box.x1], [*ys, box.y0, box.y1]
        side = config.box_margin * max(box.x1 - box.x0, box.y1 - box.y0)
    extent = max(max(xs) - min(xs), max(ys) - min(ys))
    # points that lie apart need a window that holds them all, with room around
    side = round(max(side, _ROOM * extent, config.smallest_window))
    width, height = min(side, grid.width), min(side, grid.height)
    left = _start((min(xs) + max(xs)) / 2, width, grid.width)
    top = _start((min(ys) + max(ys)) / 2, height, grid.height)
    window = Window(left, top, width, height)
    if config.square:
        return view_of(window, config)
    scale = config.side / max(width, height)
    return View(window, (_multiple(height * scale), _multiple(width * scale)))


def _start(centre: float, side: int, length: int) -> int:
    return round(min(max(centre - side / 2, 0), length - side))


def view_of(window: Window, config: ViewConfig) -> View:
    """How a whole scene or a tile is seen."""
    if config.square:
        return View(window, (config.square, config.square), letterbox=True)
    shorter = min(window.height, window.width)
    longer = max(window.height, window.width)
    # a long thin strip is enlarged no further than its longer side allows
    scale = min(max(1.0, config.smallest / shorter), config.largest / longer)
    return View(window, (_multiple(window.height * scale), _multiple(window.width * scale)))


def _multiple(side: float) -> int:
    return max(1, round(side / _STRIDE)) * _STRIDE
