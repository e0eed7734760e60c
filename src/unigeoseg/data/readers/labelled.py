"""Labelled sets: `images/`, `masks/` and `meta.json` in one folder, and nothing to declare.

`masks/<stem>.png` holds class ids, `masks/instances.json` and `masks/boxes.json` are COCO files.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from unigeoseg.data.annotated import UNKNOWN, LabelledObject
from unigeoseg.data.readers.coco import gather, load
from unigeoseg.data.readers.images import IMAGE_SUFFIXES, Decoded
from unigeoseg.data.readers.masks import read_classes
from unigeoseg.data.readers.reading import Folder, Item, Labels, Reading
from unigeoseg.data.readers.shapes import drawn, settled
from unigeoseg.data.readers.walk import scene_of
from unigeoseg.data.source import NOTHING
from unigeoseg.errors import DataError

_INSTANCES, _BOXES = "masks/instances.json", "masks/boxes.json"


def items(folder: Folder) -> list[Item]:
    """The images of the set, by path.

    Raises:
        DataError: If there is none, nothing labels them, or an index is broken.
    """
    paths = sorted((folder.directory / "images").glob("*"))
    names = [path.name for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    masks = any((folder.directory / "masks").glob("*.png"))
    indexes = [load(path) for below in (_INSTANCES, _BOXES) if (path := _index(folder, below))]
    if not names or not (masks or indexes):
        raise DataError(
            f"{folder.directory} needs images/ with images, and masks/ with *.png, instances.json "
            "or boxes.json"
        )
    return [
        Item(
            key=f"images/{name}",
            group=scene_of(folder, name, f"images/{name}"),
            label=f"masks/{Path(name).stem}.png" if masks else "",
        )
        for name in names
    ]


def labels(reading: Reading, image: Decoded) -> Labels:
    """Class mask, objects and boxes of an image, whichever the set has.

    Raises:
        Refused: If the set has masks and this image's is missing, damaged or of another size.
    """
    shape = image.pixels.shape[:2]
    name = Path(reading.item.key).name
    classes = read_classes(reading, shape) if reading.item.label else None
    indexes = [path for below in (_INSTANCES, _BOXES) if (path := _index(reading.folder, below))]
    found = [gather(reading, load(path), name, shape) for path in indexes]
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


def _index(folder: Folder, below: str) -> Path | None:
    path = folder.directory / below
    return path if path.is_file() else None
