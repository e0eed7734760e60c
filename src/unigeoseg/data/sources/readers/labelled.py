"""Reader of labelled sets: `images/`, `masks/` and `meta.json` in one folder.

`masks/<stem>.png` holds class ids, `masks/instances.json` and `masks/boxes.json` are COCO files.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from unigeoseg.data.sources.annotated import UNKNOWN, LabelledObject
from unigeoseg.data.sources.readers.coco import (
    CocoIndex,
    labels_of_image,
    load_coco,
    record_index_orphans,
)
from unigeoseg.data.sources.readers.images import DecodedImage
from unigeoseg.data.sources.readers.masks import read_class_mask
from unigeoseg.data.sources.readers.reading import Folder, ImageItem, Labels, Reading, RejectedError
from unigeoseg.data.sources.readers.shapes import rasterize_objects, snap_to_mask
from unigeoseg.data.sources.readers.walk import scene_group
from unigeoseg.data.sources.source import IMAGE_SUFFIXES, NOTHING
from unigeoseg.errors import DataError


def labelled_set_items(folder: Folder) -> list[ImageItem]:
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


def labelled_set_labels(reading: Reading, image: DecodedImage) -> Labels:
    """Class mask, objects and boxes of an image, whichever the set has.

    Raises:
        RejectedError: If the set has masks and this image's is missing, damaged or of another size,
            an index says another size, or nothing labels the image.
    """
    shape = image.pixels.shape[:2]
    name = Path(reading.item.key).name
    classes = read_class_mask(reading, shape) if reading.item.label else None
    listed = _listing_indexes(reading, name, required=classes is None)
    labels_by_index = [labels_of_image(reading, coco, name, shape) for coco in listed]
    objects = [item for labels in labels_by_index for item in labels.objects]
    if classes is not None and objects:
        objects = _cut_to_mask(reading, objects, (classes != NOTHING) & (classes != UNKNOWN))
    boxes = [box for labels in labels_by_index for box in labels.boxes]
    return Labels(classes, objects, boxes)


def _cut_to_mask(
    reading: Reading, objects: Sequence[LabelledObject], mask: NDArray[np.bool_]
) -> list[LabelledObject]:
    """Objects cut to the class mask, each pixel to one of them; covered ones are recorded."""
    regions = snap_to_mask(rasterize_objects(objects, mask.shape), mask)
    cut_objects = []
    windows = find_objects(regions, max_label=len(objects))
    for number, (item, window) in enumerate(zip(objects, windows, strict=True), start=1):
        if window is None:
            reading.record("outside_image", f"an object at {item.x}, {item.y} is not in the mask")
        else:
            rows, cols = window
            mask_part = regions[window] == number
            cut_objects.append(LabelledObject(item.category, cols.start, rows.start, mask_part))
    return cut_objects


def record_labelled_set_orphans(source_reading: Reading) -> None:
    """Record the images that an index lists and the set lacks; and `record_index_orphans`."""
    images = source_reading.folder.directory / "images"
    existing = _names_in(images, images.stat().st_mtime_ns) if images.is_dir() else frozenset()
    for below, coco in _indexes(source_reading.folder).items():
        record_index_orphans(source_reading, below, coco)
        for name, members in coco.annotations.items():
            if name not in existing:
                detail = f"{below} lists it with {len(members)} annotations"
                source_reading.at(f"images/{name}").record("missing_image", detail, len(members), 0)


@lru_cache(maxsize=8)
def _names_in(directory: Path, _changed: int) -> frozenset[str]:
    return frozenset(path.name for path in directory.glob("*"))


def _listing_indexes(reading: Reading, name: str, *, required: bool) -> list[CocoIndex]:
    """The indexes that list an image; a lacking entry in another is recorded.

    Raises:
        RejectedError: If none lists it and nothing but indexes labels it (`required`).
    """
    indexes = _indexes(reading.folder)
    lacking = [below for below, coco in indexes.items() if name not in coco.annotations]
    if required and len(lacking) == len(indexes):
        raise RejectedError("missing_label", f"{' and '.join(lacking)} have no entry for the image")
    for below in lacking:
        reading.record("missing_entry", f"{below} has no entry for the image", 0, 1)
    return [coco for below, coco in indexes.items() if below not in lacking]


def _indexes(folder: Folder) -> dict[str, CocoIndex]:
    """The set's COCO files that are there, by their paths."""
    return {
        below: load_coco(folder.path(below))
        for below in ("masks/instances.json", "masks/boxes.json")
        if folder.path(below).is_file()
    }
