"""Train, val or test, by group: a group's images show the same scene and stay together."""

import hashlib
from collections.abc import Iterable
from typing import Literal

Split = Literal["train", "val", "test"]

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
