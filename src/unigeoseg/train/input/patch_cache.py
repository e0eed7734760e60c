"""Decoded patches in memory-mapped files, so that no step of training waits for a decoder.

The files are made once per dataset and split; the system keeps in memory what fits.
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
from unigeoseg.data.store.schema import VERSION, patch_of
from unigeoseg.errors import DataError, OutputUnwritableError
from unigeoseg.runtime.atomic import atomic_directory
from unigeoseg.sample import Split

_NO_PIXELS = np.zeros((0, 0, 3), np.uint8)
_NO_REGIONS = np.zeros((0, 0), np.uint16)
_BYTES = 5  # of one pixel: three of colour, two of its region


@dataclass(frozen=True, slots=True, eq=False)
class PatchCache:
    """The patches of one split, by number.

    Attributes:
        ids: Id of each image, in the order of the datasets.
        patches: Each patch without its pixels.
        starts: Where the pixels of each start.
        shapes: Height and width of each.
        pixels: (N, 3) uint8 RGB, all of them, row by row.
        regions: (N,) uint16.
    """

    ids: Sequence[str]
    patches: Sequence[Patch]
    starts: Sequence[int]
    shapes: Sequence[tuple[int, int]]
    pixels: NDArray[np.uint8]
    regions: NDArray[np.uint16]

    @classmethod
    def of(cls, datasets: Sequence[Dataset], split: Split, folder: Path) -> "PatchCache":
        """Open the cache of a split in `folder`, which is made first if it is not there.

        Raises:
            DataError: If there is no image in the split, or a shard is damaged.
            OutputUnwritableError: If the disk has no room.
        """
        place = folder / f"{split}-{key_of(datasets)}"
        rows = [
            row
            for dataset in datasets
            for row in dataset.image_rows(_PLAIN)
            if row["split"] == split
        ]
        if not rows:
            names = ", ".join(str(each.path) for each in datasets)
            raise DataError(
                f"{names}: no image of the split {split}; give data with more groups, or, for val, "
                "train without validation (validation_batches=0)"
            )
        shapes = [(row["height"], row["width"]) for row in rows]
        sizes = [height * width for height, width in shapes]
        if not place.is_dir():
            _write(place, datasets, split, sum(sizes))
        flat = np.load(place / "pixels.npy", mmap_mode="r")
        regions = np.load(place / "regions.npy", mmap_mode="r")
        blank = [_blank(row) for row in rows]
        starts = [0, *np.cumsum(sizes)[:-1].tolist()]
        return cls([row["id"] for row in rows], blank, starts, shapes, flat, regions)

    def shares(self) -> dict[tuple[str, int], float]:
        """By source and category, the share of the source's patches that show it."""
        total = Counter(patch.source for patch in self.patches)
        shown = Counter(
            (patch.source, category)
            for patch in self.patches
            for category in set(patch.categories.values())
        )
        return {key: count / total[key[0]] for key, count in shown.items()}

    def __getitem__(self, number: int) -> Patch:
        """A patch with its pixels; they are read when they are touched."""
        start, (height, width) = self.starts[number], self.shapes[number]
        stop = start + height * width
        return replace(
            self.patches[number],
            pixels=self.pixels[start:stop].reshape(height, width, 3),
            regions=self.regions[start:stop].reshape(height, width),
        )


_PLAIN = (
    "id width height source key x y group licence gsd_m crs transform split labelled regions"
).split()


def _blank(row: dict[str, object]) -> Patch:
    """A row's patch without georeference and pixels."""
    regions = row["regions"]
    assert isinstance(regions, list)
    kept = {name: row[name] for name in "source key x y group licence gsd_m split".split()}
    return Patch(
        **kept,  # type: ignore[arg-type]
        grid=None,
        pixels=_NO_PIXELS,
        regions=_NO_REGIONS,
        categories={each["region"]: each["category"] for each in regions},
        labelled=frozenset(row["labelled"]),  # type: ignore[call-overload]
    )


def key_of(datasets: Sequence[Dataset]) -> str:
    """The same text for the same datasets in the same order, by the hashes of their files."""
    said = json.dumps([VERSION, *(dict(each.summary["files"]) for each in datasets)])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _write(place: Path, datasets: Sequence[Dataset], split: Split, total: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place.parent).free
    if free < total * _BYTES:
        raise OutputUnwritableError(
            f"{place} needs {total * _BYTES / 1e9:.1f} GB for decoded images, {free / 1e9:.1f} GB "
            "are free; make room or name another folder"
        )
    with atomic_directory(place) as temporary:
        _fill(temporary, datasets, split, total)


def _fill(folder: Path, datasets: Sequence[Dataset], split: Split, total: int) -> None:
    create = np.lib.format.open_memmap
    pixels = create(folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=(total, 3))
    regions = create(folder / "regions.npy", mode="w+", dtype=np.uint16, shape=(total,))
    at = 0
    for dataset in datasets:
        for row in dataset.image_rows():
            if row["split"] == split:
                patch = patch_of(row)
                stop = at + patch.regions.size
                pixels[at:stop] = patch.pixels.reshape(-1, 3)
                regions[at:stop] = patch.regions.ravel()
                at = stop
    pixels.flush()
    regions.flush()
