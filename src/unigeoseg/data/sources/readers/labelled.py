"""Labelled sets: `images/`, `masks/` and `meta.json` in one folder, and nothing to declare.

`masks/<stem>.png` holds class ids, `masks/instances.json` and `masks/boxes.json` are COCO files.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from unigeoseg.data.sources.annotated import UNKNOWN, LabelledObject
from unigeoseg.data.sources.readers.coco import Coco, gather, load, note_strays
from unigeoseg.data.sources.readers.images import IMAGE_SUFFIXES, DecodedImage
from unigeoseg.data.sources.readers.masks import read_classes
from unigeoseg.data.sources.readers.reading import Folder, ImageItem, Labels, Reading, RejectedError
from unigeoseg.data.sources.readers.shapes import drawn, settled
from unigeoseg.data.sources.readers.walk import scene_group
from unigeoseg.data.sources.source import NOTHING
from unigeoseg.errors import DataError


def items(folder: Folder) -> list[ImageItem]:
    """The images of the set, by path.

    Raises:
        DataError: If there is none, nothing labels them, or an index is broken.
    """
    paths = sorted((folder.directory / "images").glob("*"))
    names = [path.name for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    masks = any((folder.directory / "masks").glob("*.png"))
    if not names or not (masks or _indexes(folder)):
        raise DataError(
            f"{folder.directory} needs images/ with images, and masks/ with *.png, instances.json "
            "or boxes.json"
        )
    for name in names:
        folder.path(name)
    return [
        ImageItem(
            key=f"images/{name}",
            group=scene_group(folder, name, Path(name).stem),
            label=f"masks/{Path(name).stem}.png" if masks else "",
        )
        for name in names
    ]


def labels(reading: Reading, image: DecodedImage) -> Labels:
    """Class mask, objects and boxes of an image, whichever the set has.

    Raises:
        Refused: If the set has masks and this image's is missing, damaged or of another size,
            an index says another size, or nothing labels the image.
    """
    shape = image.pixels.shape[:2]
    name = Path(reading.item.key).name
    classes = read_classes(reading, shape) if reading.item.label else None
    listed = _listing(reading, name, alone=classes is None)
    found = [gather(reading, coco, name, shape) for coco in listed]
    objects = [item for labels in found for item in labels.objects]
    if classes is not None and objects:
        objects = _agreed(reading, objects, (classes != NOTHING) & (classes != UNKNOWN))
    boxes = [box for labels in found for box in labels.boxes]
    return Labels(classes, objects, boxes)


def _agreed(
    reading: Reading, objects: Sequence[LabelledObject], mask: NDArray[np.bool_]
) -> list[LabelledObject]:
    """Objects cut to the class mask, each pixel to one of them; covered ones are noted."""
    regions = settled(drawn(objects, mask.shape), mask)
    kept = []
    windows = find_objects(regions, max_label=len(objects))
    for number, (item, window) in enumerate(zip(objects, windows, strict=True), start=1):
        if window is None:
            reading.note("outside_image", f"an object at {item.x}, {item.y} is not in the mask")
        else:
            rows, cols = window
            shown = regions[window] == number
            kept.append(LabelledObject(item.category, cols.start, rows.start, shown))
    return kept


def strays(whole: Reading) -> None:
    """Note, for each index, every image that it lists and the set lacks; and `note_strays`."""
    images = whole.folder.directory / "images"
    there = _names_in(images, images.stat().st_mtime_ns) if images.is_dir() else frozenset()
    for below, coco in _indexes(whole.folder).items():
        note_strays(whole, below, coco)
        for name, members in coco.annotations.items():
            if name not in there:
                detail = f"{below} lists it with {len(members)} annotations"
                whole.at(f"images/{name}").note("missing_image", detail, len(members), 0)


@lru_cache(maxsize=8)
def _names_in(directory: Path, _changed: int) -> frozenset[str]:
    return frozenset(path.name for path in directory.glob("*"))


def _listing(reading: Reading, name: str, *, alone: bool) -> list[Coco]:
    """The indexes that list an image; that others do not is noted.

    Raises:
        Refused: If none does and indexes `alone` label it.
    """
    indexes = _indexes(reading.folder)
    lacking = [below for below, coco in indexes.items() if name not in coco.annotations]
    if alone and len(lacking) == len(indexes):
        raise RejectedError("missing_label", f"{' and '.join(lacking)} have no entry for the image")
    for below in lacking:
        reading.note("missing_entry", f"{below} has no entry for the image", 0, 1)
    return [coco for below, coco in indexes.items() if below not in lacking]


def _indexes(folder: Folder) -> dict[str, Coco]:
    """The set's COCO files that are there, by their paths."""
    return {
        below: load(folder.path(below))
        for below in ("masks/instances.json", "masks/boxes.json")
        if folder.path(below).is_file()
    }
