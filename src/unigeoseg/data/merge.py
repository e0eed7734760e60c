"""The global pass: from the folders of the units to the shards of a dataset.

What only shows when all units are there is decided here: splits, near-duplicates and leaks, caps.
Of each image and triplet a few words are held in memory; pictures and masks pass through.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unigeoseg.data.audit import Seen, split_leaks, twins
from unigeoseg.data.draft import PUBLISHED
from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.parquet import read_rows
from unigeoseg.data.plan import Options
from unigeoseg.data.rows import ledger_rows
from unigeoseg.data.shards import Shards
from unigeoseg.data.split import assign
from unigeoseg.data.unit import IMAGE_GROUP

Folders = Sequence[Path]
_TRIPLET = ("id", "image", "category_id", "source", "family", "writer")


@dataclass(frozen=True, slots=True)
class Choice:
    """What of all units goes on.

    Attributes:
        splits: The split of each image that stays, by its id.
        triplets: Ids of the triplets that stay.
        rejections: What went, in order.
    """

    splits: dict[str, str]
    triplets: frozenset[str]
    rejections: tuple[Rejection, ...]


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
    images = _without_twins(_split(list(_seen(folders)), noted.append), noted.append)
    splits = {image.id: image.split for image in images}
    kept = _triplets(folders, splits, noted.append)
    _keep_diverse(kept, _by_diversity(folders, splits, options), noted.append)
    chosen = _capped(kept, noted.append, seed=options.seed, cap=options.cap)
    return Choice(splits, frozenset(chosen), tuple(noted))


def _seen(folders: Folders) -> Iterator[Seen]:
    names = ("id", "source", "key", "group", "split", "phash")
    for folder in folders:
        for row in read_rows(folder / "images.parquet", names):
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


def _without_twins(images: Sequence[Seen], note: RejectionHandler) -> list[Seen]:
    dropped = set()
    for twin in twins(images):
        dropped.add(twin.dropped.id)
        stage = "leak" if twin.leak else "duplicate"
        detail = f"image {twin.dropped.id} shows what {twin.kept.id} of {twin.kept.key} shows"
        note(_of_image(stage, "near_duplicate", twin.dropped, detail, float(twin.bits)))
    return [image for image in images if image.id not in dropped]


@dataclass(frozen=True, slots=True)
class _Kept:
    id: str
    image: str
    category: int
    source: str
    reasoning: bool  # a question that was written here


def _triplets(folders: Folders, splits: dict[str, str], note: RejectionHandler) -> dict[str, _Kept]:
    kept: dict[str, _Kept] = {}
    for folder in folders:
        for row in read_rows(folder / "triplets.parquet", _TRIPLET):
            if row["image"] not in splits:
                continue
            if row["id"] in kept:
                detail = f"triplet {row['id']}"
                note(Rejection("duplicate", "same_triplet", row["source"], "", detail))
            reasoning = row["family"] in ("attribute", "context") and row["writer"] != PUBLISHED
            one = _Kept(row["id"], row["image"], row["category_id"], row["source"], reasoning)
            kept.setdefault(row["id"], one)
    return kept


def _by_diversity(folders: Folders, splits: dict[str, str], options: Options) -> dict[str, bool]:
    """Whether each image is among the share of its source with the most categories.

    Of equally many the lowest hashes of seed and id come first.
    """
    by_source: defaultdict[str, list[tuple[int, bytes, str]]] = defaultdict(list)
    for folder in folders:
        for row in read_rows(folder / "images.parquet", ("id", "source", "regions")):
            if row["id"] in splits:
                categories = {region["category"] for region in row["regions"]}
                lot = (-len(categories), _lot(options.seed, row["id"]), row["id"])
                by_source[row["source"]].append(lot)
    return {
        image: rank < math.ceil(options.diverse * len(lots))
        for lots in by_source.values()
        for rank, (_, _, image) in enumerate(sorted(lots))
    }


def _keep_diverse(kept: dict[str, _Kept], diverse: dict[str, bool], note: RejectionHandler) -> None:
    """Drop reasoning questions about images that are not diverse; in place."""
    for each in list(kept.values()):
        if each.reasoning and not diverse[each.image]:
            detail = f"triplet {each.id} of image {each.image}"
            note(Rejection("cap", "diversity", each.source, "", detail))
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
            note(
                Rejection(
                    "cap", "category", each.source, "", detail, float(len(members)), float(cap)
                )
            )
    return chosen


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def write_shards(out: Path, folders: Folders, choice: Choice) -> dict[str, Any]:
    """Write the shards and the ledger of what was chosen, in the order of the units.

    Images without a triplet are left out.

    Returns:
        Counts, licences and rejections; see `Shards.summary`.
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
            shards.ledger(read_rows(folder / "ledger.parquet"))
        shards.ledger(ledger_rows(choice.rejections))
    return shards.summary()


def _of_image(
    stage: str, rule: str, image: Seen, detail: str, value: float | None = None
) -> Rejection:
    return Rejection(stage, rule, image.source, image.key, detail, value)
