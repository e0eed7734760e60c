"""The index of GeoSeg-Bench-Open: the benchmark without pixels, and how to cut them again.

An index is JSON Lines. A line is a sample and the window that its image is cut from: the path below
the folder of its source, and the window's left column and top row.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from unigeoseg.data.ledger import Rejection
from unigeoseg.data.patches.cutting import cut_patches
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.patches.perceptual_hash import perceptual_hash
from unigeoseg.data.sources.readers import declared_source, open_labelled_source
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.rows import image_row, triplet_row
from unigeoseg.data.store.shard_writer import DatasetWriter
from unigeoseg.data.store.summary import write_summary
from unigeoseg.errors import DataError, UniGeoSegError
from unigeoseg.runtime.atomic import atomic_directory, write_bytes
from unigeoseg.runtime.records import record_from_json
from unigeoseg.sample import Sample

Progress = Callable[[int, int], None]
"""Called with the images done and all images."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A sample and the window that its image is cut from: one line of an index.

    Attributes:
        sample: The sample.
        key: Path of the image below its source's folder.
        x: Left column of the window in that image.
        y: Its top row.
    """

    sample: Sample
    key: str
    x: int
    y: int


def write_index(path: Path, entries: Iterable[IndexEntry]) -> int:
    """Write an index, its lines sorted; give their number.

    Raises:
        OutputUnwritableError: If it cannot be written.
    """
    lines = sorted(
        json.dumps(
            {"key": entry.key, "x": entry.x, "y": entry.y, "sample": _sparse_row(entry.sample)},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        for entry in entries
    )
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())
    return len(lines)


@dataclass(frozen=True, slots=True)
class _IndexLine:
    """A line of an index as it is stored."""

    key: str
    x: int
    y: int
    sample: dict[str, Any]


def _sparse_row(sample: Sample) -> dict[str, object]:
    """A sample as JSON without scores, empty fields, and the licence, which is its source's."""
    row = replace(sample, scores={}, licence="").as_row()
    return {name: value for name, value in row.items() if value not in ("", {}, [])}


def read_index(path: Path | None = None) -> Iterator[IndexEntry]:
    """Entries of an index; of the published one without a path.

    Raises:
        DataError: If it cannot be read.
    """
    source = files("unigeoseg.evaluate.open_bench") / "open_bench.jsonl" if path is None else path
    try:
        lines = source.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{source} is no index: {type(error).__name__} {error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            yield _parse_entry(line)
        except UniGeoSegError as error:
            raise DataError(f"{source} is no index: line {number}: {error}") from error


def _parse_entry(line: str) -> IndexEntry:
    stored = record_from_json(_IndexLine, line, "the entry")
    sample = Sample.from_row({"licence": ""} | stored.sample)
    return IndexEntry(sample, stored.key, stored.x, stored.y)


def index_entries(dataset: Dataset, samples: Iterable[Sample]) -> Iterator[IndexEntry]:
    """Samples of a dataset with the places of their images."""
    places = {row["id"]: row for row in dataset.image_rows(("id", "key", "x", "y"))}
    for sample in samples:
        row = places[sample.image]
        yield IndexEntry(sample, row["key"], row["x"], row["y"])


def rebuild_dataset(
    index: Iterable[IndexEntry],
    data: Path,
    out: Path,
    progress: Progress = lambda count, total: None,
) -> Dataset:
    """Cut the images of an index again from their sources, and write both as shards.

    Args:
        index: Entries of an index.
        data: Folder with a folder per source, each with source.json or meta.json.
        out: Directory of the dataset, a new one.
        progress: Called as images are done.

    Raises:
        DataError: If images are missing, or show other pixels than those that were reviewed.
        OutputError: If `out` exists or cannot be written.
    """
    images: defaultdict[tuple[str, str], list[IndexEntry]] = defaultdict(list)
    for entry in index:
        images[entry.sample.source, entry.key].append(entry)
    problems: list[str] = []
    with atomic_directory(out) as folder:
        with DatasetWriter(folder) as shards:
            for count, ((source, key), members) in enumerate(sorted(images.items()), start=1):
                patches, image_problems = _cut_image(data / source, key, members)
                problems += image_problems
                for patch, samples in patches:
                    for sample in samples:
                        shards.write_triplet(triplet_row(sample))
                    shards.write_image(image_row(patch, perceptual_hash(patch.pixels)))
                progress(count, len(images))
        if problems:
            raise DataError(
                f"{len(problems)} of {len(images)} images cannot be rebuilt, first {problems[0]}; "
                "get the sources as docs/benchmark.md lists them"
            )
        write_summary(folder, shards.counts(), {})
    return Dataset.open(out)


def _cut_image(
    folder: Path, key: str, members: Sequence[IndexEntry]
) -> tuple[list[tuple[Patch, list[Sample]]], list[str]]:
    """Patches of one image with their samples, and why others cannot be cut."""
    rejections: list[Rejection] = []
    if not (folder / key).is_file():
        return [], [f"{folder / key}: there is no such file"]
    opened = open_labelled_source(declared_source(folder), folder, rejections.append)
    item = next((item for item in opened.items if item.key == key), None)
    image = item and opened.read(item, rejections.append)
    if not image:
        return [], [
            f"{folder / key}: {rejections[-1].detail if rejections else 'not of its source'}"
        ]
    windows: defaultdict[tuple[int, int], list[Sample]] = defaultdict(list)
    for entry in members:
        windows[entry.x, entry.y].append(entry.sample)
    patches = {(patch.x, patch.y): patch for patch in cut_patches(image, rejections.append)}
    recovered, problems = [], []
    for corner, samples in sorted(windows.items()):
        patch = patches.get(corner)
        if patch is None or any(sample.image != patch.id for sample in samples):
            problems.append(f"{folder / key} at {corner}: other pixels than those of the index")
        else:
            licensed = [replace(sample, licence=patch.licence) for sample in samples]
            recovered.append((replace(patch, split="test"), licensed))
    return recovered, problems
