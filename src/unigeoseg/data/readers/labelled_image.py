"""Labelled sets as images whose pixels know their region, as training reads them.

The layout read here: `images/*.jpg`, `masks/<stem>.png` with class ids, optionally
`masks/instances.json` (COCO polygons), and `meta.json` with classes, licence and source.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unigeoseg.data.lexicon import LEXICON
from unigeoseg.data.readers.coco import load
from unigeoseg.data.readers.shapes import drawn, from_rings, settled
from unigeoseg.errors import DataError

IGNORE = np.uint16(65535)  # region id where the label does not say what is there

# a set's own class name -> category; names that are left out become background
_CATEGORIES = {
    "storage_tank": "storage tank",
    "baseball_diamond": "baseball diamond",
    "tennis_court": "tennis court",
    "basketball_court": "basketball court",
    "ground_track_field": "ground track field",
    "land (unpaved area)": "bare land",
    "solar panel (solar power generation facility)": "solar panel",
} | {name: name for name in LEXICON}

_IGNORED_CLASSES = ("unlabeled", "look-alike")

# images whose names share what this matches show the same scene (each set's `group_rule`)
_GROUPS = {
    "dubai_mbrsc": r"t\d+_p\d+",
    "airbus_aircraft": r".{8}",
    "aerial_cars_boxes": r"[^-_]+",
    "gsi_solar": r"",
}


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and the region each of its pixels belongs to.

    Attributes:
        source: Name of the set.
        stem: File name without suffix.
        group: Images of one group show the same scene; a split keeps them together.
        licence: As the set states it.
        pixels: (H, W, 3) uint8 RGB.
        regions: (H, W) uint16: 0 background, IGNORE unknown, else a key of `categories`.
        categories: Category of each region.
        labelled: Categories that this set labels wherever they occur.
    """

    source: str
    stem: str
    group: str
    licence: str
    pixels: np.ndarray
    regions: np.ndarray
    categories: dict[int, str]
    labelled: frozenset[str]


def has_masks(directory: Path) -> bool:
    """Whether a set has pixel masks, not boxes alone."""
    return any((directory / "masks").glob("*.png"))


def groups_of(directory: Path) -> dict[Path, str]:
    """The image files of a set, in name order, and the group of each; nothing is decoded."""
    paths = sorted((directory / "images").glob("*.jpg"))
    return {path: group_of(directory.name, path.stem) for path in paths}


def read_set(directory: Path, paths: Iterable[Path] | None = None) -> Iterator[LabelledImage]:
    """Read a set with masks, image by image.

    Args:
        directory: Folder of the set.
        paths: Which of its image files; all, in name order, without it.

    Raises:
        DataError: If `meta.json` or a mask is missing, an image cannot be decoded, or an image
            and its mask differ in size.
    """
    meta = _read_json(directory / "meta.json")
    classes = {int(key): name for key, name in meta["classes"].items()}
    instances = _instances(directory / "masks" / "instances.json", classes)
    labelled = frozenset(filter(None, (_CATEGORIES.get(name) for name in classes.values())))
    for path in groups_of(directory) if paths is None else paths:
        pixels = _read_pixels(path)
        mask = _read_mask(directory / "masks" / f"{path.stem}.png", pixels.shape[:2])
        regions, categories = (
            _from_polygons(mask, instances[path.name])
            if path.name in instances
            else _from_classes(mask, classes, meta.get("ignore_id"))
        )
        yield LabelledImage(
            source=directory.name,
            stem=path.stem,
            group=group_of(directory.name, path.stem),
            licence=meta["licence"],
            pixels=pixels,
            regions=regions,
            categories=categories,
            labelled=labelled,
        )


def group_of(source: str, stem: str) -> str:
    """Name of the group of an image; by default the image itself."""
    match = re.match(_GROUPS.get(source, r".*"), stem)
    return f"{source}/{match.group() if match else stem}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return content
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: a set needs meta.json, images/ and masks/") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not valid JSON: {error}") from error


def _read_pixels(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise DataError(f"{path} cannot be decoded as an image: it may be truncated")
    return np.ascontiguousarray(pixels[..., ::-1])


def _read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None:
        raise DataError(f"{path} is missing or cannot be decoded: each image needs its mask")
    if mask.shape != shape:
        raise DataError(f"{path} is {mask.shape}, its image is {shape}: they must be equal")
    return mask


def _from_classes(
    mask: np.ndarray, classes: dict[int, str], ignore_id: int | None
) -> tuple[np.ndarray, dict[int, str]]:
    """Regions from class ids: the 8-connected components of each class."""
    regions = np.zeros(mask.shape, np.uint16)
    categories: dict[int, str] = {}
    for class_id, name in classes.items():
        if name in _IGNORED_CLASSES:
            regions[mask == class_id] = IGNORE
        category = _CATEGORIES.get(name)
        if category is None:
            continue
        count, labels = cv2.connectedComponents((mask == class_id).astype(np.uint8), None, 8)
        offset = len(categories)
        regions[labels > 0] = labels[labels > 0] + offset
        categories |= {offset + index: category for index in range(1, count)}
    if ignore_id is not None:
        regions[mask == ignore_id] = IGNORE
    return regions, categories


def _instances(path: Path, classes: dict[int, str]) -> dict[str, list[tuple[str, Any]]]:
    """Polygons of each image file's instances, largest first; empty without the file."""
    if not path.exists():
        return {}
    coco = load(path)
    labels = coco.categories or classes
    return {
        name: [
            (category, item["segmentation"])
            for item in sorted(annotations, key=lambda item: -item["area"])
            if (category := _CATEGORIES.get(labels[item["category_id"]])) and item["segmentation"]
        ]
        for name, annotations in coco.annotations.items()
    }


def _from_polygons(
    mask: np.ndarray, polygons: list[tuple[str, Any]]
) -> tuple[np.ndarray, dict[int, str]]:
    """Regions from polygons; smaller ones are drawn over larger ones."""
    shapes = [from_rings(0, rings, mask.shape) for _, rings in polygons]
    regions = settled(drawn(shapes, mask.shape), mask > 0)
    return regions, {number: category for number, (category, _) in enumerate(polygons, start=1)}
