"""Readers of box files beside each image: YOLO, Pascal VOC, FAIR1M and DOTA."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ParamSpec
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from unigeoseg.data.sources.annotated import LabelledBox
from unigeoseg.data.sources.readers import masks
from unigeoseg.data.sources.readers.images import DecodedImage
from unigeoseg.data.sources.readers.reading import (
    Folder,
    ImageItem,
    Labels,
    Reading,
    RejectedError,
    check_label_size,
    read_label_text,
)
from unigeoseg.data.sources.readers.shapes import box_from_corners, upright_corners
from unigeoseg.data.sources.source import MAX_ID_DIGITS
from unigeoseg.errors import DataError

Corners = Sequence[Sequence[float]]
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class ParsedBox:
    """One box of a file, before its class is looked up.

    Attributes:
        place: Its place in the file, for messages.
        name: Its class name, or its class id as text.
        corners: Four corners x, y in pixels, or why there are none.
    """

    place: str
    name: str
    corners: Corners | RejectedError


def yolo_items(folder: Folder) -> list[ImageItem]:
    """The images of the source, by path.

    Raises:
        DataError: If there is none, or not one has a label file: no file means no box, so a wrong
            template would make all of them empty.
    """
    items = masks.template_items(folder)
    if not any(folder.path(item.label).is_file() for item in items):
        raise DataError(
            f"{folder.directory} has {len(items)} images and no label file, expected "
            f"{items[0].label} or the like; check the template"
        )
    return items


def yolo_labels(reading: Reading, image: DecodedImage) -> Labels:
    """YOLO: `class x y width height`, or four corners, as shares of the image; no file, no box."""
    path = reading.folder.path(reading.item.label)
    height, width = image.pixels.shape[:2]
    lines = read_label_text(path).splitlines() if path.is_file() else []
    return _labels(reading, image, _yolo_boxes(lines, width, height))


def voc_labels(reading: Reading, image: DecodedImage) -> Labels:
    """Pascal VOC: `object/name` with `bndbox`, or `robndbox` with its corners (DIOR-R).

    Raises:
        RejectedError: If the file is missing or broken, or its `size` is not the image's.
    """
    root = _xml(read_label_text(reading.label_path))
    _check_size(root, image.pixels.shape[:2])
    return _labels(reading, image, _xml_boxes(root.iter("object"), "name", _voc_corners))


def fair1m_labels(reading: Reading, image: DecodedImage) -> Labels:
    """FAIR1M: `objects/object` with `possibleresult/name` and `points/point`, "x,y" each."""
    root = _xml(read_label_text(reading.label_path))
    return _labels(
        reading, image, _xml_boxes(root.iter("object"), "possibleresult/name", _fair1m_corners)
    )


def dota_labels(reading: Reading, image: DecodedImage) -> Labels:
    """DOTA: header lines, then `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`, a line per box."""
    lines = read_label_text(reading.label_path).splitlines()
    return _labels(reading, image, _dota_boxes(lines), _dota_gsd(lines))


def _labels(
    reading: Reading,
    image: DecodedImage,
    parsed_boxes: Iterator[ParsedBox],
    gsd_m: float | None = None,
) -> Labels:
    """Boxes with a category; the others are recorded."""
    boxes: list[LabelledBox] = []
    for item in parsed_boxes:
        try:
            boxes += _box(reading, item, image.pixels.shape[:2])
        except RejectedError as error:
            reading.record(error.rule, f"{item.place}: {error}", error.value, error.limit)
    return Labels(boxes=boxes, gsd_m=gsd_m)


def _box(reading: Reading, item: ParsedBox, shape: tuple[int, int]) -> list[LabelledBox]:
    if isinstance(item.corners, RejectedError):
        raise item.corners
    category = _category(reading, item.name)
    if category is None or not reading.folder.table.is_target(category):
        return []
    box = box_from_corners(category, item.corners, shape)
    if box is None:
        raise RejectedError("outside_image", f"nothing of it lies in the image of {shape} (H, W)")
    return [box]


def _category(reading: Reading, name: str) -> int | None:
    table = reading.folder.table
    if not (name.isdecimal() and table.ids):
        return reading.category(name)
    number = int(name) if len(name) <= MAX_ID_DIGITS else -1
    if number not in table.ids:
        raise RejectedError(
            "unknown_id", f"class {name[:MAX_ID_DIGITS]} has no name; declare it", number
        )
    if number in table.unmatched_ids:
        reading.count_unknown(table.unmatched_ids[number])
    return table.ids[number]


def _yolo_boxes(lines: Sequence[str], width: int, height: int) -> Iterator[ParsedBox]:
    for number, line in enumerate(lines, start=1):
        name, *words = line.split() or [""]
        if not name:
            continue
        corners = _attempt(_yolo_corners, words, width, height)
        yield ParsedBox(f"line {number}", name, corners)


def _yolo_corners(words: Sequence[str], width: int, height: int) -> Corners:
    values = _numbers(words)
    if len(values) == 8:
        return [(x * width, y * height) for x, y in _pairs(values)]
    if len(values) != 4:
        raise RejectedError(
            "broken_label", f"{len(values)} numbers; expected 4 or 8 after the class"
        )
    x, y, w, h = values
    left, top = (x - w / 2) * width, (y - h / 2) * height
    return upright_corners(left, top, left + w * width, top + h * height)


def _dota_boxes(lines: Sequence[str]) -> Iterator[ParsedBox]:
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or ":" in words[0]:
            continue
        corners = _attempt(_dota_corners, words[:8])
        yield ParsedBox(f"line {number}", words[8] if len(words) > 8 else "", corners)


def _dota_corners(words: Sequence[str]) -> Corners:
    values = _numbers(words)
    if len(values) != 8:
        raise RejectedError("broken_label", f"{len(values)} coordinates; expected 8 and a class")
    return _pairs(values)


def _dota_gsd(lines: Sequence[str]) -> float | None:
    """The header's `gsd:`, metres per pixel; None for "null"."""
    for line in lines[:2]:
        key, _, value = line.partition(":")
        if key.strip().lower() == "gsd":
            try:
                gsd = float(value)
            except ValueError:
                return None
            return gsd if math.isfinite(gsd) and gsd > 0 else None
    return None


def _xml(text: str) -> Element:
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise RejectedError(
            "broken_label", f"the XML is broken or has entities: {error}"
        ) from error
    return root


def _xml_boxes(
    objects: Iterator[Element], name: str, corners: Callable[[Element], Corners]
) -> Iterator[ParsedBox]:
    for number, item in enumerate(objects, start=1):
        corners_or_error = _attempt(corners, item)
        yield ParsedBox(f"object {number}", (item.findtext(name) or "").strip(), corners_or_error)


def _check_size(root: Element, shape: tuple[int, int]) -> None:
    """Reject a `size` that is not the image's; 0 and what is no number are ignored."""
    texts = [root.findtext(f"size/{side}", "").strip() for side in ("height", "width")]
    sides = [int(side) if side.isdecimal() and len(side) <= MAX_ID_DIGITS else 0 for side in texts]
    if all(sides):
        check_label_size("the label says", tuple(sides), shape)


def _voc_corners(item: Element) -> Corners:
    rotated = item.find("robndbox")
    if rotated is not None:
        ends = ("left_top", "right_top", "right_bottom", "left_bottom")
        return [[_number(rotated, f"{axis}_{end}") for axis in "xy"] for end in ends]
    box = item.find("bndbox")
    if box is None:
        raise RejectedError("broken_label", "an object without bndbox")
    return upright_corners(*(_number(box, side) for side in ("xmin", "ymin", "xmax", "ymax")))


def _fair1m_corners(item: Element) -> Corners:
    points = [_numbers((point.text or "").split(",")) for point in item.iterfind("points/point")]
    if len(points) == 5 and points[4] == points[0]:
        points.pop()
    if len(points) != 4 or any(len(point) != 2 for point in points):
        raise RejectedError("broken_label", f"{len(points)} points; expected four, each x,y")
    return points


def _number(parent: Element, tag: str) -> float:
    text = parent.findtext(tag)
    if text is None:
        raise RejectedError("broken_label", f"an object without {tag}")
    return _numbers([text])[0]


def _numbers(words: Sequence[str]) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise RejectedError("broken_label", f"no number: {error}") from error
    if not all(map(math.isfinite, values)):
        raise RejectedError("broken_label", "a coordinate is not finite")
    return values


def _attempt(
    corners: Callable[P, Corners], *args: P.args, **kwargs: P.kwargs
) -> Corners | RejectedError:
    try:
        return corners(*args, **kwargs)
    except RejectedError as error:
        return error


def _pairs(values: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(values[::2], values[1::2], strict=True))
