"""Reader of COCO annotation files: polygons, run-lengths or boxes of the objects of many images."""

import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from unigeoseg.data.sources.annotated import LabelledBox, LabelledObject, larger_first
from unigeoseg.data.sources.readers.images import DecodedImage
from unigeoseg.data.sources.readers.reading import (
    MAX_INDEX_BYTES,
    Folder,
    ImageItem,
    Labels,
    Reading,
    RejectedError,
    check_label_size,
    file_version,
    normalized_path,
    read_label_json,
)
from unigeoseg.data.sources.readers.shapes import (
    box_from_corners,
    object_from_polygons,
    object_from_rle,
    upright_corners,
)
from unigeoseg.data.sources.readers.walk import scene_group
from unigeoseg.data.sources.source import IndexLayout, parse_split
from unigeoseg.errors import DataError

Annotation = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CocoIndex:
    """The annotations of a COCO file, grouped by image.

    Attributes:
        names: Image id -> file name, in `normalized_path`'s form; a file may have several ids.
        categories: Id -> class name; empty if the file has none.
        annotations: File name -> its annotations, in the order of the file; names in order.
        sizes: File name -> rows and columns (H, W) of the image, where the file states them.
        orphans: How many annotations are of each image id that the file does not list.
        broken: Annotations that name no image, and why.
    """

    names: Mapping[Any, str]
    categories: Mapping[int, str]
    annotations: Mapping[str, tuple[Annotation, ...]]
    sizes: Mapping[str, tuple[int, int]]
    orphans: Mapping[Any, int]
    broken: tuple[str, ...]


def load_coco(path: Path) -> CocoIndex:
    """A COCO file, read once per process and version of the file.

    Raises:
        DataError: If it is no COCO file.
    """
    return _load(path, file_version(path))


@lru_cache(maxsize=8)
def _load(path: Path, _version: tuple[int, int]) -> CocoIndex:
    content = read_label_json(path, MAX_INDEX_BYTES)
    try:
        names = {image["id"]: _file_name(image["file_name"]) for image in content["images"]}
        categories = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        sizes = {_file_name(image["file_name"]): _listed_size(image) for image in content["images"]}
        annotations = list(content["annotations"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path} is no COCO file ({error!r} missing or of the wrong type): it needs images, "
            "categories and annotations"
        ) from error
    annotations_by_name: dict[str, list[Annotation]] = {name: [] for name in sorted(names.values())}
    orphans: Counter[Any] = Counter()
    broken = []
    for number, annotation in enumerate(annotations, start=1):
        fault = _fault(annotation)
        if fault:
            broken.append(f"annotation {number}: {fault}")
        elif annotation["image_id"] in names:
            annotations_by_name[names[annotation["image_id"]]].append(annotation)
        else:
            orphans[annotation["image_id"]] += 1
    return CocoIndex(
        names,
        categories,
        {name: tuple(members) for name, members in annotations_by_name.items()},
        {name: size for name, size in sizes.items() if size is not None},
        orphans,
        tuple(broken),
    )


def _fault(annotation: Any) -> str:  # noqa: ANN401 - from a file
    """The fault by which an annotation names no image, or an empty text."""
    if not isinstance(annotation, dict):
        return f"it is {reprlib.repr(annotation)}, expected an object"
    image = annotation.get("image_id")
    if not isinstance(image, int | float | str):
        return f"its image_id is {reprlib.repr(image)}, expected a number or a text"
    return ""


def _listed_size(image: Annotation) -> tuple[int, int] | None:
    """Rows and columns of an image by its entry; None where the entry lacks one."""
    size = image.get("height"), image.get("width")
    if all(isinstance(side, int) and side > 0 for side in size):
        return size  # type: ignore[return-value]
    return None


def check_image_size(coco: CocoIndex, name: str, shape: tuple[int, int]) -> None:
    """Check the size of an image against a COCO file.

    Raises:
        RejectedError: If they differ.
    """
    check_label_size("the index says", coco.sizes.get(name, shape), shape)


def _file_name(name: Any) -> str:  # noqa: ANN401 - from a file
    if not isinstance(name, str):
        raise TypeError(f"file_name {name!r}")
    return normalized_path(name)


def first_existing(folder: Folder, candidates: Iterable[str]) -> str | None:
    """The first of the paths below the source's directory that exists."""
    return next((below for below in candidates if folder.path(below).is_file()), None)


def available_indexes(folder: Folder) -> list[tuple[str, IndexLayout]]:
    """The source's indexes that are there, with their paths.

    Raises:
        DataError: If none is.
    """
    layout = folder.source.layout
    assert isinstance(layout, tuple)
    available = [(path, index) for index in layout if (path := first_existing(folder, index.files))]
    if not available:
        expected = " or ".join(index.files[0] for index in layout)
        raise DataError(f"{folder.directory} holds no {folder.source.name}; expected {expected}")
    return available


def coco_items(folder: Folder) -> list[ImageItem]:
    """The images that the source's indexes list, by path.

    Raises:
        DataError: If no index is there, one is broken, an image lies outside the directory, or its
            split is none.
    """
    items = []
    for path, index in available_indexes(folder):
        split = parse_split(index.split, folder.directory / path)
        for name in load_coco(folder.path(path)).annotations:
            key = image_key(folder, index, name)
            items.append(ImageItem(key, scene_group(folder, key, key), split, path))
    return sorted(items, key=lambda item: item.key)


def image_key(folder: Folder, index: IndexLayout, name: str) -> str:
    """Path of an image that an index names, below the source's directory."""
    key = normalized_path(
        f"{normalized_path(index.images)}/{name}" if normalized_path(index.images) else name
    )
    folder.path(key)
    return key


def coco_entry(reading: Reading) -> tuple[IndexLayout, CocoIndex, str]:
    """The index that lists the item, its content, and the name of the item's image in it.

    Raises:
        RejectedError: If it does not list it.
    """
    folder, item = reading.folder, reading.item
    coco = load_coco(reading.label_path)
    for path, index in available_indexes(folder):
        base = normalized_path(index.images)
        name = item.key.removeprefix(f"{base}/" if base else "")
        if path == item.label and name in coco.annotations:
            return index, coco, name
    raise RejectedError("missing_label", f"{item.label} has no entry for the image")


def record_coco_orphans(source_reading: Reading) -> None:
    """Record annotations without an image, for each index; see `record_index_orphans`."""
    for path, _ in available_indexes(source_reading.folder):
        record_index_orphans(source_reading, path, load_coco(source_reading.folder.path(path)))


def record_index_orphans(source_reading: Reading, path: str, coco: CocoIndex) -> None:
    """Record each image that annotations of an index refer to and that it does not list.

    Entries that are no annotations are recorded one by one.
    """
    for image, count in coco.orphans.items():
        detail = f"{path} has {count} annotations of image {image!r}, which it does not list"
        source_reading.record("missing_image", detail, count, 0)
    for problem in coco.broken:
        source_reading.record("broken_label", f"{path}: {problem}")


def coco_labels(reading: Reading, image: DecodedImage) -> Labels:
    """The objects and boxes of an image.

    Raises:
        RejectedError: If its index has no entry for it, or one of another size.
    """
    _, coco, name = coco_entry(reading)
    return labels_of_image(reading, coco, name, image.pixels.shape[:2])


def labels_of_image(reading: Reading, coco: CocoIndex, name: str, shape: tuple[int, int]) -> Labels:
    """Objects and boxes of the image that a COCO file calls `name`; broken ones are recorded.

    Raises:
        RejectedError: If the image has another size than the file states.
    """
    check_image_size(coco, name, shape)
    objects: list[LabelledObject] = []
    boxes: list[LabelledBox] = []
    for annotation in coco.annotations[name]:
        try:
            label = _shape(reading, coco, annotation, shape)
        except RejectedError as error:
            reading.record(error.rule, f"annotation {annotation.get('id')}: {error}", error.value)
            continue
        if isinstance(label, LabelledObject):
            objects.append(label)
        elif label is not None:
            boxes.append(label)
    table = reading.folder.table
    listed = {table.category_of_name(label) for label in coco.categories.values()}
    labelled = frozenset(number for number in listed if number and table.is_target(number))
    return Labels(objects=larger_first(objects), boxes=boxes, labelled=labelled)


def _shape(
    reading: Reading, coco: CocoIndex, annotation: Annotation, shape: tuple[int, int]
) -> LabelledObject | LabelledBox | None:
    """The label of one annotation; None where its class has no category or nobody knows it."""
    category = annotation_category(reading, coco, annotation.get("category_id"))
    if not category:
        return None
    if annotation.get("iscrowd"):
        raise RejectedError("crowd", "a mask of many objects together")
    outline = annotation.get("segmentation")
    label = (
        object_from_segmentation(category, outline, shape)
        if outline
        else _boxed(category, annotation, shape)
    )
    if label is None:
        raise RejectedError("outside_image", f"nothing of it lies in the image of {shape} (H, W)")
    return label


def annotation_category(reading: Reading, coco: CocoIndex, number: Any) -> int:  # noqa: ANN401 - from a file
    """The category that a COCO category id means; 0 where it is nothing, unknown or recorded so.

    Raises:
        RejectedError: If the file has no such category.
    """
    name = coco.categories.get(number) if isinstance(number, int) else None
    if name is None:
        raise RejectedError("unknown_id", f"category {number!r} is not in the file")
    category = reading.category(name)
    return category if category is not None and reading.folder.table.is_target(category) else 0


def object_from_segmentation(
    category: int,
    outline: Any,  # noqa: ANN401 - from a file
    shape: tuple[int, int],
) -> LabelledObject | None:
    """An object from a COCO segmentation: polygons, or run-lengths."""
    if isinstance(outline, list) and isinstance(outline[0], dict):
        outline = outline[0]
    if isinstance(outline, list):
        return object_from_polygons(category, outline, shape)
    return object_from_rle(category, outline, shape)


def _boxed(category: int, annotation: Annotation, shape: tuple[int, int]) -> LabelledBox | None:
    try:
        x, y, width, height = (float(value) for value in annotation["bbox"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RejectedError("broken_label", f"neither segmentation nor bbox: {error!r}") from error
    return box_from_corners(category, upright_corners(x, y, x + width, y + height), shape)
