"""Verification of a dataset without trust in its maker.

Hashes, ids, licences, splits and masks are computed again; programs are run by the second
implementation (`programs.reference`) on the stored regions.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from unigeoseg.data.builder.near_duplicates import (
    HASHED_PATCH_COLUMNS,
    HashedPatch,
    find_split_leaks,
)
from unigeoseg.data.inspect.triplet_faults import triplet_faults
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.patches.perceptual_hash import perceptual_hash
from unigeoseg.data.sources.catalog import CATALOG
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.rows import patch_from_row, sample_from_row
from unigeoseg.data.taxonomy.categories import taxonomy
from unigeoseg.errors import DataError, PromptError
from unigeoseg.report.document import Table
from unigeoseg.runtime.atomic import file_sha256
from unigeoseg.sample import Split

MESSAGES_KEPT = 20
"""Failures that are kept in words; all are counted."""

_MAY_BE_NULL = frozenset(("gsd_m", "crs", "transform", "phash", "image_phash", "unknown", "box"))


@dataclass
class Verification:
    """What was checked and what failed.

    Attributes:
        checked: Number of checks of each kind.
        failed: Number of those that failed.
        failures: The first failures, a line each.
    """

    checked: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def check(self, kind: str, holds: bool, message: str) -> None:
        """Count a check; `message` says what is wrong if it does not hold."""
        self.checked[kind] += 1
        if not holds:
            self.failed[kind] += 1
            if len(self.failures) < MESSAGES_KEPT:
                self.failures.append(f"{kind}: {message}")


def verification_table(report: Verification) -> Table:
    """Number of checks and failures of each kind."""
    rows = [
        (kind, f"{count:,}", f"{report.failed[kind]:,}")
        for kind, count in sorted(report.checked.items())
    ]
    note = f"{report.checked.total():,} checked, {report.failed.total():,} failed"
    return Table(("check", "checked", "failed"), rows, note)


def verify_dataset(dataset: Dataset) -> Verification:
    """Check every file, image and triplet of a dataset.

    If a file is missing or its hash is wrong, no row is read.

    Args:
        dataset: May be `Dataset.unchecked`: a missing shard is a failure then, no error.

    Raises:
        DataError: If a shard with the right hash cannot be read.
    """
    report = Verification()
    for name, digest in dataset.summary.files.items():
        actual = _file_hash(dataset, name)
        report.check("file", actual == digest, f"{name} is {actual}, expected {digest}")
    if report.passed:
        dataset.check_columns()
        _check_rows(dataset, report)
        _check_leaks(dataset, report)
    return report


def _file_hash(dataset: Dataset, name: str) -> str:
    try:
        return file_sha256(dataset.path / name)
    except DataError:
        return "missing"


def _check_rows(dataset: Dataset, report: Verification) -> None:
    images_read = triplets_read = 0
    splits: dict[str, str] = {}
    ids: set[str] = set()
    offline = dataset.summary.options.get("judge") == "offline"
    for image, triplets in dataset.records():
        images_read += 1
        triplets_read += len(triplets)
        patch = _check_image(image, dataset, splits, report)
        _check_unique(image["id"], ids, report)
        for row in triplets:
            _check_unique(row["id"], ids, report)
            if _check_whole(f"triplet {row['id']}", row, report):
                _check_triplet(row, image, report)
                _check_content(row, patch, report, offline=offline)
    for name, actual, expected in (
        ("images", images_read, dataset.summary.images),
        ("triplets", triplets_read, dataset.summary.triplets),
    ):
        report.check("count", actual == expected, f"{actual} {name}, expected {expected}")


def _check_leaks(dataset: Dataset, report: Verification) -> None:
    """Audit what the images of different splits show, by the hashes that are stored."""
    patches = [
        HashedPatch(**row)
        for row in dataset.image_rows(HASHED_PATCH_COLUMNS)
        if row["split"] in get_args(Split) and None not in (row["source"], row["key"], row["group"])
    ]
    leaks = {leak.dropped.id: leak.retained for leak in find_split_leaks(patches)}
    for patch in patches:
        original = leaks.get(patch.id, patch)
        message = (
            f"image {patch.id} in {patch.split} shows what {original.id} in {original.split} shows"
        )
        report.check("split leak", patch.id not in leaks, message)


def _check_unique(name: str, ids: set[str], report: Verification) -> None:
    report.check("unique id", name not in ids, f"{name} is there twice")
    ids.add(name)


def _check_whole(name: str, row: Mapping[str, Any], report: Verification) -> bool:
    """Whether every column that needs a value has one."""
    empty = [key for key, value in row.items() if key not in _MAY_BE_NULL and _has_null(value)]
    report.check("value", not empty, f"{name} has no value in {', '.join(empty)}")
    return not empty


def _has_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list) else value is None


def _check_image(
    row: Mapping[str, Any], dataset: Dataset, splits: dict[str, str], report: Verification
) -> Patch | None:
    """Check an image; give its patch, or None where there is none."""
    name = row["id"]
    if not _check_whole(f"image {name}", row, report):
        return None
    licence, source = row["licence"], row["source"]
    permitted = _licences(dataset, source)
    report.check(
        "licence",
        bool(licence) and licence in permitted,
        f"image {name} of {source} has {licence!r}, its source has {permitted}",
    )
    split = splits.setdefault(row["group"], row["split"])
    report.check(
        "split",
        row["split"] in get_args(Split) and split == row["split"],
        f"image {name} is in {row['split']!r}, its group {row['group']} in {split!r}",
    )
    unknown = {region["category"] for region in row["regions"]} - taxonomy().keys()
    report.check(
        "category", not unknown, f"image {name} has categories {sorted(unknown)}, which nobody has"
    )
    try:
        patch = patch_from_row(row)
    except DataError as error:
        report.check("image id", False, f"image {name}: {error}")
        return None
    report.check("image id", patch.id == name, f"{name} should be {patch.id}")
    phash = perceptual_hash(patch.pixels)
    report.check("phash", row["phash"] == phash, f"image {name}: {row['phash']}, not {phash}")
    return None if unknown else patch


def _licences(dataset: Dataset, source: str) -> list[str]:
    """What a source's images may state: the catalogue's word, else that of the summary."""
    if source in CATALOG:
        return [CATALOG[source].licence]
    counts = dataset.summary.sources.get(source)
    return counts.licences if counts else []


def _check_triplet(row: Mapping[str, Any], image: Mapping[str, Any], report: Verification) -> None:
    """Check what a triplet repeats of its image."""
    for column in ("source", "licence", "group", "split", "width", "height"):
        report.check(
            column,
            row[column] == image[column],
            f"triplet {row['id']} has {row[column]!r}, its image {image[column]!r}",
        )


def _check_content(
    row: Mapping[str, Any], patch: Patch | None, report: Verification, *, offline: bool
) -> None:
    name = row["id"]
    try:
        sample = sample_from_row(row)
        if patch is not None and patch.regions.shape != (sample.height, sample.width):
            return  # noted already; no check of another size means anything
        mask = sample.mask()
    except (DataError, PromptError, ValueError) as error:
        report.check("triplet id", False, f"{name}: {error}")
        return
    report.check("triplet id", sample.id == name, f"{name} should be {sample.id}")
    area, text = int(mask.sum()), sample.prompt.instruction(sample.width, sample.height)
    report.check("area", row["area_px"] == area, f"triplet {name}: {row['area_px']} px, not {area}")
    report.check("text", row["text"] == text, f"triplet {name}: {row['text']!r}, not {text!r}")
    for kind, fault in triplet_faults(sample, mask, patch, offline=offline):
        report.check(kind, not fault, f"triplet {name}: {fault}")
