"""GeoSeg-Bench-Open without its images: a line per sample, and the way back to images.

A line is the sample and where its image is cut from: the path below the folder of its source, and
the window's left column and top row.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from unigeoseg.data.ledger import Rejection
from unigeoseg.data.patches.cutting import cut_patches
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.patches.perceptual_hash import perceptual_hash
from unigeoseg.data.sources.readers import declared_source, open_labelled_source
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.rows import image_row, triplet_row
from unigeoseg.data.store.shard_writer import DatasetWriter
from unigeoseg.data.store.summary import write_summary
from unigeoseg.errors import DataError
from unigeoseg.runtime.atomic import atomic_directory, write_bytes
from unigeoseg.sample import Sample

Progress = Callable[[int, int], None]
"""Called with the images done and all images."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One line.

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
    """Write an index, by the ids of its samples; give their number.

    Raises:
        OutputUnwritableError: If it cannot be written.
    """
    lines = sorted(
        json.dumps(
            {"key": each.key, "x": each.x, "y": each.y, "sample": _row(each.sample)},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        for each in entries
    )
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())
    return len(lines)


def _row(sample: Sample) -> dict[str, object]:
    """A sample without what its source states anyway, and without empty fields."""
    row = replace(sample, scores={}, licence="").as_row()
    return {name: value for name, value in row.items() if value not in ("", {}, [])}


def read_index(path: Path | None = None) -> Iterator[IndexEntry]:
    """Entries of an index; of the published one without a path.

    Raises:
        DataError: If it cannot be read.
    """
    source = files("unigeoseg.evaluate.open_bench") / "open_bench.jsonl" if path is None else path
    try:
        for line in source.read_text("utf-8").splitlines():
            row = json.loads(line)
            sample = Sample.from_row({"licence": ""} | row["sample"])
            yield IndexEntry(sample, str(row["key"]), int(row["x"]), int(row["y"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{source} is no index: {type(error).__name__} {error}") from error


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
    progress: Progress = lambda done, total: None,
) -> Dataset:
    """Cut the images of an index again from their sources, and write both as shards.

    Args:
        index: What to rebuild.
        data: Folder with a folder per source, each with source.json or meta.json.
        out: Directory of the dataset, a new one.
        progress: Called as images are done.

    Raises:
        DataError: If images are missing, or show other pixels than those that were reviewed.
        OutputError: If `out` exists or cannot be written.
    """
    images: defaultdict[tuple[str, str], list[IndexEntry]] = defaultdict(list)
    for each in index:
        images[each.sample.source, each.key].append(each)
    lost: list[str] = []
    with atomic_directory(out) as folder:
        with DatasetWriter(folder) as shards:
            for done, ((source, key), members) in enumerate(sorted(images.items()), start=1):
                found, missing = _cut(data / source, key, members)
                lost += missing
                for patch, samples in found:
                    for sample in samples:
                        shards.write_triplet(triplet_row(sample))
                    shards.write_image(image_row(patch, perceptual_hash(patch.pixels)))
                progress(done, len(images))
        if lost:
            raise DataError(
                f"{len(lost)} of {len(images)} images cannot be rebuilt, first {lost[0]}; get the "
                "sources as docs/benchmark.md lists them"
            )
        write_summary(folder, shards.counts(), {})
    return Dataset.open(out)


def _cut(
    folder: Path, key: str, members: Sequence[IndexEntry]
) -> tuple[list[tuple[Patch, list[Sample]]], list[str]]:
    """Patches of one image with their samples, and what is lost."""
    rejected: list[Rejection] = []
    if not (folder / key).is_file():
        return [], [f"{folder / key}: there is no such file"]
    opened = open_labelled_source(declared_source(folder), folder, rejected.append)
    item = next((item for item in opened.items if item.key == key), None)
    image = item and opened.read(item, rejected.append)
    if not image:
        return [], [f"{folder / key}: {rejected[-1].detail if rejected else 'not of its source'}"]
    wanted: defaultdict[tuple[int, int], list[Sample]] = defaultdict(list)
    for each in members:
        wanted[each.x, each.y].append(each.sample)
    patches = {(patch.x, patch.y): patch for patch in cut_patches(image, rejected.append)}
    found, lost = [], []
    for place, samples in sorted(wanted.items()):
        patch = patches.get(place)
        if patch is None or any(sample.image != patch.id for sample in samples):
            lost.append(f"{folder / key} at {place}: other pixels than those of the index")
        else:
            told = [replace(sample, licence=patch.licence) for sample in samples]
            found.append((replace(patch, split="test"), told))
    return found, lost
