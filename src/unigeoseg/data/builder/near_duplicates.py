"""Pictures that show the same: near-duplicates, and leaks between splits."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import groupby

NEAR_BITS = 4
"""Most bits in which the hashes of near-duplicates differ."""

_RANK = {"test": 0, "val": 1, "train": 2}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the audit needs of a patch; its fields are columns of `rows.IMAGES`.

    Attributes:
        id: Of the patch.
        source: Its source.
        key: Path of its image there.
        group: Its group.
        split: Its split.
        phash: Its perceptual hash, or None.
        image_phash: That of the whole image that it was cut from, or None.
    """

    id: str
    source: str
    key: str
    group: str
    split: str
    phash: int | None
    image_phash: int | None


SEEN = tuple(each.name for each in fields(Seen))
"""The columns of `rows.IMAGES` that the audit reads."""


@dataclass(frozen=True, slots=True)
class Twin:
    """A patch that goes because its image shows what another shows.

    Attributes:
        dropped: The patch that goes.
        kept: A patch of the image that stays.
        bits: In how many bits the nearest hashes of the two images differ.
    """

    dropped: Seen
    kept: Seen
    bits: int

    @property
    def leak(self) -> bool:
        """Whether they lie in different splits."""
        return self.dropped.split != self.kept.split


def twins(patches: Iterable[Seen]) -> Iterator[Twin]:
    """Patches to drop so that no two groups show the same.

    Two images are near-duplicates if their whole pictures are, however each was cut, or a patch
    of one and a patch of the other. Of two in different groups one stays, and no patch of the
    other: that of the split which is harder to replace (test, then val, then train), then the
    first by source and path. So a test set never changes because of a training set. Images of one
    group may look alike: their split keeps them together anyway.
    """
    shown = _Shown()
    for image in _images(patches):
        near = shown.near(image)
        if near is None:
            shown.add(image)
        else:
            yield from (Twin(patch, *near) for patch in image)


def leaks(patches: Iterable[Seen]) -> Iterator[Twin]:
    """Patches whose image shows what an image of another group in a split held out more shows.

    What `twins` leaves has none.
    """
    shown = _Shown()
    for _, images in groupby(_images(patches), key=lambda image: image[0].split):
        of_split = list(images)
        yield from _alike(of_split, shown)
        for image in of_split:
            shown.add(image)


def shown_by(held: Iterable[Seen], others: Iterable[Seen]) -> frozenset[str]:
    """Ids of patches of `held` whose image shows what one of another group of `others` shows."""
    shown = _Shown()
    for image in _images(others):
        shown.add(image)
    return frozenset(twin.dropped.id for twin in _alike(_images(held), shown))


_Image = list[Seen]  # the patches of one image


def _images(patches: Iterable[Seen]) -> Iterator[_Image]:
    """Patches by image, those of the splits that are held out more first."""

    def place(patch: Seen) -> tuple[int, str, str, str]:
        return _RANK[patch.split], patch.source, patch.key, patch.group

    for _, members in groupby(sorted(patches, key=place), key=place):
        yield list(members)


def _alike(images: Iterable[_Image], shown: "_Shown") -> Iterator[Twin]:
    for image in images:
        near = shown.near(image)
        if near is not None:
            yield from (Twin(patch, *near) for patch in image)


class _Shown:
    """What images show, as a whole and patch by patch."""

    def __init__(self) -> None:
        self._whole, self._patches = _Index(), _Index()

    def near(self, image: _Image) -> tuple[Seen, int] | None:
        """The nearest image of another group and how many bits differ, if near enough."""
        first = image[0]
        found = [self._whole.near(first.image_phash, first.group)]
        found += [self._patches.near(patch.phash, patch.group) for patch in image]
        return min(filter(None, found), key=lambda pair: pair[1], default=None)

    def add(self, image: _Image) -> None:
        """Take an image in."""
        self._whole.add(image[0].image_phash, image[0])
        for patch in image:
            self._patches.add(patch.phash, patch)


class _Index:
    """Pictures by hash: hashes that differ in few bits share one of five parts of 13 bits."""

    _PARTS = NEAR_BITS + 1
    _WIDTH = -(-64 // _PARTS)

    def __init__(self) -> None:
        self._kept: dict[int, dict[str, Seen]] = {}
        self._parts: list[dict[int, list[int]]] = [{} for _ in range(self._PARTS)]

    def near(self, phash: int | None, group: str) -> tuple[Seen, int] | None:
        """The nearest picture of another group and how many bits differ, if near enough."""
        if phash is None:
            return None
        candidates = {
            other
            for part, key in enumerate(self._keys(phash))
            for other in self._parts[part].get(key, ())
        }
        close = sorted(
            ((phash ^ other).bit_count(), other)
            for other in candidates
            if (phash ^ other).bit_count() <= NEAR_BITS
        )
        found = (
            (seen, bits)
            for bits, other in close
            for name, seen in self._kept[other].items()
            if name != group
        )
        return next(found, None)

    def add(self, phash: int | None, patch: Seen) -> None:
        """Take a picture in, if it has a hash."""
        if phash is None:
            return
        if phash not in self._kept:
            for part, key in enumerate(self._keys(phash)):
                self._parts[part].setdefault(key, []).append(phash)
        self._kept.setdefault(phash, {}).setdefault(patch.group, patch)

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
