"""Selection of samples for GeoSeg-Bench-Open: balance, and the audit against training images.

Samples are balanced over families and categories: small ones enter whole, large ones share the
rest. Within a category samples come first whose scene has been used least for it.
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
    """Selected samples, and the images that were refused.

    Attributes:
        samples: The selected ones.
        trained: Images of groups that are for training or tuning.
        leaks: Others that show the same as a training image.
        unknown: Images with pixels of unknown class, where masks could not be scored.
    """

    samples: tuple[Sample, ...]
    trained: frozenset[str]
    leaks: frozenset[str]
    unknown: frozenset[str]


def select_samples(dataset: Dataset, training: Iterable[HashedPatch], *, total: int) -> Selection:
    """Select samples whose images no training saw.

    Only images of test groups enter, by the recorded splits (`builder.splits`): a dataset may be
    split otherwise than what a model trained on was, so its own splits do not count. Of these
    every image is left out that `training` shows too.

    Args:
        dataset: A dataset of the data engine.
        training: Images that no sample may show, of the splits "train" and "val".
        total: How many samples.

    Raises:
        DataError: If there are fewer, or its patches are not of the usual size and stride, which
            an index takes for granted.
    """
    options = dataset.summary.options
    window = options.get("size"), options.get("stride")
    if window != (PATCH_SIZE, PATCH_STRIDE):
        raise DataError(
            f"the patches of {dataset.path} are of size and stride {window}, an index needs "
            f"{(PATCH_SIZE, PATCH_STRIDE)}; build it without --size and --stride"
        )
    rows = list(dataset.image_rows((*HASHED_PATCH_COLUMNS, "unknown")))
    unknown = frozenset(row["id"] for row in rows if row["unknown"] is not None)
    test_groups = _test_groups(rows)
    trained = frozenset(row["id"] for row in rows if row["group"] not in test_groups)
    test = [_hashed_patch(row, "test") for row in rows if row["group"] in test_groups]
    leaks = leaked_images(test, training)
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


def _test_groups(rows: Iterable[Row]) -> frozenset[str]:
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


def _hashed_patch(row: Row, split: Split) -> HashedPatch:
    return HashedPatch(**{name: row[name] for name in HASHED_PATCH_COLUMNS} | {"split": split})


def leaked_images(test: Iterable[HashedPatch], training: Iterable[HashedPatch]) -> frozenset[str]:
    """Ids of test images of the scene or file of a training image, or that look like one."""
    training_images, test_images = list(training), list(test)
    groups = {image.group for image in training_images}
    files = {(image.source, Path(image.key).stem) for image in training_images}
    by_name = {
        image.id
        for image in test_images
        if image.group in groups or (image.source, Path(image.key).stem) in files
    }
    return find_copies(test_images, training_images) | by_name


def training_windows(data: Path) -> Iterator[HashedPatch]:
    """Every window of the images whose groups are for training or tuning.

    Args:
        data: A dataset, a labelled set, or a folder of such sets; sets with boxes alone count too.

    Raises:
        DataError: If an image cannot be read.
    """
    return _dataset_windows(data) if (data / SUMMARY).is_file() else _set_windows(data)


def _dataset_windows(folder: Path) -> Iterator[HashedPatch]:
    dataset = Dataset.open(folder)
    test_groups = _test_groups(dataset.image_rows(("source", "group")))
    for row in dataset.image_rows(("id", "source", "key", "group", "image_phash", "bytes")):
        if row["group"] not in test_groups:
            yield from _image_windows(row, decode_png(row["bytes"], row["id"]))


def _set_windows(folder: Path) -> Iterator[HashedPatch]:
    for directory in labelled_sets_in(folder):
        opened = open_labelled_source(declared_source(directory), directory, lambda _: None)
        name = opened.source.name
        rows = [
            {"source": name, "key": item.key, "group": f"{name}/{item.group}"}
            for item in opened.items
        ]
        test_groups = _test_groups(rows)
        for row in rows:
            if row["group"] not in test_groups:
                path = opened.folder.path(row["key"])
                pixels = read_image(path, opened.source.bands).pixels
                yield from _image_windows(row | {"image_phash": perceptual_hash(pixels)}, pixels)


def _image_windows(row: Row, pixels: NDArray[np.uint8]) -> Iterator[HashedPatch]:
    height, width = pixels.shape[:2]
    for window in plan_tiles(width, height, PATCH_SIZE, PATCH_SIZE - PATCH_STRIDE):
        phash = perceptual_hash(pixels[window.toslices()])
        name = f"{row['source']}/{row['key']}/{window.col_off},{window.row_off}"
        place = row["source"], row["key"], row["group"]
        yield HashedPatch(name, *place, "train", phash, row["image_phash"])


def balanced_samples(candidates: Iterable[Sample], total: int) -> Iterator[Sample]:
    """Samples, as even over families and then over categories as they allow."""
    families: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in candidates:
        families[sample.family].append(sample)
    uses: Counter[tuple[str, str]] = Counter()
    for family, count in even_shares(_sizes(families), total).items():
        categories: defaultdict[str, list[Sample]] = defaultdict(list)
        for sample in families[family]:
            categories[sample.category].append(sample)
        for category, share in even_shares(_sizes(categories), count).items():
            yield from _diverse_samples(categories[category], share, uses)


def _sizes(groups: Mapping[str, list[Sample]]) -> dict[str, int]:
    return {name: len(members) for name, members in groups.items()}


def even_shares(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """How many of each group to take so that they are as even as their sizes allow."""
    remaining, shares = total, {}
    by_size = sorted(sizes.items(), key=lambda pair: (pair[1], pair[0]))
    for index, (name, size) in enumerate(by_size):
        shares[name] = min(size, remaining // (len(by_size) - index))
        remaining -= shares[name]
    return shares


def _diverse_samples(
    candidates: list[Sample], count: int, uses: Counter[tuple[str, str]]
) -> Iterator[Sample]:
    """Samples of the scenes and images that were used least, else by the hash of their ids.

    Args:
        candidates: Samples of one category.
        count: How many.
        uses: How often a scene was used for a category, and an image at all; they are counted on.
    """
    pool = sorted(candidates, key=lambda sample: hashlib.sha256(sample.id.encode()).digest())
    for _ in range(count):
        selected = min(
            pool,
            key=lambda sample: (uses[sample.group, sample.category], uses[sample.image, ""]),
        )
        pool.remove(selected)
        uses[selected.group, selected.category] += 1
        uses[selected.image, ""] += 1
        yield selected
