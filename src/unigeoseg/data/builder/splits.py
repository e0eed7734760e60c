"""Train, val or test, by group: a group's images show the same scene and stay together."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

from unigeoseg.sample import Split

TEST_SHARE, VAL_SHARE = 0.15, 0.05


def assign_splits(groups: Iterable[str]) -> dict[str, Split]:
    """The split of each group of one source.

    Groups of the sources that Nano is trained and tested on are where `splits.json` has them,
    whatever became of the others; groups of any other source are drawn (`draw_splits`).

    Args:
        groups: Names of its groups, with the source's name in front, as images carry them.
    """
    return {
        group: recorded_splits().get(group, split) for group, split in draw_splits(groups).items()
    }


def draw_splits(groups: Iterable[str]) -> dict[str, Split]:
    """Draw splits for the groups of one source: a fixed share to test and val, the rest to train.

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


@cache
def recorded_splits() -> Mapping[str, Split]:
    """Splits that were drawn once for the sources of Nano, by group; read from the package."""
    text = (files("unigeoseg.data.builder") / "splits.json").read_text("utf-8")
    return {
        f"{source}/{name}": split
        for source, splits in json.loads(text).items()
        for split, names in splits.items()
        for name in names
    }
