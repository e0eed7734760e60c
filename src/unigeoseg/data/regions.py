"""The objects in one view of a labelled image, measured: what instructions are written from."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from unigeoseg.data.lexicon import LEXICON
from unigeoseg.data.readers import IGNORE


@dataclass(frozen=True)
class Region:
    """One visible object or connected piece of ground.

    Attributes:
        category: Its category.
        mask: (H, W) bool.
        area: Pixels.
        box: x0, y0, x1, y1 in pixels, half-open.
        centre: Mean x and y of its pixels, in [0, 1] of the view.
    """

    category: str
    mask: np.ndarray
    area: int
    box: tuple[int, int, int, int]
    centre: tuple[float, float]


@dataclass(frozen=True)
class View:
    """A square view of an image and what is labelled in it.

    Attributes:
        regions: (S, S) uint16 ids as in `LabelledImage.regions`.
        categories: Category of each region id.
        labelled: Categories that are labelled wherever they occur.
        source: Name of the set.
    """

    regions: np.ndarray
    categories: dict[int, str]
    labelled: frozenset[str]
    source: str

    @cached_property
    def valid(self) -> np.ndarray:
        """(S, S) bool, False where the label does not say."""
        known: np.ndarray = self.regions != IGNORE
        return known

    @cached_property
    def present(self) -> dict[str, list[int]]:
        """Region ids of each category that is visible."""
        found: dict[str, list[int]] = {}
        for region_id in np.unique(self.regions).tolist():
            if region_id in self.categories:
                found.setdefault(self.categories[region_id], []).append(region_id)
        return found

    def category_mask(self, category: str) -> np.ndarray:
        """(S, S) bool, all pixels of a category."""
        return np.isin(self.regions, self.present.get(category, []))

    def objects(self, category: str, min_area: int = 60) -> list[Region]:
        """Visible regions of a category with at least `min_area` pixels.

        A thing is one region even where the view or another object cuts it; stuff is cut into
        its connected pieces, since a river's two arms are two places to click on.
        """
        if LEXICON[category].thing:
            masks: Iterable[np.ndarray] = (self.regions == key for key in self.present[category])
        else:
            masks = _pieces(self.category_mask(category))
        regions = (_measure(category, mask) for mask in masks)
        return [region for region in regions if region and region.area >= min_area]


def _pieces(mask: np.ndarray) -> Iterable[np.ndarray]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), None, None, None, 8
    )
    largest = np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:8] + 1
    return (labels == index for index in largest if count > 1)


def _measure(category: str, mask: np.ndarray) -> Region | None:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return None
    height, width = mask.shape
    return Region(
        category=category,
        mask=mask,
        area=len(rows),
        box=(
            int(columns.min()),
            int(rows.min()),
            int(columns.max()) + 1,
            int(rows.max()) + 1,
        ),
        centre=(float(columns.mean() + 0.5) / width, float(rows.mean() + 0.5) / height),
    )
