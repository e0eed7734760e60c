"""Base of the readers: images to be read, their labels, and the rejection of what is unusable."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.sources.annotated import LabelledBox, LabelledObject, LabelledText
from unigeoseg.data.sources.source import ClassTable, Source
from unigeoseg.errors import DataError

MAX_LABEL_BYTES = 64 * 2**20
"""Largest label file of a single image that is read."""
MAX_INDEX_BYTES = 4 * 2**30
"""Largest file that lists the labels of many images that is read."""
MAX_PATH_BYTES, MAX_NAME_BYTES = 1024, 255
"""Longest path below a source's directory, and longest part of it."""

_MAX_NAME_CHARS = 80  # of a class name or a path that a message shows
_MAX_DETAIL_CHARS = 500  # of a rejection; a parser's message may quote all of a file
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

Rule = Literal[
    "missing_image",
    "unreadable_image",
    "image_size",
    "empty_image",
    "missing_label",
    "missing_entry",
    "broken_label",
    "label_size",
    "lossy_mask",
    "unknown_id",
    "unknown_colour",
    "unknown_class",
    "outside_image",
    "box_extent",
    "crowd",
]


class RejectedError(DataError):
    """An image or a label is unusable; the run goes on without it.

    Args:
        rule: The rule that it broke.
        detail: What came and what was expected.
        value: The measured value.
        limit: The rule's limit.
    """

    def __init__(
        self, rule: Rule, detail: str, value: float | None = None, limit: float | None = None
    ) -> None:
        super().__init__(detail)
        self.rule = rule
        self.value = value
        self.limit = limit


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One image of a source, described without opening it.

    Attributes:
        key: Its path below the source's directory.
        group: Its scene.
        split: The published split, or empty.
        label: Path of its label file or of the index that lists it; empty if it has none.
    """

    key: str
    group: str
    split: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of one image; see `AnnotatedImage` for the fields.

    `labelled` adds to the categories of the source's class table.
    """

    classes: NDArray[np.uint16] | None = None
    objects: Sequence[LabelledObject] = ()
    boxes: Sequence[LabelledBox] = ()
    texts: Sequence[LabelledText] = ()
    gsd_m: float | None = None
    labelled: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """A source's directory with its row and its class table.

    Attributes:
        source: The row.
        directory: Where its files are.
        table: The categories of its class codes.
    """

    source: Source
    directory: Path
    table: ClassTable

    def path(self, below: str) -> Path:
        """A path below the directory.

        Raises:
            DataError: If it leads out of the directory, is too long, or is no text in UTF-8.
        """
        parts = PurePosixPath(normalized_path(below)).parts
        if not parts or ".." in parts or parts[0] == "/" or "\0" in below:
            raise DataError(f"{below!r} leads out of {self.directory}; file names must stay inside")
        try:
            sizes = [len(part.encode()) for part in parts]
        except UnicodeEncodeError as error:
            raise DataError(f"{below!r} in {self.directory} is not UTF-8; rename it") from error
        if max(sizes) > MAX_NAME_BYTES or sum(sizes) > MAX_PATH_BYTES:
            raise DataError(
                f"{below[:_MAX_NAME_CHARS]!r}... is no file name: {sum(sizes)} bytes; at most "
                f"{MAX_PATH_BYTES} are read, {MAX_NAME_BYTES} in a part"
            )
        return self.directory.joinpath(*parts)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One item being read.

    Attributes:
        folder: The source that it belongs to.
        item: The image.
        reject: Records rejections.
        unknown: How many objects had each class name that nobody knows.
    """

    folder: Folder
    item: ImageItem
    reject: RejectionHandler
    unknown: Counter[str] = field(default_factory=Counter)

    def record(
        self, rule: Rule, detail: str, value: float | None = None, limit: float | None = None
    ) -> None:
        """Record that something of the item was dropped."""
        name = self.folder.source.name
        message = " ".join(replace_directory(detail, self.folder.directory, name).split())
        if len(message) > _MAX_DETAIL_CHARS:
            message = f"{message[:_MAX_DETAIL_CHARS]}..."
        self.reject(Rejection("read", rule, name, self.item.key, message, value, limit))

    def at(self, key: str) -> "Reading":
        """The reading of another image of the source, of which nothing but its path is known."""
        return Reading(self.folder, ImageItem(key, group=""), self.reject)

    def category(self, name: str) -> int | None:
        """Category of an object's class name; None, and counted, if nobody knows it."""
        category = self.folder.table.category_of_name(name)
        if category is None:
            self.count_unknown(name)
        return category

    def count_unknown(self, name: str) -> None:
        """Count an object whose class nobody knows."""
        self.unknown[name[:_MAX_NAME_CHARS]] += 1

    def record_unknown_classes(self) -> None:
        """Record how many objects had each class that nobody knows."""
        for name, count in sorted(self.unknown.items()):
            detail = f"{count} objects of the class {name!r}, which the taxonomy does not know"
            self.record("unknown_class", detail, count, 0)

    @property
    def label_path(self) -> Path:
        """The item's label file.

        Raises:
            RejectedError: If it has none.
        """
        label = self.item.label
        path = self.folder.path(label) if label else None
        if path is None or not path.is_file():
            raise RejectedError(
                "missing_label", f"{label or 'a label file'} is missing beside the image"
            )
        return path


def replace_directory(text: str, directory: Path, name: str) -> str:
    """A message with `name` in place of a source's directory: the same on every machine.

    A directory that is not absolute names no place, and its name may be any word of a text.
    """
    if not directory.is_absolute():
        return text
    place = str(directory)
    for spelling in (place, repr(place)[1:-1]):  # errors of the system quote it as Python does
        text = text.replace(spelling, name)
    return text


def normalized_path(path: str) -> str:
    """A relative path in normal form: "./a//b" is "a/b", "." is empty.

    A backslash is "/", as on the system that wrote it.
    """
    normalized = str(PurePosixPath(path.replace("\\", "/")))
    return "" if normalized == "." else normalized


def check_label_size(origin: str, size: tuple[int, ...], image_size: tuple[int, ...]) -> None:
    """Check that a label is of its image's size.

    Args:
        origin: The source of the label's size, with its verb: "the mask is", "the index says".
        size: Rows and columns (H, W) of the label.
        image_size: Those of the image.

    Raises:
        RejectedError: If they differ: outlines of another size mean other places.
    """
    if size != image_size:
        raise RejectedError(
            "label_size", f"{origin} {size} (H, W), its image is {image_size}; make them equal"
        )


def file_version(path: Path) -> tuple[int, int]:
    """Time of change (ns) and size (bytes) of a file: the key of what is cached of it.

    Raises:
        DataError: If there is no such file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return status.st_mtime_ns, status.st_size


def read_label_text(path: Path, limit: int = MAX_LABEL_BYTES) -> str:
    """Text of a label file, UTF-8 with or without a mark at its start.

    Raises:
        RejectedError: If it is larger than `limit` bytes, unreadable or not UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise RejectedError(
                "broken_label", f"{path.name} has {size} bytes; split it", size, limit
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RejectedError(
            "broken_label", f"{path.name} cannot be read as UTF-8: {error}"
        ) from error


def read_label_json(path: Path, limit: int = MAX_LABEL_BYTES) -> Any:  # noqa: ANN401 - JSON is any
    """Value of a JSON file.

    Raises:
        RejectedError: If it cannot be read, is no JSON, or holds text that is not Unicode.
    """
    text = read_label_text(path, limit)
    try:
        content = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(content, ensure_ascii=False).encode()  # fails at half a surrogate pair
        return content
    except (ValueError, RecursionError) as error:
        raise RejectedError("broken_label", f"{path.name} is not valid JSON: {error}") from error
