"""A cache of decoded patches in memory-mapped files: no training step waits for a decoder.

The files are made once per dataset and split; the operating system keeps in memory what fits.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.rows import patch_from_row
from unigeoseg.data.store.schema import VERSION
from unigeoseg.errors import DataError, OutputUnwritableError
from unigeoseg.runtime.atomic import atomic_directory
from unigeoseg.sample import Split

_NO_PIXELS = np.zeros((0, 0, 3), np.uint8)
_NO_REGIONS = np.zeros((0, 0), np.uint16)
_PIXEL_BYTES = 5
"""Bytes of one pixel: three of colour, two of its region."""


@dataclass(frozen=True, slots=True, eq=False)
class PatchCache:
    """The patches of one split, by number.

    Attributes:
        ids: Id of each image, in the order of the datasets.
        patches: Each patch without its pixels and regions.
        starts: Index in `pixels` of the first pixel of each patch.
        shapes: Height and width of each patch in pixels.
        pixels: (N, 3) uint8 RGB of all patches, each row by row.
        regions: (N,) uint16, the region of each pixel.
    """

    ids: Sequence[str]
    patches: Sequence[Patch]
    starts: Sequence[int]
    shapes: Sequence[tuple[int, int]]
    pixels: NDArray[np.uint8]
    regions: NDArray[np.uint16]

    @classmethod
    def of(cls, datasets: Sequence[Dataset], split: Split, folder: Path) -> "PatchCache":
        """Open the cache of a split in `folder`; it is written first if it is not there.

        Raises:
            DataError: If there is no image in the split, or a shard is damaged.
            OutputUnwritableError: If the disk has no room.
        """
        directory = folder / f"{split}-{datasets_key(datasets)}"
        rows = [
            row
            for dataset in datasets
            for row in dataset.image_rows(_COLUMNS)
            if row["split"] == split
        ]
        if not rows:
            names = ", ".join(str(dataset.path) for dataset in datasets)
            raise DataError(
                f"{names}: no image of the split {split}; give data with more groups, or, for val, "
                "train without validation (validation_batches=0)"
            )
        shapes = [(row["height"], row["width"]) for row in rows]
        sizes = [height * width for height, width in shapes]
        if not directory.is_dir():
            _write_cache(directory, datasets, split, sum(sizes))
        pixels = np.load(directory / "pixels.npy", mmap_mode="r")
        regions = np.load(directory / "regions.npy", mmap_mode="r")
        patches = [_patch_without_pixels(row) for row in rows]
        starts = [0, *np.cumsum(sizes)[:-1].tolist()]
        return cls([row["id"] for row in rows], patches, starts, shapes, pixels, regions)

    def category_shares(self) -> dict[tuple[str, int], float]:
        """By source and category, the share of the source's patches that show the category."""
        patch_counts = Counter(patch.source for patch in self.patches)
        category_counts = Counter(
            (patch.source, category)
            for patch in self.patches
            for category in set(patch.categories.values())
        )
        return {key: count / patch_counts[key[0]] for key, count in category_counts.items()}

    def __getitem__(self, number: int) -> Patch:
        """A patch with its pixels, views of the memory-mapped files."""
        start, (height, width) = self.starts[number], self.shapes[number]
        stop = start + height * width
        return replace(
            self.patches[number],
            pixels=self.pixels[start:stop].reshape(height, width, 3),
            regions=self.regions[start:stop].reshape(height, width),
        )


_COLUMNS = (
    "id width height source key x y group licence gsd_m crs transform split labelled regions"
).split()


def _patch_without_pixels(row: dict[str, object]) -> Patch:
    """The patch of a dataset's row without georeference, pixels and regions."""
    regions = row["regions"]
    assert isinstance(regions, list)
    copied = {name: row[name] for name in "source key x y group licence gsd_m split".split()}
    return Patch(
        **copied,  # type: ignore[arg-type]
        grid=None,
        pixels=_NO_PIXELS,
        regions=_NO_REGIONS,
        categories={region["region"]: region["category"] for region in regions},
        labelled=frozenset(row["labelled"]),  # type: ignore[call-overload]
    )


def datasets_key(datasets: Sequence[Dataset]) -> str:
    """A key of some datasets in their order: 16 hexadecimal digits over their files' hashes."""
    content = json.dumps([VERSION, *(dict(dataset.summary.files) for dataset in datasets)])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write_cache(directory: Path, datasets: Sequence[Dataset], split: Split, total: int) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory.parent).free
    if free < total * _PIXEL_BYTES:
        raise OutputUnwritableError(
            f"{directory} needs {total * _PIXEL_BYTES / 1e9:.1f} GB for decoded images, "
            f"{free / 1e9:.1f} GB are free; make room or name another folder"
        )
    with atomic_directory(directory) as temporary:
        _write_arrays(temporary, datasets, split, total)


def _write_arrays(folder: Path, datasets: Sequence[Dataset], split: Split, total: int) -> None:
    create = np.lib.format.open_memmap
    pixels = create(folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=(total, 3))
    regions = create(folder / "regions.npy", mode="w+", dtype=np.uint16, shape=(total,))
    start = 0
    for dataset in datasets:
        for row in dataset.image_rows():
            if row["split"] == split:
                patch = patch_from_row(row)
                stop = start + patch.regions.size
                pixels[start:stop] = patch.pixels.reshape(-1, 3)
                regions[start:stop] = patch.regions.ravel()
                start = stop
    pixels.flush()
    regions.flush()
