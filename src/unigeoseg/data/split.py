"""Train, val or test, by group: a group's images show the same scene and stay together."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from unigeoseg.data.readers import LabelledImage, groups_of, has_masks, read_set
from unigeoseg.errors import DataError
from unigeoseg.sample import Split

TEST_SHARE, VAL_SHARE = 0.15, 0.05


def split_groups(groups: Iterable[str]) -> dict[str, Split]:
    """Assign the groups of one source: a fixed share to test and val, the rest to train.

    Groups are ranked by a hash of their name, so the answer is the same on every machine and
    does not depend on the order in which files are listed. A source with a single group trains.
    """
    ranked = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).digest())
    tests = round(len(ranked) * TEST_SHARE)
    vals = round(len(ranked) * VAL_SHARE)
    return {
        group: "test" if rank < tests else "val" if rank < tests + vals else "train"
        for rank, group in enumerate(ranked)
    }


def read_split(data: Path, split: Split, *, limit: int | None = None) -> list[LabelledImage]:
    """Every image of a split, of every set with masks in `data`, in memory.

    Args:
        data: Folder of sets.
        split: Which groups.
        limit: At most so many images of each set, the first by name.

    Raises:
        DataError: If there is none.
    """
    chosen: list[LabelledImage] = []
    for directory in sorted(path for path in data.glob("*") if has_masks(path)):
        groups = groups_of(directory)
        splits = split_groups(groups.values())
        paths = [path for path, group in groups.items() if splits[group] == split]
        chosen += read_set(directory, paths[:limit])
    if not chosen:
        raise DataError(f"{data} holds no set with masks/*.png in its {split} split")
    return chosen
