"""Opening of sources: their images as a list, read one by one by any worker in any order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from unigeoseg.data.ledger import RejectionHandler
from unigeoseg.data.sources.annotated import UNKNOWN, AnnotatedImage
from unigeoseg.data.sources.catalog import catalog_source
from unigeoseg.data.sources.readers import boxes, coco, geojson, labelled, masks, texts
from unigeoseg.data.sources.readers.declared import (
    DECLARATION,
    META,
    read_declaration,
    read_labelled_set_meta,
)
from unigeoseg.data.sources.readers.images import DecodedImage, read_image
from unigeoseg.data.sources.readers.reading import Folder, ImageItem, Labels, Reading, RejectedError
from unigeoseg.data.sources.source import ReaderName, Source
from unigeoseg.errors import DataError
from unigeoseg.geo.masks import has_data


@dataclass(frozen=True, slots=True)
class _Reader:
    """The functions of one reader: list the images, read one's labels, record orphans."""

    items: Callable[[Folder], list[ImageItem]]
    labels: Callable[[Reading, DecodedImage], Labels]
    record_orphans: Callable[[Reading], None] | None = None


_READERS: Mapping[ReaderName, _Reader] = MappingProxyType(
    {
        "masks": _Reader(masks.template_items, masks.mask_labels),
        "coco": _Reader(coco.coco_items, coco.coco_labels, coco.record_coco_orphans),
        "labelled": _Reader(
            labelled.labelled_set_items,
            labelled.labelled_set_labels,
            labelled.record_labelled_set_orphans,
        ),
        "yolo": _Reader(boxes.yolo_items, boxes.yolo_labels),
        "voc": _Reader(masks.template_items, boxes.voc_labels),
        "fair1m": _Reader(masks.template_items, boxes.fair1m_labels),
        "dota": _Reader(masks.template_items, boxes.dota_labels),
        "geojson": _Reader(masks.template_items, geojson.geojson_labels),
        "refer": _Reader(texts.refer_items, texts.refer_labels, texts.record_refer_orphans),
        "phrases": _Reader(texts.phrase_items, texts.phrase_labels),
        "questions": _Reader(masks.template_items, texts.question_labels),
    }
)


@dataclass(frozen=True, eq=False)
class OpenSource:
    """A source with its directory. It can be pickled; workers read their indexes themselves.

    Attributes:
        source: The row.
        directory: Where its files are.
    """

    source: Source
    directory: Path

    def __reduce__(self) -> tuple[type["OpenSource"], tuple[Source, Path]]:
        """Pickle the row and the directory alone, so that workers get little."""
        return OpenSource, (self.source, self.directory)

    @cached_property
    def folder(self) -> Folder:
        """The directory with the row's class table."""
        return Folder(self.source, self.directory, self.source.class_table())

    @cached_property
    def items(self) -> list[ImageItem]:
        """Its images, by path; small and picklable.

        Raises:
            DataError: If there is none, or an index is broken.
        """
        return _READERS[self.source.reader].items(self.folder)

    def record_source_problems(self, reject: RejectionHandler) -> None:
        """Record what concerns the whole source, once.

        That is every declared class that the taxonomy does not know, and how many entries of its
        indexes have no image.

        Raises:
            DataError: If an index is missing or broken.
        """
        source_reading = Reading(self.folder, ImageItem(key="", group=""), reject)
        for name in self.folder.table.unmatched:
            detail = f"the taxonomy does not know the class {name!r}; its pixels are unknown"
            source_reading.record("unknown_class", detail)
        record_orphans = _READERS[self.source.reader].record_orphans
        if record_orphans is not None:
            record_orphans(source_reading)

    def read(self, item: ImageItem, reject: RejectionHandler) -> AnnotatedImage | None:
        """Read one image with its labels.

        Args:
            item: One of `items`.
            reject: Records what is dropped, of the whole image too.

        Returns:
            The image, or None if it is unusable; that was recorded.

        Raises:
            DataError: If an index that lists many images is broken.
        """
        reading = Reading(self.folder, item, reject)
        try:
            image = read_image(self.folder.path(item.key), self.source.bands)
            labels = _READERS[self.source.reader].labels(reading, image)
        except RejectedError as error:
            reading.record(error.rule, str(error), error.value, error.limit)
            return None
        reading.record_unknown_classes()
        return self._joined(item, image, labels)

    def _joined(self, item: ImageItem, image: DecodedImage, labels: Labels) -> AnnotatedImage:
        classes = labels.classes
        if classes is not None and image.valid is not None:
            classes = np.where(has_data(image.valid), classes, UNKNOWN)
        on_ground = image.grid.gsd_m if image.grid is not None else None
        return AnnotatedImage(
            source=self.source.name,
            key=item.key,
            group=f"{self.source.name}/{item.group}",
            licence=self.source.licence,
            gsd_m=labels.gsd_m or on_ground or self.source.gsd_m,
            grid=image.grid,
            pixels=image.pixels,
            classes=classes,
            objects=tuple(labels.objects),
            boxes=tuple(labels.boxes),
            texts=tuple(labels.texts),
            labelled=frozenset() if labels.texts else self.folder.table.labelled | labels.labelled,
            split=item.split,
        )


def open_labelled_source(
    source: Source | str, directory: str | Path, reject: RejectionHandler
) -> OpenSource:
    """Open a source for reading.

    Args:
        source: A row, or the name of one of the catalogue's.
        directory: Where its files are, as published.
        reject: Records what concerns all of it: declared classes that nobody knows, entries of its
            indexes without an image.

    Raises:
        DataError: If there is no such row or directory, a class code makes no sense, or an index
            is missing or broken.
    """
    row = catalog_source(source) if isinstance(source, str) else source
    path = Path(directory)
    if not path.is_dir():
        raise DataError(f"{path} is not a directory; give the folder of {row.name}")
    opened = OpenSource(row, path)
    opened.record_source_problems(reject)
    return opened


def declared_source(directory: str | Path) -> Source:
    """The source that a folder declares itself to be.

    Raises:
        DataError: If neither `source.json` nor `meta.json` is there, or it is broken.
    """
    path = Path(directory)
    if (path / DECLARATION).is_file():
        return read_declaration(path)
    if (path / META).is_file():
        return read_labelled_set_meta(path)
    raise DataError(
        f"{path} has neither {DECLARATION} nor {META}; name a source of the catalogue, or declare "
        f"the data in {path / DECLARATION}"
    )
