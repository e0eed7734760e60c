"""Near-duplicates: images of different groups that show the same, and leaks between splits.

Two pictures are near-duplicates if few bits of their perceptual hashes differ.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import groupby

NEAR_BITS = 4
"""Most bits in which the hashes of near-duplicates differ."""

_HASH_BITS = 64
_HELD_OUT_RANK = {"test": 0, "val": 1, "train": 2}  # the split that is held out most comes first


@dataclass(frozen=True, slots=True)
class HashedPatch:
    """What the search for near-duplicates needs of a patch; its fields are columns of `IMAGES`.

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


HASHED_PATCH_COLUMNS = tuple(field.name for field in fields(HashedPatch))
"""The columns of `schema.IMAGES` that a hashed patch is made of."""


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A patch that is dropped because its image shows what another shows.

    Attributes:
        dropped: The patch that is dropped.
        retained: A patch of the image that stays.
        bits: In how many bits the nearest hashes of the two images differ.
    """

    dropped: HashedPatch
    retained: HashedPatch
    bits: int

    @property
    def leak(self) -> bool:
        """Whether they lie in different splits."""
        return self.dropped.split != self.retained.split


def find_near_duplicates(patches: Iterable[HashedPatch]) -> Iterator[NearDuplicate]:
    """Patches to drop so that no two groups show the same.

    Two images are near-duplicates if their whole pictures are, however each was cut, or a patch
    of one and a patch of the other. Of two in different groups one stays, and no patch of the
    other: that of the split which is harder to replace (test, then val, then train), then the
    first by source and path. So a test set never changes because of a training set. Images of one
    group may look alike: their split keeps them together anyway.
    """
    index = _ImageIndex()
    for image in _images(patches):
        match = index.nearest(image)
        if match is None:
            index.add(image)
        else:
            yield from (NearDuplicate(patch, *match) for patch in image)


def find_split_leaks(patches: Iterable[HashedPatch]) -> Iterator[NearDuplicate]:
    """Patches whose image shows what an image of another group in a split held out more shows.

    There are none in what `find_near_duplicates` leaves.
    """
    index = _ImageIndex()
    for _, images in groupby(_images(patches), key=lambda image: image[0].split):
        images_of_split = list(images)
        yield from _matches(images_of_split, index)
        for image in images_of_split:
            index.add(image)


def find_copies(
    patches: Iterable[HashedPatch], references: Iterable[HashedPatch]
) -> frozenset[str]:
    """Ids of patches whose image shows what a reference of another group shows."""
    index = _ImageIndex()
    for image in _images(references):
        index.add(image)
    return frozenset(match.dropped.id for match in _matches(_images(patches), index))


_Image = list[HashedPatch]  # the patches of one image


def _images(patches: Iterable[HashedPatch]) -> Iterator[_Image]:
    """Patches by image, those of the splits that are held out more first."""

    def image_of(patch: HashedPatch) -> tuple[int, str, str, str]:
        return _HELD_OUT_RANK[patch.split], patch.source, patch.key, patch.group

    for _, members in groupby(sorted(patches, key=image_of), key=image_of):
        yield list(members)


def _matches(images: Iterable[_Image], index: "_ImageIndex") -> Iterator[NearDuplicate]:
    for image in images:
        match = index.nearest(image)
        if match is not None:
            yield from (NearDuplicate(patch, *match) for patch in image)


class _ImageIndex:
    """Images by the hashes of their whole picture and of their patches."""

    def __init__(self) -> None:
        self._images, self._patches = _HashIndex(), _HashIndex()

    def nearest(self, image: _Image) -> tuple[HashedPatch, int] | None:
        """The nearest image of another group and how many bits differ, if near enough."""
        first = image[0]
        matches = [self._images.nearest(first.image_phash, first.group)]
        matches += [self._patches.nearest(patch.phash, patch.group) for patch in image]
        return min(filter(None, matches), key=lambda match: match[1], default=None)

    def add(self, image: _Image) -> None:
        """Add an image and its patches."""
        self._images.add(image[0].image_phash, image[0])
        for patch in image:
            self._patches.add(patch.phash, patch)


class _HashIndex:
    """Hashes within a Hamming distance, by parts.

    A hash is cut into one part more than the bits that may differ (five parts of 13 bits): two
    hashes within that distance have at least one part in common, so only hashes that share a part
    are compared.
    """

    _PARTS = NEAR_BITS + 1
    _PART_BITS = -(-_HASH_BITS // _PARTS)

    def __init__(self) -> None:
        self._by_hash: dict[int, dict[str, HashedPatch]] = {}  # hash -> group -> its first patch
        self._by_part: list[dict[int, list[int]]] = [{} for _ in range(self._PARTS)]

    def nearest(self, phash: int | None, group: str) -> tuple[HashedPatch, int] | None:
        """The nearest picture of another group and how many bits differ, if near enough."""
        if phash is None:
            return None
        candidates = {
            candidate
            for part, value in enumerate(self._parts(phash))
            for candidate in self._by_part[part].get(value, ())
        }
        within_distance = sorted(
            ((phash ^ candidate).bit_count(), candidate)
            for candidate in candidates
            if (phash ^ candidate).bit_count() <= NEAR_BITS
        )
        of_other_groups = (
            (patch, bits)
            for bits, candidate in within_distance
            for candidate_group, patch in self._by_hash[candidate].items()
            if candidate_group != group
        )
        return next(of_other_groups, None)

    def add(self, phash: int | None, patch: HashedPatch) -> None:
        """Add a picture, if it has a hash."""
        if phash is None:
            return
        if phash not in self._by_hash:
            for part, value in enumerate(self._parts(phash)):
                self._by_part[part].setdefault(value, []).append(phash)
        self._by_hash.setdefault(phash, {}).setdefault(patch.group, patch)

    def _parts(self, phash: int) -> list[int]:
        mask = (1 << self._PART_BITS) - 1
        return [(phash >> (self._PART_BITS * part)) & mask for part in range(self._PARTS)]


def keeping_splits(groups: Mapping[str, set[str]]) -> dict[str, str]:
    """The split that keeps each group that lies in several: test, else val."""
    return {
        group: min(splits, key=_HELD_OUT_RANK.__getitem__)
        for group, splits in groups.items()
        if len(splits) > 1
    }
