"""Reading a dataset: samples in order, images and patches by id, with bounded memory."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.store.parquet import Row, read_batches, read_row_group, read_rows, read_schema
from unigeoseg.data.store.rows import patch_from_row, sample_from_row
from unigeoseg.data.store.schema import IMAGE_GROUP, IMAGES, TRIPLETS, VERSION
from unigeoseg.data.store.summary import SUMMARY, DatasetSummary, read_summary
from unigeoseg.errors import DataError
from unigeoseg.geo.png import decode_png
from unigeoseg.sample import Sample


@dataclass(frozen=True)
class Dataset:
    """A dataset on disk; open one with `Dataset.open`.

    Attributes:
        path: Its directory.
        summary: What `dataset.json` says: counts, options, licences, hashes of the files.
    """

    path: Path
    summary: DatasetSummary

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Open a dataset; of its shards only the columns are looked at.

        Raises:
            DataError: If there is no whole dataset, or it or a shard is of another version, or a
                shard is missing, damaged or has other columns.
        """
        dataset = cls.unchecked(path)
        dataset.check_columns()
        return dataset

    @classmethod
    def unchecked(cls, path: Path) -> "Dataset":
        """A dataset as its summary describes it; its shards may be damaged or missing.

        Raises:
            DataError: If there is no summary, or it is damaged or of another version.
        """
        return cls(path, read_summary(path))

    def check_columns(self) -> None:
        """Check that every shard is there and has the columns of this version.

        Raises:
            DataError: If one is missing, damaged or has other columns.
        """
        shards = [(shard, IMAGES) for shard in self.images]
        for shard, schema in [*shards, *((shard, TRIPLETS) for shard in self.triplets)]:
            stored = read_schema(shard)
            if stored != schema or stored.metadata != schema.metadata:
                raise DataError(
                    f"{shard} has other columns than schema {VERSION}, or says another schema; "
                    "build it again"
                )

    def __reduce__(self) -> tuple[type["Dataset"], tuple[Path, DatasetSummary]]:
        """Pickle without what is cached: a copy in another process reads for itself."""
        return type(self), (self.path, self.summary)

    @property
    def images(self) -> list[Path]:
        """Shards of images, in order."""
        return self._shards("images-")

    @property
    def triplets(self) -> list[Path]:
        """Shards of triplets, in order."""
        return self._shards("triplets-")

    def samples(self, *, split: str | None = None, family: str | None = None) -> Iterator[Sample]:
        """Triplets in order.

        Args:
            split: "train", "val" or "test" alone.
            family: One family alone.

        Raises:
            DataError: If a shard is damaged.
        """
        for row in self.rows(split=split, family=family):
            yield sample_from_row(row)

    def rows(self, *, split: str | None = None, family: str | None = None) -> Iterator[Row]:
        """Triplets as they are stored; see `samples`."""
        for shard in self.triplets:
            for row in read_rows(shard):
                if split in (None, row["split"]) and family in (None, row["family"]):
                    yield row

    def records(self, *, split: str | None = None) -> Iterator[tuple[Row, list[Row]]]:
        """Each image as it is stored and its triplets, in order.

        Raises:
            DataError: If a shard is damaged, or triplets and images are not in one order.
        """
        triplets = groupby(self.rows(split=split), key=lambda row: row["image"])
        image, members = next(triplets, (None, iter(())))
        for row in self.image_rows():
            if row["id"] == image:
                yield row, list(members)
                image, members = next(triplets, (None, iter(())))
        if image is not None:
            raise DataError(
                f"{self.path}: triplet {next(members)['id']} is of image {image}, which is not "
                "among the images, or not in their order; build the dataset again"
            )

    def image_rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Images as they are stored, in order."""
        for shard in self.images:
            yield from read_rows(shard, columns, batch_rows=IMAGE_GROUP)

    def image(self, image: str) -> NDArray[np.uint8]:
        """Pixels (H, W, 3) uint8 RGB of an image, by its id.

        Raises:
            DataError: If there is none, or it is damaged.
        """
        return decode_png(self._row(image)["bytes"], image)

    def patch(self, image: str) -> Patch:
        """An image with its regions, as its instructions were written for it, by its id.

        Raises:
            DataError: If there is none, or it is damaged.
        """
        return patch_from_row(self._row(image))

    def _shards(self, prefix: str) -> list[Path]:
        names = sorted(name for name in self.summary.files if name.startswith(prefix))
        if not names:
            raise DataError(f"{self.path / SUMMARY} names no shards {prefix}*.parquet")
        return [self.path / name for name in names]

    def _row(self, image: str) -> Row:
        names, order, ends = self._index
        key = np.bytes_(image.encode())
        at = int(np.searchsorted(names, key, sorter=order)) if len(names) else 0
        if at == len(names) or names[order[at]] != key:
            raise DataError(f"{self.path} has no image {image!r}; take ids from its triplets")
        place = int(order[at])
        shard = bisect_right(ends, place)
        within = place - (ends[shard - 1] if shard else 0)
        return self._group(self.images[shard], within // IMAGE_GROUP)[within % IMAGE_GROUP]

    @cached_property
    def _index(self) -> tuple[NDArray[np.bytes_], NDArray[np.intp], list[int]]:
        """Ids of all images, their order by id, and the number of images up to each shard."""
        shards = [
            [name for batch in read_batches(shard, ["id"]) for name in batch.column(0).to_pylist()]
            for shard in self.images
        ]
        names = np.array([name for shard in shards for name in shard], np.bytes_)
        return names, np.argsort(names, kind="stable"), list(accumulate(map(len, shards)))

    @cached_property
    def _group(self) -> Callable[[Path, int], list[Row]]:
        """Reads a row group of images; the last few are cached."""
        return lru_cache(maxsize=4)(read_row_group)
