"""COCO files: one index of objects with polygons, run-lengths or boxes for many images."""

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
    normalized_path,
    read_label_json,
)
from unigeoseg.data.sources.readers.shapes import box_of, from_rings, from_rle, upright
from unigeoseg.data.sources.readers.walk import scene_group
from unigeoseg.data.sources.source import IndexLayout, parse_split
from unigeoseg.errors import DataError

Annotation = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Coco:
    """A COCO file, by image.

    Attributes:
        names: Image id -> file name, as `plain_path` writes it; a file may have several ids.
        categories: Id -> class name; empty if the file has none.
        annotations: File name -> its annotations, in the order of the file; names in order.
        sizes: File name -> rows and columns (H, W) of the image, where the file says them.
        strays: How many annotations are of each image id that the file does not list.
        broken: Annotations that cannot be told an image, and why.
    """

    names: Mapping[Any, str]
    categories: Mapping[int, str]
    annotations: Mapping[str, tuple[Annotation, ...]]
    sizes: Mapping[str, tuple[int, int]]
    strays: Mapping[Any, int]
    broken: tuple[str, ...]


def load(path: Path) -> Coco:
    """Read a COCO file, once per process and version of the file.

    Raises:
        DataError: If it is no COCO file.
    """
    try:
        seen = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return _load(path, seen.st_mtime_ns, seen.st_size)


@lru_cache(maxsize=8)
def _load(path: Path, _changed: int, _size: int) -> Coco:
    content = read_label_json(path, MAX_INDEX_BYTES)
    try:
        names = {image["id"]: _file_name(image["file_name"]) for image in content["images"]}
        categories = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        sizes = {_file_name(image["file_name"]): _said_size(image) for image in content["images"]}
        annotations = list(content["annotations"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path} is no COCO file ({error!r} missing or of the wrong type): it needs images, "
            "categories and annotations"
        ) from error
    found: dict[str, list[Annotation]] = {name: [] for name in sorted(names.values())}
    strays: Counter[Any] = Counter()
    broken = []
    for number, annotation in enumerate(annotations, start=1):
        fault = _fault(annotation)
        if fault:
            broken.append(f"annotation {number}: {fault}")
        elif annotation["image_id"] in names:
            found[names[annotation["image_id"]]].append(annotation)
        else:
            strays[annotation["image_id"]] += 1
    return Coco(
        names,
        categories,
        {name: tuple(members) for name, members in found.items()},
        {name: size for name, size in sizes.items() if size is not None},
        strays,
        tuple(broken),
    )


def _fault(annotation: Any) -> str:  # noqa: ANN401 - from a file
    """What keeps an annotation from being of an image, or nothing."""
    if not isinstance(annotation, dict):
        return f"it is {reprlib.repr(annotation)}, expected an object"
    image = annotation.get("image_id")
    if not isinstance(image, int | float | str):
        return f"its image_id is {reprlib.repr(image)}, expected a number or a text"
    return ""


def _said_size(image: Annotation) -> tuple[int, int] | None:
    """Rows and columns of an image's entry; None where it does not say both."""
    size = image.get("height"), image.get("width")
    if all(isinstance(side, int) and side > 0 for side in size):
        return size  # type: ignore[return-value]
    return None


def check_size(coco: Coco, name: str, shape: tuple[int, int]) -> None:
    """Check that a picture is as large as a COCO file says.

    Raises:
        Refused: If it is not: outlines of another size mean other places.
    """
    said = coco.sizes.get(name, shape)
    if said != shape:
        raise RejectedError(
            "label_size", f"the index says {said} (H, W), its image is {shape}; make them equal"
        )


def _file_name(name: Any) -> str:  # noqa: ANN401 - from a file
    if not isinstance(name, str):
        raise TypeError(f"file_name {name!r}")
    return normalized_path(name)


def index_path(folder: Folder, candidates: Iterable[str]) -> str | None:
    """The first of the paths below the source's directory that exists."""
    return next((below for below in candidates if folder.path(below).is_file()), None)


def indexes(folder: Folder) -> list[tuple[str, IndexLayout]]:
    """The source's indexes that are there, with their paths.

    Raises:
        DataError: If none is.
    """
    layout = folder.source.layout
    assert isinstance(layout, tuple)
    found = [(path, index) for index in layout if (path := index_path(folder, index.files))]
    if not found:
        expected = " or ".join(index.files[0] for index in layout)
        raise DataError(f"{folder.directory} holds no {folder.source.name}; expected {expected}")
    return found


def items(folder: Folder) -> list[ImageItem]:
    """The images that the source's indexes list, by path.

    Raises:
        DataError: If no index is there, one is broken, an image lies outside the directory, or its
            split is none.
    """
    found = []
    for path, index in indexes(folder):
        split = parse_split(index.split, folder.directory / path)
        for name in load(folder.path(path)).annotations:
            key = image_key(folder, index, name)
            found.append(ImageItem(key, scene_group(folder, key, key), split, path))
    return sorted(found, key=lambda item: item.key)


def image_key(folder: Folder, index: IndexLayout, name: str) -> str:
    """Path of an image that an index names, below the source's directory."""
    key = normalized_path(
        f"{normalized_path(index.images)}/{name}" if normalized_path(index.images) else name
    )
    folder.path(key)
    return key


def entry(reading: Reading) -> tuple[IndexLayout, Coco, str]:
    """The index that lists the item, what it says, and how it calls the item's image.

    Raises:
        Refused: If it does not list it.
    """
    folder, item = reading.folder, reading.item
    coco = load(reading.label_path)
    for path, index in indexes(folder):
        base = normalized_path(index.images)
        name = item.key.removeprefix(f"{base}/" if base else "")
        if path == item.label and name in coco.annotations:
            return index, coco, name
    raise RejectedError("missing_label", f"{item.label} has no entry for the image")


def strays(whole: Reading) -> None:
    """Note annotations without an image, for each index; see `note_strays`."""
    for path, _ in indexes(whole.folder):
        note_strays(whole, path, load(whole.folder.path(path)))


def note_strays(whole: Reading, path: str, coco: Coco) -> None:
    """Note each image that annotations of an index are of and that it does not list.

    Entries that are no annotations are noted one by one.
    """
    for image, count in coco.strays.items():
        detail = f"{path} has {count} annotations of image {image!r}, which it does not list"
        whole.note("missing_image", detail, count, 0)
    for said in coco.broken:
        whole.note("broken_label", f"{path}: {said}")


def labels(reading: Reading, image: DecodedImage) -> Labels:
    """The objects and boxes of an image.

    Raises:
        Refused: If its index has no entry for it, or one of another size.
    """
    _, coco, name = entry(reading)
    return gather(reading, coco, name, image.pixels.shape[:2])


def gather(reading: Reading, coco: Coco, name: str, shape: tuple[int, int]) -> Labels:
    """Objects and boxes of the image that a COCO file calls `name`; broken ones are noted.

    Raises:
        Refused: If the picture has another size than the file says.
    """
    check_size(coco, name, shape)
    objects: list[LabelledObject] = []
    boxes: list[LabelledBox] = []
    for annotation in coco.annotations[name]:
        try:
            found = _shape(reading, coco, annotation, shape)
        except RejectedError as error:
            reading.note(error.rule, f"annotation {annotation.get('id')}: {error}", error.value)
            continue
        if isinstance(found, LabelledObject):
            objects.append(found)
        elif found is not None:
            boxes.append(found)
    table = reading.folder.table
    known = {table.named(label) for label in coco.categories.values()}
    labelled = frozenset(number for number in known if number and table.targets(number))
    return Labels(objects=larger_first(objects), boxes=boxes, labelled=labelled)


def _shape(
    reading: Reading, coco: Coco, annotation: Annotation, shape: tuple[int, int]
) -> LabelledObject | LabelledBox | None:
    """One annotation; None where its class has no category or nobody knows it."""
    category = category_of(reading, coco, annotation.get("category_id"))
    if not category:
        return None
    if annotation.get("iscrowd"):
        raise RejectedError("crowd", "a mask of many objects together")
    outline = annotation.get("segmentation")
    found = outlined(category, outline, shape) if outline else _boxed(category, annotation, shape)
    if found is None:
        raise RejectedError("outside_image", f"nothing of it lies in the image of {shape} (H, W)")
    return found


def category_of(reading: Reading, coco: Coco, number: Any) -> int:  # noqa: ANN401 - from a file
    """Category of a COCO category id; 0 where it is nothing, unknown or was noted as such.

    Raises:
        Refused: If the file has no such category.
    """
    name = coco.categories.get(number) if isinstance(number, int) else None
    if name is None:
        raise RejectedError("unknown_id", f"category {number!r} is not in the file")
    category = reading.category(name)
    return category if category is not None and reading.folder.table.targets(category) else 0


def outlined(category: int, outline: Any, shape: tuple[int, int]) -> LabelledObject | None:  # noqa: ANN401
    """An object from a COCO segmentation: polygons, or run-lengths."""
    if isinstance(outline, list) and isinstance(outline[0], dict):
        outline = outline[0]
    if isinstance(outline, list):
        return from_rings(category, outline, shape)
    return from_rle(category, outline, shape)


def _boxed(category: int, annotation: Annotation, shape: tuple[int, int]) -> LabelledBox | None:
    try:
        x, y, width, height = (float(value) for value in annotation["bbox"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RejectedError("broken_label", f"neither segmentation nor bbox: {error!r}") from error
    return box_of(category, upright(x, y, x + width, y + height), shape)
