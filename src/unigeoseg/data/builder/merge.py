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
from typing import Any

from unigeoseg.data.builder.near_duplicates import NEAR_BITS, SEEN, Seen, Twin, split_leaks, twins
from unigeoseg.data.builder.plan import Options
from unigeoseg.data.builder.splits import assign
from unigeoseg.data.builder.unit import no_triplet
from unigeoseg.data.instructions.draft import PUBLISHED
from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.store.parquet import read_rows
from unigeoseg.data.store.schema import IMAGE_GROUP, ledger_rows
from unigeoseg.data.store.shard_writer import Shards

Folders = Sequence[Path]
_TRIPLET = ("id", "image", "category_id", "source", "family", "writer")


@dataclass(frozen=True, slots=True)
class Choice:
    """What of all units goes on.

    Attributes:
        splits: The split of each image that stays, by its id.
        triplets: Ids of the triplets that stay.
        rejections: What went, in order.
        twins: How many images went because one of another group shows the same, by stage
            ("leak" between splits, "duplicate" within one), their source and that of the others.
    """

    splits: dict[str, str]
    triplets: frozenset[str]
    rejections: tuple[Rejection, ...]
    twins: Mapping[tuple[str, str, str], int]


def choose(folders: Folders, options: Options) -> Choice:
    """Decide what goes on.

    1. Splits: a published split stays; the other groups of a source go where `split.assign` puts
       them. Of a group that was published in several splits only the images of one
       stay: of test, else of val.
    2. Near-duplicates between groups: one stays (`audit.twins`).
    3. Reasoning questions that were written here stay where a patch is among the `diverse` share
       of its source with the most categories (paper section 2, stage 6).
    4. A triplet that is there twice stays once. Of a category with more than `cap` triplets those
       with the lowest hash of seed and id stay; triplets without a category are not counted.

    Args:
        folders: Of all units, in order.
        options: Of the build.
    """
    noted: list[Rejection] = []
    seen = _split(list(_seen(folders)), noted.append)
    alike = {twin.dropped.id: twin for twin in twins(seen)}
    for twin in alike.values():
        noted.append(_of_twin(twin))
    images = {image.id: image for image in seen if image.id not in alike}
    kept = _triplets(folders, images, noted.append)
    _keep_diverse(kept, _by_diversity(folders, images, options), noted.append)
    chosen = _capped(kept, noted.append, seed=options.seed, cap=options.cap)
    splits = {image.id: image.split for image in images.values()}
    return Choice(splits, frozenset(chosen), tuple(noted), _by_pair(alike.values()))


def _seen(folders: Folders) -> Iterator[Seen]:
    for folder in folders:
        for row in read_rows(folder / "images.parquet", SEEN):
            yield Seen(**row)


def _split(images: Sequence[Seen], note: RejectionHandler) -> list[Seen]:
    published: defaultdict[str, set[str]] = defaultdict(set)
    open_groups: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.split:
            published[image.group].add(image.split)
        else:
            open_groups[image.source].add(image.group)
    drawn = {
        group: split
        for groups in open_groups.values()
        for group, split in assign(groups - published.keys()).items()
    }
    settled = split_leaks(published)
    ours = drawn | {group: min(splits) for group, splits in published.items()} | settled
    kept = []
    for image in images:
        split = ours[image.group]
        if image.split and image.split != split:
            note(_of_image("leak", "group", image, f"group {image.group} is in {split} too"))
        else:
            kept.append(replace(image, split=split))
    return kept


def _stage(twin: Twin) -> str:
    return "leak" if twin.leak else "duplicate"


def _of_twin(twin: Twin) -> Rejection:
    detail = f"image {twin.dropped.id} shows what {twin.kept.id} of {twin.kept.key} shows"
    bits, limit = float(twin.bits), float(NEAR_BITS)
    return _of_image(_stage(twin), "near_duplicate", twin.dropped, detail, value=bits, limit=limit)


def _by_pair(found: Iterable[Twin]) -> Counter[tuple[str, str, str]]:
    """Images, not patches, by stage, their source and that of the images that stay."""
    pairs = {
        (_stage(twin), twin.dropped.source, twin.kept.source, twin.dropped.key) for twin in found
    }
    return Counter(pair[:3] for pair in sorted(pairs))


@dataclass(frozen=True, slots=True)
class _Kept:
    id: str
    image: Seen
    category: int
    reasoning: bool  # a question that was written here


def _triplets(
    folders: Folders, images: Mapping[str, Seen], note: RejectionHandler
) -> dict[str, _Kept]:
    kept: dict[str, _Kept] = {}
    copies: Counter[str] = Counter()
    for folder in folders:
        for row in read_rows(folder / "triplets.parquet", _TRIPLET):
            image = images.get(row["image"])
            if image is None:
                continue
            if row["id"] in kept:
                copies[row["id"]] += 1
                detail, count = f"triplet {row['id']}", float(copies[row["id"]] + 1)
                note(_of_image("duplicate", "same_triplet", image, detail, value=count, limit=1.0))
            reasoning = row["family"] in ("attribute", "context") and row["writer"] != PUBLISHED
            one = _Kept(row["id"], image, row["category_id"], reasoning)
            kept.setdefault(row["id"], one)
    return kept


@dataclass(frozen=True, slots=True)
class _Diversity:
    """How many categories an image has, its rank in its source, from 1, and the last that stays."""

    categories: int
    rank: int
    limit: int


def _by_diversity(
    folders: Folders, images: Mapping[str, Seen], options: Options
) -> dict[str, _Diversity]:
    """Where each image is among those of its source, the ones with the most categories first.

    Of equally many the lowest hashes of seed and id come first.
    """
    by_source: defaultdict[str, list[tuple[int, bytes, str]]] = defaultdict(list)
    for folder in folders:
        for row in read_rows(folder / "images.parquet", ("id", "source", "regions")):
            if row["id"] in images:
                categories = {region["category"] for region in row["regions"]}
                lot = (-len(categories), _lot(options.seed, row["id"]), row["id"])
                by_source[row["source"]].append(lot)
    return {
        image: _Diversity(-less, rank, math.ceil(options.diverse * len(lots)))
        for lots in by_source.values()
        for rank, (less, _, image) in enumerate(sorted(lots), start=1)
    }


def _keep_diverse(
    kept: dict[str, _Kept], diversity: Mapping[str, _Diversity], note: RejectionHandler
) -> None:
    """Drop reasoning questions about images that are not diverse; in place."""
    for each in list(kept.values()):
        place = diversity[each.image.id]
        if each.reasoning and place.rank > place.limit:
            said = f"triplet {each.id} of image {each.image.id} with {place.categories} categories"
            rank, limit = float(place.rank), float(place.limit)
            note(_of_image("cap", "diversity", each.image, said, value=rank, limit=limit))
            del kept[each.id]


def _capped(
    kept: dict[str, _Kept], note: RejectionHandler, *, seed: int, cap: int | None
) -> Iterable[str]:
    if cap is None:
        return kept
    by_category: defaultdict[int, list[_Kept]] = defaultdict(list)
    for each in kept.values():
        by_category[each.category].append(each)
    chosen = {each.id for each in by_category.pop(0, ())}
    for _, members in sorted(by_category.items()):
        members.sort(key=lambda each: _lot(seed, each.id))
        chosen |= {each.id for each in members[:cap]}
        for each in members[cap:]:
            detail = f"triplet {each.id} of category {each.category}"
            count, limit = float(len(members)), float(cap)
            note(_of_image("cap", "category", each.image, detail, value=count, limit=limit))
    return chosen


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def write_shards(out: Path, folders: Folders, choice: Choice) -> dict[str, Any]:
    """Write the shards and the ledger of what was chosen, in the order of the units.

    Images without a triplet are left out and noted.

    Returns:
        Counts, licences and rejections, see `Shards.summary`; and the choice's `twins`.
    """
    written: set[str] = set()
    with Shards(out) as shards:
        for folder in folders:
            used: set[str] = set()
            for row in read_rows(folder / "triplets.parquet"):
                if row["id"] in choice.triplets and row["id"] not in written:
                    written.add(row["id"])
                    used.add(row["image"])
                    shards.triplet(row | {"split": choice.splits[row["image"]]})
            for row in read_rows(folder / "images.parquet", batch=IMAGE_GROUP):
                if row["id"] in used:
                    shards.image(row | {"split": choice.splits[row["id"]]})
                elif row["id"] in choice.splits:
                    place = row["source"], row["key"], row["x"], row["y"]
                    shards.ledger(ledger_rows([no_triplet(*place)]))
            shards.ledger(read_rows(folder / "ledger.parquet"))
        shards.ledger(ledger_rows(choice.rejections))
    names = ("stage", "dropped", "kept")
    pairs = [
        dict(zip(names, pair, strict=True)) | {"images": count}
        for pair, count in choice.twins.items()
    ]
    return shards.summary() | {"twins": pairs}


def _of_image(
    stage: str,
    rule: str,
    image: Seen,
    detail: str,
    *,
    value: float | None = None,
    limit: float | None = None,
) -> Rejection:
    return Rejection(stage, rule, image.source, image.key, detail, value, limit)
