"""A benchmark in the released layout, turned into a dataset of ours."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from unigeoseg.data.exchange.benchmark import read_benchmark
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.patches.perceptual_hash import perceptual_hash
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.rows import image_row, triplet_row
from unigeoseg.data.store.shard_writer import DatasetWriter
from unigeoseg.data.store.summary import write_summary
from unigeoseg.errors import DataError
from unigeoseg.runtime.atomic import atomic_directory
from unigeoseg.sample import Sample


def import_benchmark(root: Path, out: Path, licence: str) -> Dataset:
    """Write a benchmark's images and triplets as shards.

    Images have no regions: the benchmark does not publish them. What is in several lists is there
    once.

    Raises:
        DataError: If the benchmark is not whole; see `read_benchmark`.
        OutputError: If `out` exists or cannot be written.
    """
    with atomic_directory(out) as folder:
        with DatasetWriter(folder) as shards:
            for patch, samples in _patches(root, licence):
                for sample in samples:
                    shards.write_triplet(triplet_row(sample))
                shards.write_image(image_row(patch, patch.image_phash))
        write_summary(folder, shards.counts(), {"imported": "benchmark", "licence": licence})
    return Dataset.open(out)


def _patches(root: Path, licence: str) -> Iterator[tuple[Patch, list[Sample]]]:
    by_image = sorted(
        read_benchmark(root, licence), key=lambda pair: (pair[1].as_posix(), pair[0].id)
    )
    for path, pairs in groupby(by_image, key=lambda pair: pair[1]):
        samples = [sample for sample, _ in pairs]
        patch = _patch(path, samples[0])
        unique = {sample.id: replace(sample, image=patch.id) for sample in samples}
        yield patch, list(unique.values())


def _patch(path: Path, sample: Sample) -> Patch:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None or bgr.shape[:2] != (sample.height, sample.width):
        size = None if bgr is None else bgr.shape[:2]
        raise DataError(
            f"{path} is {size} (H, W), its mask {(sample.height, sample.width)}: they must be equal"
        )
    pixels = np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)
    return Patch(
        source=sample.source,
        key=sample.image,
        x=0,
        y=0,
        group=sample.group,
        licence=sample.licence,
        gsd_m=None,
        grid=None,
        pixels=pixels,
        regions=np.zeros(bgr.shape[:2], np.uint16),
        categories={},
        split=sample.split,
        image_phash=perceptual_hash(pixels),
    )
