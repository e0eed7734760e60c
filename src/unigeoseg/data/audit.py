"""Pictures that show the same: near-duplicates, and leaks between splits."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR_BITS = 4
"""Most bits in which the hashes of near-duplicates differ."""

_FLAT = 2.0  # standard deviation in grey levels; what is flatter has no picture to compare
_SIDE, _KEPT = 32, 8
_RANK = {"test": 0, "val": 1, "train": 2}


def perceptual_hash(pixels: NDArray[np.uint8]) -> int | None:
    """64 bits of what a picture (H, W, 3) RGB shows.

    The signs, against their median, of the 8 x 8 lowest frequencies of a 32 x 32 picture in grey
    (a cosine transform). Brightness, contrast, scale and compression hardly change it; turning
    and mirroring do. None for a picture that is nearly of one grey, such as open water.
    """
    grey = cv2.resize(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    if grey.std() < _FLAT:
        return None
    low = cv2.dct(grey)[:_KEPT, :_KEPT].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the audit needs of an image.

    Attributes:
        id: Of the image.
        source: Its source.
        key: Its path there.
        group: Its group.
        split: Its split.
        phash: Its perceptual hash, or None.
    """

    id: str
    source: str
    key: str
    group: str
    split: str
    phash: int | None


@dataclass(frozen=True, slots=True)
class Twin:
    """An image that goes because another shows the same.

    Attributes:
        dropped: The image that goes.
        kept: The image that stays.
        bits: In how many bits their hashes differ.
    """

    dropped: Seen
    kept: Seen
    bits: int

    @property
    def leak(self) -> bool:
        """Whether they lie in different splits."""
        return self.dropped.split != self.kept.split


def twins(images: Iterable[Seen]) -> Iterator[Twin]:
    """Images to drop so that no two groups show the same.

    Of two near-duplicates in different groups one stays: that of the split which is harder to
    replace (test, then val, then train), then the first by source and path. So a test set never
    changes because of a training set. Images of one group may look alike: their split keeps them
    together anyway.
    """
    index = _Index()
    for image in sorted(images, key=lambda each: (_RANK[each.split], each.source, each.key)):
        if image.phash is None:
            continue
        near = index.near(image.phash, image.group)
        if near is None:
            index.add(image)
        else:
            yield Twin(image, *near)


class _Index:
    """Kept images by hash: hashes that differ in few bits share one of five parts of 13 bits."""

    _PARTS = NEAR_BITS + 1
    _WIDTH = -(-64 // _PARTS)

    def __init__(self) -> None:
        self._kept: dict[int, dict[str, Seen]] = {}
        self._parts: list[dict[int, list[int]]] = [{} for _ in range(self._PARTS)]

    def near(self, phash: int, group: str) -> tuple[Seen, int] | None:
        """The nearest kept image of another group and how many bits differ, if near enough."""
        alike = {
            other
            for part, key in enumerate(self._keys(phash))
            for other in self._parts[part].get(key, ())
        }
        close = sorted(
            ((phash ^ other).bit_count(), other)
            for other in alike
            if (phash ^ other).bit_count() <= NEAR_BITS
        )
        found = (
            (seen, bits)
            for bits, other in close
            for name, seen in self._kept[other].items()
            if name != group
        )
        return next(found, None)

    def add(self, image: Seen) -> None:
        """Keep an image."""
        assert image.phash is not None
        if image.phash not in self._kept:
            for part, key in enumerate(self._keys(image.phash)):
                self._parts[part].setdefault(key, []).append(image.phash)
        self._kept.setdefault(image.phash, {}).setdefault(image.group, image)

    def _keys(self, phash: int) -> list[int]:
        mask = (1 << self._WIDTH) - 1
        return [(phash >> (self._WIDTH * part)) & mask for part in range(self._PARTS)]


def split_leaks(groups: Mapping[str, set[str]]) -> dict[str, str]:
    """Groups that lie in several splits, and the split that keeps them (test, val, train)."""
    return {
        group: min(splits, key=_RANK.__getitem__)
        for group, splits in groups.items()
        if len(splits) > 1
    }
