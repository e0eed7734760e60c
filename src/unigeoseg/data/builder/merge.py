"""The global pass: from the folders of the units to the shards of a dataset.

What only shows when all units are there is decided here: splits, near-duplicates and leaks, caps.
Of each image and triplet a few words are held in memory; pictures and masks pass through.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unigeoseg.data.builder.near_duplicates import (
    HASHED_PATCH_COLUMNS,
    NEAR_BITS,
    HashedPatch,
    NearDuplicate,
    find_near_duplicates,
    keeping_splits,
)
from unigeoseg.data.builder.plan import Options
from unigeoseg.data.builder.splits import assign_splits
from unigeoseg.data.builder.unit import (
    IMAGES_FILE,
    LEDGER_FILE,
    TRIPLETS_FILE,
    no_triplet_rejection,
)
from unigeoseg.data.instructions.draft import PUBLISHED
from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.store.parquet import read_rows
from unigeoseg.data.store.rows import ledger_rows
from unigeoseg.data.store.schema import IMAGE_GROUP
from unigeoseg.data.store.shard_writer import DatasetWriter
from unigeoseg.data.store.summary import DatasetCounts, NearDuplicateCount

Folders = Sequence[Path]
SourcePair = tuple[str, str, str]
"""Stage, source of the dropped images, source of those that stay."""

_TRIPLET_COLUMNS = ("id", "image", "category_id", "source", "family", "writer")
_REASONING_FAMILIES = ("attribute", "context")


@dataclass(frozen=True, slots=True)
class Selection:
    """What of all units enters the dataset.

    Attributes:
        splits: The split of each image that stays, by its id.
        triplets: Ids of the triplets that stay.
        rejections: What was dropped, in order.
        near_duplicates: How many images were dropped because one of another group shows the same,
            by stage ("leak" between splits, "duplicate" within one), their source and that of the
            images that stay.
    """

    splits: dict[str, str]
    triplets: frozenset[str]
    rejections: tuple[Rejection, ...]
    near_duplicates: Mapping[SourcePair, int]


def select_triplets(folders: Folders, options: Options) -> Selection:
    """Decide what enters the dataset.

    1. Splits: a published split stays; the other groups of a source go where `assign_splits` puts
       them. Of a group that was published in several splits only the images of one
       stay: of test, else of val.
    2. Near-duplicates between groups: one stays (`find_near_duplicates`).
    3. Reasoning questions that were written here stay where a patch is among the `diverse` share
       of its source with the most categories (paper section 2, stage 6).
    4. A triplet that is there twice stays once. Of a category with more than `cap` triplets those
       with the lowest hash of seed and id stay; triplets without a category are not counted.

    Args:
        folders: Of all units, in order.
        options: Of the build.
    """
    rejections: list[Rejection] = []
    patches = _split(list(_hashed_patches(folders)), rejections.append)
    duplicates = {duplicate.dropped.id: duplicate for duplicate in find_near_duplicates(patches)}
    rejections += map(_duplicate_rejection, duplicates.values())
    images = {patch.id: patch for patch in patches if patch.id not in duplicates}
    triplets = _unique_triplets(folders, images, rejections.append)
    _drop_undiverse(triplets, _diversity(folders, images, options), rejections.append)
    ids = _capped_ids(triplets, rejections.append, seed=options.seed, cap=options.cap)
    splits = {patch.id: patch.split for patch in images.values()}
    pairs = _count_by_sources(duplicates.values())
    return Selection(splits, frozenset(ids), tuple(rejections), pairs)


def _hashed_patches(folders: Folders) -> Iterator[HashedPatch]:
    for folder in folders:
        for row in read_rows(folder / IMAGES_FILE, HASHED_PATCH_COLUMNS):
            yield HashedPatch(**row)


def _split(patches: Sequence[HashedPatch], reject: RejectionHandler) -> list[HashedPatch]:
    """Patches with their splits; of a group that was published in several those of one stay."""
    published: defaultdict[str, set[str]] = defaultdict(set)
    open_groups: defaultdict[str, set[str]] = defaultdict(set)
    for patch in patches:
        if patch.split:
            published[patch.group].add(patch.split)
        else:
            open_groups[patch.source].add(patch.group)
    assigned = {
        group: split
        for groups in open_groups.values()
        for group, split in assign_splits(groups - published.keys()).items()
    }
    from_source = {group: min(splits) for group, splits in published.items()}
    split_by_group = assigned | from_source | keeping_splits(published)
    with_splits = []
    for patch in patches:
        split = split_by_group[patch.group]
        if patch.split and patch.split != split:
            reject(_rejection("leak", "group", patch, f"group {patch.group} is in {split} too"))
        else:
            with_splits.append(replace(patch, split=split))
    return with_splits


def _stage(duplicate: NearDuplicate) -> str:
    return "leak" if duplicate.leak else "duplicate"


def _duplicate_rejection(duplicate: NearDuplicate) -> Rejection:
    dropped, reference = duplicate.dropped, duplicate.retained
    detail = f"image {dropped.id} shows what {reference.id} of {reference.key} shows"
    bits, limit = float(duplicate.bits), float(NEAR_BITS)
    stage = _stage(duplicate)
    return _rejection(stage, "near_duplicate", dropped, detail, value=bits, limit=limit)


def _count_by_sources(duplicates: Iterable[NearDuplicate]) -> Counter[SourcePair]:
    """Number of dropped images, not patches, of each pair of sources."""
    images = {
        (
            _stage(duplicate),
            duplicate.dropped.source,
            duplicate.retained.source,
            duplicate.dropped.key,
        )
        for duplicate in duplicates
    }
    return Counter((stage, dropped, reference) for stage, dropped, reference, _ in sorted(images))


@dataclass(frozen=True, slots=True)
class _Triplet:
    """What the selection needs of a triplet; `reasoning` is a question that was written here."""

    id: str
    image: HashedPatch
    category: int
    reasoning: bool


def _unique_triplets(
    folders: Folders, images: Mapping[str, HashedPatch], reject: RejectionHandler
) -> dict[str, _Triplet]:
    """The triplets of images that stay, by id; of equal ones the first."""
    triplets: dict[str, _Triplet] = {}
    copies: Counter[str] = Counter()
    for folder in folders:
        for row in read_rows(folder / TRIPLETS_FILE, _TRIPLET_COLUMNS):
            image = images.get(row["image"])
            if image is None:
                continue
            if row["id"] in triplets:
                copies[row["id"]] += 1
                detail, count = f"triplet {row['id']}", float(copies[row["id"]] + 1)
                reject(
                    _rejection("duplicate", "same_triplet", image, detail, value=count, limit=1.0)
                )
            reasoning = row["family"] in _REASONING_FAMILIES and row["writer"] != PUBLISHED
            triplet = _Triplet(row["id"], image, row["category_id"], reasoning)
            triplets.setdefault(row["id"], triplet)
    return triplets


@dataclass(frozen=True, slots=True)
class _Diversity:
    """How many categories an image has, its rank in its source, from 1, and the last that stays."""

    categories: int
    rank: int
    limit: int


def _diversity(
    folders: Folders, images: Mapping[str, HashedPatch], options: Options
) -> dict[str, _Diversity]:
    """The rank of each image among those of its source, the ones with the most categories first.

    Of equally many the lowest hashes of seed and id come first.
    """
    by_source: defaultdict[str, list[tuple[int, bytes, str]]] = defaultdict(list)
    for folder in folders:
        for row in read_rows(folder / IMAGES_FILE, ("id", "source", "regions")):
            if row["id"] in images:
                categories = {region["category"] for region in row["regions"]}
                sort_key = (-len(categories), _seeded_hash(options.seed, row["id"]), row["id"])
                by_source[row["source"]].append(sort_key)
    return {
        image: _Diversity(-negated_count, rank, math.ceil(options.diverse * len(sort_keys)))
        for sort_keys in by_source.values()
        for rank, (negated_count, _, image) in enumerate(sorted(sort_keys), start=1)
    }


def _drop_undiverse(
    triplets: dict[str, _Triplet], diversity: Mapping[str, _Diversity], reject: RejectionHandler
) -> None:
    """Drop reasoning questions about images that are not diverse; in place."""
    for triplet in list(triplets.values()):
        image = diversity[triplet.image.id]
        if triplet.reasoning and image.rank > image.limit:
            detail = (
                f"triplet {triplet.id} of image {triplet.image.id} with {image.categories} "
                "categories"
            )
            rank, limit = float(image.rank), float(image.limit)
            reject(_rejection("cap", "diversity", triplet.image, detail, value=rank, limit=limit))
            del triplets[triplet.id]


def _capped_ids(
    triplets: Mapping[str, _Triplet], reject: RejectionHandler, *, seed: int, cap: int | None
) -> Iterable[str]:
    """Ids of at most so many triplets of each category."""
    if cap is None:
        return triplets
    by_category: defaultdict[int, list[_Triplet]] = defaultdict(list)
    for triplet in triplets.values():
        by_category[triplet.category].append(triplet)
    ids = {triplet.id for triplet in by_category.pop(0, ())}  # 0: without a category
    for _, members in sorted(by_category.items()):
        members.sort(key=lambda triplet: _seeded_hash(seed, triplet.id))
        ids |= {triplet.id for triplet in members[:cap]}
        for triplet in members[cap:]:
            detail = f"triplet {triplet.id} of category {triplet.category}"
            count, limit = float(len(members)), float(cap)
            reject(_rejection("cap", "category", triplet.image, detail, value=count, limit=limit))
    return ids


def _seeded_hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def write_shards(out: Path, folders: Folders, selection: Selection) -> DatasetCounts:
    """Write the shards and the ledger of what was selected, in the order of the units.

    Images without a triplet are left out and noted.
    """
    written_ids: set[str] = set()
    with DatasetWriter(out) as shards:
        for folder in folders:
            images_with_triplets: set[str] = set()
            for row in read_rows(folder / TRIPLETS_FILE):
                if row["id"] in selection.triplets and row["id"] not in written_ids:
                    written_ids.add(row["id"])
                    images_with_triplets.add(row["image"])
                    shards.write_triplet(row | {"split": selection.splits[row["image"]]})
            for row in read_rows(folder / IMAGES_FILE, batch_rows=IMAGE_GROUP):
                if row["id"] in images_with_triplets:
                    shards.write_image(row | {"split": selection.splits[row["id"]]})
                elif row["id"] in selection.splits:
                    place = row["source"], row["key"], row["x"], row["y"]
                    shards.write_rejections(ledger_rows([no_triplet_rejection(*place)]))
            shards.write_rejections(read_rows(folder / LEDGER_FILE))
        shards.write_rejections(ledger_rows(selection.rejections))
    pairs = [
        NearDuplicateCount(stage=stage, dropped=dropped, kept=reference, images=count)
        for (stage, dropped, reference), count in selection.near_duplicates.items()
    ]
    return replace(shards.counts(), near_duplicates=pairs)


def _rejection(
    stage: str,
    rule: str,
    image: HashedPatch,
    detail: str,
    *,
    value: float | None = None,
    limit: float | None = None,
) -> Rejection:
    return Rejection(stage, rule, image.source, image.key, detail, value, limit)
