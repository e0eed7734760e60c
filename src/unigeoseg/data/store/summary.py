"""The summary of a dataset, `dataset.json`: counts, licences, options, and hashes of its files."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePath
from typing import Any

import unigeoseg
from unigeoseg.data.store.schema import VERSION
from unigeoseg.errors import DataError
from unigeoseg.runtime.atomic import file_sha256, read_json, write_json
from unigeoseg.runtime.records import record_from, record_values

SUMMARY = "dataset.json"
"""Written last: a directory without it holds no whole dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """What a dataset holds of one source.

    Attributes:
        images: Number of its images.
        licences: Of its images, sorted.
    """

    images: int
    licences: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicateCount:
    """How many images of one source were dropped for those of another that show the same.

    Attributes:
        stage: "leak" between splits, "duplicate" within one.
        dropped: Source of the images that were dropped.
        kept: Source of the images that stay.
        images: Their number.
    """

    stage: str
    dropped: str
    kept: str
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCounts:
    """What was written to the shards of a dataset.

    Attributes:
        images: Number of images.
        triplets: Number of triplets.
        families: Triplets by family.
        splits: Triplets by split.
        sources: Images and licences by source.
        rejections: Rejections by stage and rule.
        near_duplicates: Dropped near-duplicates by pair of sources; None where none were sought.
            It is stored as "twins".
    """

    images: int
    triplets: int
    families: dict[str, int]
    splits: dict[str, int]
    sources: dict[str, SourceCounts]
    rejections: dict[str, dict[str, int]]
    near_duplicates: list[NearDuplicateCount] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary(DatasetCounts):
    """What `dataset.json` says.

    Attributes:
        schema: Version of the tables.
        unigeoseg: Version of the package that wrote it.
        options: What it was made with.
        files: SHA-256 of each file by its name.
    """

    schema: int
    unigeoseg: str
    options: dict[str, Any]
    files: dict[str, str]


_STORED_NAMES = {"near_duplicates": "twins"}
_FIELD_NAMES = {stored: name for name, stored in _STORED_NAMES.items()}


def read_summary(directory: Path) -> DatasetSummary:
    """The summary of the dataset in a directory.

    Raises:
        DataError: If there is none, or it is damaged or of another version.
    """
    path = directory / SUMMARY
    if not path.is_file():
        raise DataError(
            f"{directory} holds no {SUMMARY}: it is no dataset, or its build was not finished; "
            "build it with unigeoseg data build"
        )
    values = read_json(path)
    if values.get("schema") != VERSION:
        raise DataError(
            f"{directory} is of schema {values.get('schema')!r}, this version reads {VERSION}; "
            "build it again"
        )
    renamed = {_FIELD_NAMES.get(name, name): value for name, value in values.items()}
    try:
        summary = record_from(DatasetSummary, renamed, str(path))
    except DataError as error:
        raise DataError(f"{error}; build the dataset again") from error
    for name in summary.files:
        if not name or PurePath(name).name != name or "\\" in name:
            raise DataError(f"{path} names the file {name!r}, which is not beside it")
    return summary


def write_summary(directory: Path, counts: DatasetCounts, options: Mapping[str, Any]) -> None:
    """Write the summary of a dataset whose shards are there; it makes the dataset whole.

    Raises:
        DataError: If a shard cannot be read.
        OutputUnwritableError: If it cannot be written.
    """
    summary = DatasetSummary(
        schema=VERSION,
        unigeoseg=unigeoseg.__version__,
        options=dict(options),
        files={path.name: file_sha256(path) for path in sorted(directory.glob("*.parquet"))},
        **{field.name: getattr(counts, field.name) for field in fields(DatasetCounts)},
    )
    values = record_values(summary)
    stored = {_STORED_NAMES.get(name, name): value for name, value in values.items()}
    if counts.near_duplicates is None:
        del stored[_STORED_NAMES["near_duplicates"]]
    write_json(directory / SUMMARY, stored)
