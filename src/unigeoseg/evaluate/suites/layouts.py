"""Layouts of suites on disk: samples in order, and pixels by the name of an image."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.exchange.benchmark import read_benchmark
from unigeoseg.data.ledger import Rejection
from unigeoseg.data.sources.annotated import AnnotatedImage, LabelledText
from unigeoseg.data.sources.readers import open_labelled_source
from unigeoseg.data.sources.readers.images import read_image
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.taxonomy.categories import taxonomy
from unigeoseg.errors import DataError
from unigeoseg.evaluate.suites.catalog import Suite
from unigeoseg.geo.masks import encode_mask
from unigeoseg.prompt import Prompt, Task
from unigeoseg.sample import Sample


@dataclass(frozen=True, eq=False)
class Layout(ABC):
    """A suite with its files; it can be pickled.

    Attributes:
        suite: Its row of the catalogue.
        folder: Where its files are.
    """

    suite: Suite
    folder: Path

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """Samples in order, with their truth.

        Raises:
            DataError: If files are missing or damaged; the message counts them.
        """

    def pixels(self, image: str) -> NDArray[np.uint8]:
        """Pixels (H, W, 3) uint8 RGB of the image that samples name.

        Raises:
            DataError: If it cannot be read.
        """
        return read_image(self.folder / image).pixels


class ReleasedLayout(Layout):
    """GeoSeg-Bench as it is released: images, masks and questions that test.json lists."""

    def samples(self) -> Iterator[Sample]:
        """As `Layout.samples`."""
        errors: list[DataError] = []
        for sample, _ in read_benchmark(self.folder, self.suite.licence, errors.append):
            yield sample
        if errors:
            raise DataError(
                f"{self.suite.name} in {self.folder} is not whole: {len(errors)} entries cannot be "
                f"read{self._missing()}; the first: {errors[0]}"
            )

    def _missing(self) -> str:
        """How many of the files that the lists name are not there."""
        missing = Counter[str]()
        for listing in sorted(self.folder.glob("**/test.json")):
            entries = json.loads(listing.read_text(encoding="utf-8"))
            missing.update(
                kind
                for entry in entries
                for kind in ("img", "mask", "json")
                if not (self.folder / str(entry[kind])).is_file()
            )
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(missing.items()))
        return f", missing are {counts}" if counts else ""


class ShardLayout(Layout):
    """A dataset in shards, as `unigeoseg data build` writes it."""

    @cached_property
    def _dataset(self) -> Dataset:
        return Dataset.open(self.folder)

    def samples(self) -> Iterator[Sample]:
        """As `Layout.samples`."""
        return self._dataset.samples(split=self.suite.split)

    def pixels(self, image: str) -> NDArray[np.uint8]:
        """As `Layout.pixels`."""
        return self._dataset.image(image)


class CatalogueLayout(Layout):
    """A source of the data catalogue with instructions of its own."""

    def samples(self) -> Iterator[Sample]:
        """As `Layout.samples`."""
        rejections: list[Rejection] = []
        source = open_labelled_source(self.suite.source, self.folder, rejections.append)
        items = [item for item in source.items if item.split == self.suite.split]
        for item in items:
            image = source.read(item, rejections.append)
            if image is not None:
                yield from map(_sample_maker(image), image.texts)
        if not items or rejections:
            raise DataError(_incomplete(self, len(items), rejections))


def _sample_maker(image: AnnotatedImage) -> Callable[[LabelledText], Sample]:
    """A function that makes samples of the published texts of one image."""
    height, width = image.pixels.shape[:2]

    def sample(text: LabelledText) -> Sample:
        mask = np.zeros((height, width), np.bool_)
        if text.target is not None:
            x, y, part = text.target.x, text.target.y, text.target.mask
            mask[y : y + part.shape[0], x : x + part.shape[1]] = part
        return Sample(
            image=image.key,
            width=width,
            height=height,
            prompt=Prompt.from_text(text.text, text.task),
            rle=encode_mask(mask),
            category=taxonomy()[text.category].name if text.category else "",
            source=image.source,
            licence=image.licence,
            group=image.group,
            answer=text.answer,
            family="referring" if text.task is Task.REFERRING else "attribute",
            category_id=text.category,
            split=image.split,
            writer="published",
        )

    return sample


def _incomplete(layout: Layout, images: int, rejections: list[Rejection]) -> str:
    suite = f"{layout.suite.name} in {layout.folder}"
    if not images:
        return f"{suite} has no image in its split {layout.suite.split!r}; check the folder"
    counts = Counter(rejection.rule for rejection in rejections)
    rules = ", ".join(f"{rule} {count}" for rule, count in sorted(counts.items()))
    first = rejections[0]
    return f"{suite} is not whole: {rules}; the first is {first.key}: {first.detail}"
