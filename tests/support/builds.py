"""A build of tiny made imagery: a reader and tools that any worker process can load by name."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from unigeoseg.data.builder.pipeline import build_dataset
from unigeoseg.data.builder.plan import Options
from unigeoseg.data.builder.tools import ToolsLoader
from unigeoseg.data.builder.unit import Job
from unigeoseg.data.sources.readers import declared_source
from unigeoseg.data.sources.source import Source
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import Row
from unigeoseg.data.store.shard_writer import DatasetWriter
from unigeoseg.data.store.summary import write_summary

BUILDING, RIVER = 25, 21
OPTIONS = Options(seed=3, size=96, stride=64, diverse=1.0)


def write_towns(folder: Path, *, images: int = 10, side: int = 128) -> Path:
    """Write pictures of roofs on textured ground beside water, no two alike, with class masks."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for index in range(images):
        rng = np.random.default_rng([images, index])
        coarse = rng.integers(60, 140, (6, 6, 3), dtype=np.uint8)
        pixels = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        classes = np.zeros((side, side), np.uint8)
        for row in range(2):
            for column in range(2):
                width, height = rng.integers(14, 34, 2)
                x, y = column * 60 + rng.integers(2, 20), row * 50 + rng.integers(2, 14)
                pixels[y : y + height, x : x + width] = rng.integers(150, 255, 3)
                classes[y : y + height, x : x + width] = BUILDING
        pixels[-18:] = (20, 40, int(rng.integers(100, 200)))
        classes[-18:] = RIVER
        cv2.imwrite(str(folder / "images" / f"{index:03}.png"), pixels[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{index:03}.png"), classes)
    classes = {"0": "background", str(BUILDING): "building", str(RIVER): "river"}
    meta = {"classes": classes, "licence": "CC0-1.0", "gsd_m": 0.5}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def job(out: Path, options: Options = OPTIONS, **rest) -> Job:
    return Job(out, options, ToolsLoader(options.seed), **rest)


def sources(folder: Path) -> list[tuple[Source, Path]]:
    return [(declared_source(folder), folder)]


def built(folder: Path, out: Path, options: Options = OPTIONS, **rest) -> Dataset:
    return build_dataset(job(out, options), sources(folder), **rest)


def changed(dataset: Dataset, out: Path, change: Callable[[str, Row], Row | None]) -> Dataset:
    """A copy of a dataset with changed rows; its hashes and counts fit it again.

    Args:
        dataset: What is copied.
        out: Where to.
        change: Takes "image" or "triplet" and a row; gives the row to write, or None.
    """
    out.mkdir()
    with DatasetWriter(out) as shards:
        for image, triplets in dataset.records():
            for row in filter(None, (change("triplet", row) for row in triplets)):
                shards.write_triplet(row)
            row = change("image", image)
            if row:
                shards.write_image(row)
    write_summary(out, shards.counts(), dataset.summary.options)
    return Dataset.open(out)


def files(out: Path) -> dict[str, bytes]:
    """Every file below a directory, and what is in it."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


if __name__ == "__main__":
    built(Path(sys.argv[1]), Path(sys.argv[2]), workers=int(sys.argv[3]))
