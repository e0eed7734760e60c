"""Check a dataset as somebody would who does not trust its maker.

Hashes, ids, licences, splits and masks are computed again; programs are run by the second
implementation (`semantics`) on the stored regions.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.dataset import Dataset
from unigeoseg.data.draft import PUBLISHED, Family
from unigeoseg.data.files import sha256
from unigeoseg.data.filters import Rules
from unigeoseg.data.patch import Patch
from unigeoseg.data.rows import patch_of, sample_of
from unigeoseg.data.semantics import NoSelection, select
from unigeoseg.data.taxonomy import leaks, taxonomy
from unigeoseg.errors import DataError, PromptError
from unigeoseg.prompt import Task
from unigeoseg.sample import Sample, Split

SHOWN = 20
"""Failures that are kept in words; all are counted."""


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
            if len(self.failures) < SHOWN:
                self.failures.append(f"{kind}: {message}")


def verify(dataset: Dataset) -> Verification:
    """Check every file, image and triplet of a dataset.

    Files whose hash is wrong are not read further.

    Raises:
        DataError: If a shard with the right hash cannot be read.
    """
    report = Verification()
    for name, digest in dataset.summary["files"].items():
        found = _hash(dataset, name)
        report.check("file", found == digest, f"{name} is {found}, expected {digest}")
    if report.passed:
        _check_rows(dataset, report)
    return report


def _hash(dataset: Dataset, name: str) -> str:
    try:
        return sha256(dataset.path / name)
    except DataError:
        return "missing"


def _check_rows(dataset: Dataset, report: Verification) -> None:
    seen: Counter[str] = Counter()
    splits: dict[str, str] = {}
    ids: set[str] = set()
    for image, triplets in dataset.records():
        seen["images"] += 1
        seen["triplets"] += len(triplets)
        patch = _check_image(image, dataset, splits, report)
        _check_unique(image["id"], ids, report)
        for row in triplets:
            _check_unique(row["id"], ids, report)
            _check_triplet(row, image, patch, report)
    for what in ("images", "triplets"):
        said, found = dataset.summary[what], seen[what]
        report.check("count", said == found, f"{found} {what}, expected {said}")


def _check_unique(name: str, ids: set[str], report: Verification) -> None:
    report.check("unique id", name not in ids, f"{name} is there twice")
    ids.add(name)


def _check_image(
    row: Mapping[str, Any], dataset: Dataset, splits: dict[str, str], report: Verification
) -> Patch | None:
    name, licence, source = row["id"], row["licence"], row["source"]
    known = dataset.summary["sources"].get(source, {}).get("licences", [])
    report.check(
        "licence",
        bool(licence) and licence in known,
        f"image {name} of {source} has {licence!r}, its source has {known}",
    )
    split = splits.setdefault(row["group"], row["split"])
    report.check(
        "split",
        row["split"] in get_args(Split) and split == row["split"],
        f"image {name} is in {row['split']!r}, its group {row['group']} in {split!r}",
    )
    try:
        patch = patch_of(row)
    except DataError as error:
        report.check("image id", False, str(error))
        return None
    report.check("image id", patch.id == name, f"{name} should be {patch.id}")
    return patch


def _check_triplet(
    row: Mapping[str, Any], image: Mapping[str, Any], patch: Patch | None, report: Verification
) -> None:
    name = row["id"]
    for what in ("source", "licence", "group", "split", "width", "height"):
        report.check(
            what,
            row[what] == image[what],
            f"triplet {name} has {row[what]!r}, its image {image[what]!r}",
        )
    report.check("family", row["family"] in get_args(Family), f"{name}: {row['family']!r}")
    try:
        sample = sample_of(row)
        mask = sample.mask()
    except (DataError, PromptError, ValueError) as error:
        report.check("triplet id", False, f"{name}: {error}")
        return
    report.check("triplet id", sample.id == name, f"{name} should be {sample.id}")
    for kind, fault in _faults(sample, mask, patch):
        report.check(kind, not fault, f"triplet {name}: {fault}")


Fault = tuple[str, str]


def _faults(sample: Sample, mask: NDArray[np.bool_], patch: Patch | None) -> Iterator[Fault]:
    """Each kind of check that applies to a triplet, with what is wrong, or empty."""
    if sample.writer == PUBLISHED:
        return
    yield "mask", "" if mask.any() else "the mask is empty"
    if patch is not None and sample.regions:
        yield "mask", _other_mask(sample, mask, patch)
        yield "area", _wrong_area(sample, patch)
        if sample.program or _needs_program(sample):
            yield "program", _wrong_selection(sample, patch)
    if sample.prompt.task is Task.REASONING and sample.category_id in taxonomy():
        word = leaks(sample.prompt.text, taxonomy()[sample.category_id])
        yield "leak", f"{sample.prompt.text!r} says {word!r}" if word else ""


def _needs_program(sample: Sample) -> bool:
    return sample.writer.startswith("offline") and sample.family in ("referring", "context")


def _other_mask(sample: Sample, mask: NDArray[np.bool_], patch: Patch) -> str:
    drawn = np.isin(patch.regions, sample.regions)
    same = bool((drawn == mask).all())
    return "" if same else f"the mask is not that of regions {list(sample.regions)}"


def _wrong_area(sample: Sample, patch: Patch) -> str:
    rules = Rules()
    for region in sample.regions:
        share = float((patch.regions == region).mean())
        if not rules.least_share <= share <= rules.most_share:
            return (
                f"region {region} covers {share:.2%}, expected {rules.least_share:.2%} to "
                f"{rules.most_share:.2%}"
            )
    return ""


def _wrong_selection(sample: Sample, patch: Patch) -> str:
    try:
        chosen = select(sample.program, patch)
    except NoSelection as error:
        return f"{sample.program!r} selects nothing: {error}"
    same = chosen == set(sample.regions)
    return "" if same else f"{sample.program!r} selects {sorted(chosen)}, not {sample.regions}"
