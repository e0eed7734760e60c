"""The one way from scores to files: masks, and outlines with their columns.

Scores come block by block over the whole scene, or prompt by prompt on windows of their own.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.geo.formats import MASK_SUFFIXES
from unigeoseg.geo.mask_writer import MaskWriter, mask_writer
from unigeoseg.geo.masks import tight_box
from unigeoseg.geo.vectors.writer import vector_writer
from unigeoseg.predict.output.outlines import OutlineWriter, RegionSpool
from unigeoseg.predict.output.schema import PromptAnswer
from unigeoseg.predict.output.spec import OutputSpec
from unigeoseg.runtime.stage_clock import StageClock

_STRIP = 512  # rows of a mask that are put together at a time, as high as its blocks


class ResultWriter:
    """Takes scores and gives them to the writers of files. Get one with `open_results`.

    Attributes:
        pixels: How many pixels of the area are each prompt's so far.
        area_px: How many pixels of the area were written so far.
    """

    def __init__(
        self,
        spec: OutputSpec,
        clock: StageClock,
        masks: Sequence[MaskWriter],
        outlines: OutlineWriter | None,
    ) -> None:
        self.pixels, self.area_px = np.zeros(len(spec.entries), np.int64), 0
        self._labelled = spec.labelled
        self._area, self._threshold, self._clock = spec.area, spec.config.threshold, clock
        self._masks, self._outlines = masks, outlines
        self._union = _MaskUnion()

    def add_block(self, window: Window, scores: NDArray[np.float32]) -> None:
        """Take a block of scores (P, h, w) and its window in the scene, inside the area's window.

        A pixel gets the label of the prompt that scores most, from 1; 0 where none is above the
        threshold, or outside the area. Blocks cover the area's window, in rows from the top down
        and from left to right. For results that are labelled.
        """
        assert self._labelled, "a result that is not labelled takes windows"
        with self._clock("write"):
            best = scores.max(axis=0)
            labels = np.where(best > self._threshold, scores.argmax(axis=0) + 1, 0)
            inside = self._area.mask(window)
            labels = np.where(inside, labels, 0).astype(np.uint8)
            self.area_px += int(np.count_nonzero(inside))
            self.pixels += np.bincount(labels.ravel(), minlength=len(self.pixels) + 1)[1:]
            for writer in self._masks:
                writer.add(_within(window, self._area.window), labels)
        if self._outlines:
            with self._clock("vectorise"):
                self._outlines.add_block(window, labels, best)

    def add_window(self, number: int, window: Window, score: NDArray[np.float32]) -> None:
        """Take all scores (h, w) of one prompt, on a window of its own; in any order.

        For results that are not labelled.

        Args:
            number: Of the prompt, from 0.
            window: In the scene; it may reach beyond the area.
            score: (h, w).
        """
        assert not self._labelled, "a result that is labelled takes blocks"
        inside = self._area.clip(window)
        if not (inside.width and inside.height):
            return
        score = score[_within(inside, window).toslices()]
        mask = (score > self._threshold) & self._area.mask(inside)
        self.pixels[number] += int(np.count_nonzero(mask))
        if self._masks:
            self._union.add(inside, mask)
        if self._outlines:
            with self._clock("vectorise"):
                self._outlines.add_window(number, inside, mask, score)

    def finish(self, answers: Sequence[PromptAnswer]) -> None:
        """Write what had to wait until all prompts were answered.

        Args:
            answers: Of each prompt.
        """
        if not self._labelled:
            with self._clock("write"):
                self._write_union()
        if self._outlines:
            with self._clock("vectorise"):
                self._outlines.finish(answers)

    def _write_union(self) -> None:
        area = self._area.window
        for window in _strips(area):
            self.area_px += int(np.count_nonzero(self._area.mask(window)))
            for writer in self._masks:
                writer.add(_within(window, area), self._union.labels(window))


class _MaskUnion:
    """Masks on windows of a scene, each held no larger than what it shows."""

    def __init__(self) -> None:
        self._parts: list[tuple[Window, NDArray[np.bool_]]] = []

    def add(self, window: Window, mask: NDArray[np.bool_]) -> None:
        box = tight_box(mask)
        if box:
            x0, y0, x1, y1 = box
            place = Window(window.col_off + x0, window.row_off + y0, x1 - x0, y1 - y0)
            self._parts.append((place, mask[y0:y1, x0:x1].copy()))

    def labels(self, window: Window) -> NDArray[np.uint8]:
        """(h, w), 1 where any mask is; rows are those of `window`, which is not above earlier."""
        labels = np.zeros((int(window.height), int(window.width)), np.uint8)
        for place, mask in self._parts:
            shared = _overlap(place, window)
            if shared:
                labels[_within(shared, window).toslices()] |= mask[
                    _within(shared, place).toslices()
                ]
        return labels


def _strips(window: Window) -> Iterator[Window]:
    """A window in rows of blocks, none of them shifted back at the end."""
    for top in range(0, int(window.height), _STRIP):
        height = min(_STRIP, int(window.height) - top)
        yield Window(window.col_off, window.row_off + top, window.width, height)


def _within(window: Window, outer: Window) -> Window:
    """A window, counted from the first pixel of another."""
    left, top = window.col_off - outer.col_off, window.row_off - outer.row_off
    return Window(left, top, window.width, window.height)


def _overlap(first: Window, second: Window) -> Window | None:
    """The window that two windows share; None if they do not overlap."""
    (y0, y1), (x0, x1) = first.toranges()
    (top, bottom), (left, right) = second.toranges()
    x0, y0, x1, y1 = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
    return Window(x0, y0, x1 - x0, y1 - y0) if x0 < x1 and y0 < y1 else None


@contextmanager
def open_results(spec: OutputSpec, clock: StageClock) -> Iterator[ResultWriter]:
    """Open the files that results of a scene go to; they appear when all went well.

    Call `ResultWriter.finish` before the context ends.

    Args:
        spec: What to write.
        clock: Times writing and vectorising.

    Raises:
        OutputUnwritableError: If writing fails.
        MissingExtraError: If a format needs a package that is not there.
    """
    masks = [path for path in spec.paths if path.suffix.lower() in MASK_SUFFIXES]
    vectors = [path for path in spec.paths if path not in masks]
    with ExitStack() as stack:
        grid = spec.grid.for_window(spec.area.window)
        writers = [stack.enter_context(mask_writer(path, grid, spec.tags)) for path in masks]
        adders = [
            stack.enter_context(vector_writer(path, spec.grid, spec.config.crs, spec.columns))
            for path in vectors
        ]
        outlines = None
        if vectors:
            spool = stack.enter_context(RegionSpool(vectors[0].parent))
            outlines = OutlineWriter(spec, adders, spool)
        yield ResultWriter(spec, clock, writers, outlines)
