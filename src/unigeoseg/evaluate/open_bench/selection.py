"""Which samples of a dataset enter GeoSeg-Bench-Open, and the audit against what models trained on.

Balanced over families and categories: small ones enter whole, large ones share what is left. Of a
category those come first whose scene has not been used for it yet.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.builder.near_duplicates import HASHED_PATCH_COLUMNS, HashedPatch, find_copies
from unigeoseg.data.builder.splits import assign_splits
from unigeoseg.data.patches.cutting import PATCH_SIZE, PATCH_STRIDE
from unigeoseg.data.patches.perceptual_hash import perceptual_hash
from unigeoseg.data.sources.folders import labelled_sets_in
from unigeoseg.data.sources.readers import declared_source, open_labelled_source
from unigeoseg.data.sources.readers.images import read_image
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import Row
from unigeoseg.data.store.summary import SUMMARY
from unigeoseg.errors import DataError
from unigeoseg.geo.png import decode_png
from unigeoseg.geo.tiling import plan_tiles
from unigeoseg.sample import Sample, Split


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen, and what was refused.

    Attributes:
        samples: The chosen ones.
        trained: Images of groups that are for training or tuning.
        leaks: Others that show what training saw.
        unknown: Images with pixels that nobody knows; masks could not be scored there.
    """

    samples: tuple[Sample, ...]
    trained: frozenset[str]
    leaks: frozenset[str]
    unknown: frozenset[str]


def select_samples(dataset: Dataset, training: Iterable[HashedPatch], *, total: int) -> Selection:
    """Choose samples whose images no training saw.

    Only images of test groups enter, by the recorded splits (`builder.splits`): a dataset may be
    split otherwise than what a model trained on was, so its own splits do not count. Of these
    every image is left out that `training` shows too.

    Args:
        dataset: What the engine built.
        training: Images that no sample may show, of the splits "train" and "val".
        total: How many samples.

    Raises:
        DataError: If there are fewer, or its patches are not of the usual size and stride, which
            an index takes for granted.
    """
    options = dataset.summary.options
    cut = options.get("size"), options.get("stride")
    if cut != (PATCH_SIZE, PATCH_STRIDE):
        raise DataError(
            f"the patches of {dataset.path} are of size and stride {cut}, an index needs "
            f"{(PATCH_SIZE, PATCH_STRIDE)}; build it without --size and --stride"
        )
    rows = list(dataset.image_rows((*HASHED_PATCH_COLUMNS, "unknown")))
    unknown = frozenset(row["id"] for row in rows if row["unknown"] is not None)
    tests = _tests(rows)
    trained = frozenset(row["id"] for row in rows if row["group"] not in tests)
    seen = [_seen(row, "test") for row in rows if row["group"] in tests]
    leaks = leaked_images(seen, training)
    refused = trained | leaks | unknown
    candidates = [
        replace(sample, split="test") for sample in dataset.samples() if sample.image not in refused
    ]
    if len(candidates) < total:
        raise DataError(
            f"{dataset.path} has {len(candidates)} samples to choose {total} from: "
            f"{len(trained)} images are of groups for training or tuning, {len(leaks)} show what "
            f"training saw, {len(unknown)} have unknown pixels; ask for fewer, or add sources"
        )
    return Selection(tuple(balanced_samples(candidates, total)), trained, leaks, unknown)


def _tests(rows: Iterable[Row]) -> frozenset[str]:
    """Groups that are for testing, of images of any sources."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        groups[row["source"]].add(row["group"])
    return frozenset(
        group
        for source, members in groups.items()
        for group, split in assign_splits(members).items()
        if split == "test"
    )


def _seen(row: Row, split: Split) -> HashedPatch:
    return HashedPatch(**{name: row[name] for name in HASHED_PATCH_COLUMNS} | {"split": split})


def leaked_images(test: Iterable[HashedPatch], training: Iterable[HashedPatch]) -> frozenset[str]:
    """Ids of test images whose file or scene trained, or that look like an image that did."""
    trained = list(training)
    groups = {image.group for image in trained}
    files = {(image.source, Path(image.key).stem) for image in trained}
    tested = list(test)
    known = {
        image.id
        for image in tested
        if image.group in groups or (image.source, Path(image.key).stem) in files
    }
    return find_copies(tested, trained) | known


def training_windows(data: Path) -> Iterator[HashedPatch]:
    """Every window of the images whose groups are for training or tuning.

    Args:
        data: A dataset, a labelled set, or a folder of such sets; what has boxes alone counts too.

    Raises:
        DataError: If an image cannot be read.
    """
    return _of_dataset(data) if (data / SUMMARY).is_file() else _of_sets(data)


def _of_dataset(folder: Path) -> Iterator[HashedPatch]:
    dataset = Dataset.open(folder)
    tests = _tests(dataset.image_rows(("source", "group")))
    for row in dataset.image_rows(("id", "source", "key", "group", "image_phash", "bytes")):
        if row["group"] not in tests:
            yield from _windows(row, decode_png(row["bytes"], row["id"]))


def _of_sets(folder: Path) -> Iterator[HashedPatch]:
    for directory in labelled_sets_in(folder):
        opened = open_labelled_source(declared_source(directory), directory, lambda _: None)
        name = opened.source.name
        rows = [
            {"source": name, "key": item.key, "group": f"{name}/{item.group}"}
            for item in opened.items
        ]
        tests = _tests(rows)
        for row in rows:
            if row["group"] not in tests:
                path = opened.folder.path(row["key"])
                pixels = read_image(path, opened.source.bands).pixels
                yield from _windows(row | {"image_phash": perceptual_hash(pixels)}, pixels)


def _windows(row: Row, pixels: NDArray[np.uint8]) -> Iterator[HashedPatch]:
    height, width = pixels.shape[:2]
    for window in plan_tiles(width, height, PATCH_SIZE, PATCH_SIZE - PATCH_STRIDE):
        phash = perceptual_hash(pixels[window.toslices()])
        name = f"{row['source']}/{row['key']}/{window.col_off},{window.row_off}"
        place = row["source"], row["key"], row["group"]
        yield HashedPatch(name, *place, "train", phash, row["image_phash"])


def balanced_samples(candidates: Iterable[Sample], total: int) -> Iterator[Sample]:
    """Samples, as even over families and then over categories as they allow."""
    families: defaultdict[str, list[Sample]] = defaultdict(list)
    for each in candidates:
        families[each.family].append(each)
    used: Counter[tuple[str, str]] = Counter()
    for family, count in even_shares(_sizes(families), total).items():
        categories: defaultdict[str, list[Sample]] = defaultdict(list)
        for each in families[family]:
            categories[each.category].append(each)
        for category, wanted in even_shares(_sizes(categories), count).items():
            yield from _diverse(categories[category], wanted, used)


def _sizes(groups: Mapping[str, list[Sample]]) -> dict[str, int]:
    return {name: len(members) for name, members in groups.items()}


def even_shares(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """How many of each group to take so that they are as even as their sizes allow."""
    left, given = total, {}
    ranked = sorted(sizes.items(), key=lambda pair: (pair[1], pair[0]))
    for at, (name, size) in enumerate(ranked):
        given[name] = min(size, left // (len(ranked) - at))
        left -= given[name]
    return given


def _diverse(
    candidates: list[Sample], count: int, used: Counter[tuple[str, str]]
) -> Iterator[Sample]:
    """Samples of the scenes and images that were used least, else by the hash of their ids."""
    rest = sorted(candidates, key=lambda each: hashlib.sha256(each.id.encode()).digest())
    for _ in range(count):
        chosen = min(rest, key=lambda each: (used[each.group, each.category], used[each.image, ""]))
        rest.remove(chosen)
        used[chosen.group, chosen.category] += 1
        used[chosen.image, ""] += 1
        yield chosen
