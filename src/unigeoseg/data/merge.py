"""The global pass: from the folders of the units to the shards of a dataset.

What only shows when all units are there is decided here: splits, near-duplicates and leaks, caps.
Of each image and triplet a few words are held in memory; pictures and masks pass through.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unigeoseg.data.audit import Seen, split_leaks, twins
from unigeoseg.data.ledger import Rejection
from unigeoseg.data.parquet import read_rows
from unigeoseg.data.rows import ledger_rows
from unigeoseg.data.shards import Shards
from unigeoseg.data.split import split_groups
from unigeoseg.data.unit import IMAGE_GROUP

Folders = Sequence[Path]
Note = Callable[[Rejection], None]


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


def choose(folders: Folders, *, seed: int, cap: int | None) -> Choice:
    """Decide what goes on.

    1. Splits: a published split stays; the other groups of a source are ranked by a hash
       (`split_groups`). Of a group that was published in several splits only the images of one
       stay: of test, else of val.
    2. Near-duplicates between groups: one stays (`audit.twins`).
    3. A triplet that is there twice stays once. Of a category with more than `cap` triplets those
       with the lowest hash of seed and id stay.

    Args:
        folders: Of all units, in order.
        seed: Decides, with the triplets' ids, which ones stay under the cap.
        cap: Most triplets per category; None for no limit. Triplets without a category are not
            counted.
    """
    noted: list[Rejection] = []
    images = _without_twins(_split(list(_seen(folders)), noted.append), noted.append)
    splits = {image.id: image.split for image in images}
    kept = _triplets(folders, splits, noted.append)
    chosen = _capped(kept, noted.append, seed=seed, cap=cap)
    return Choice(splits, frozenset(chosen), tuple(noted))


def _seen(folders: Folders) -> Iterator[Seen]:
    names = ("id", "source", "key", "group", "split", "phash")
    for folder in folders:
        for row in read_rows(folder / "images.parquet", names):
            yield Seen(**row)


def _split(images: Sequence[Seen], note: Note) -> list[Seen]:
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
        for group, split in split_groups(groups - published.keys()).items()
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


def _without_twins(images: Sequence[Seen], note: Note) -> list[Seen]:
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
    category: int
    source: str


def _triplets(folders: Folders, splits: dict[str, str], note: Note) -> dict[str, _Kept]:
    kept: dict[str, _Kept] = {}
    for folder in folders:
        for row in read_rows(folder / "triplets.parquet", ("id", "image", "category_id", "source")):
            if row["image"] not in splits:
                continue
            if row["id"] in kept:
                detail = f"triplet {row['id']}"
                note(Rejection("duplicate", "same_triplet", row["source"], "", detail))
            kept.setdefault(row["id"], _Kept(row["id"], row["category_id"], row["source"]))
    return kept


def _capped(kept: dict[str, _Kept], note: Note, *, seed: int, cap: int | None) -> Iterable[str]:
    if cap is None:
        return kept
    by_category: defaultdict[int, list[_Kept]] = defaultdict(list)
    for each in kept.values():
        by_category[each.category].append(each)
    chosen = {each.id for each in by_category.pop(0, ())}
    for _, members in sorted(by_category.items()):
        members.sort(key=lambda each: hashlib.sha256(f"{seed}/{each.id}".encode()).digest())
        chosen |= {each.id for each in members[:cap]}
        for each in members[cap:]:
            detail = f"triplet {each.id} of category {each.category}"
            note(
                Rejection(
                    "cap", "category", each.source, "", detail, float(len(members)), float(cap)
                )
            )
    return chosen


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
