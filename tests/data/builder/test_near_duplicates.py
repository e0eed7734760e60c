"""Which pictures count as the same."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from unigeoseg.data.builder.near_duplicates import (
    NEAR_BITS,
    HashedPatch,
    find_near_duplicates,
    find_split_leaks,
    keeping_splits,
)
from unigeoseg.data.patches.perceptual_hash import perceptual_hash


def picture(seed: int, side: int = 96) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def bits(one: np.ndarray, other: np.ndarray) -> int:
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_near_and_others_far(seed):
    image = picture(seed)
    _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert bits(image, cv2.imdecode(packed, 1)) <= NEAR_BITS
    assert bits(image, cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA)) <= NEAR_BITS
    assert bits(image, (image * 0.8 + 20).astype(np.uint8)) <= NEAR_BITS
    assert bits(image, picture(seed + 100)) > 2 * NEAR_BITS
    assert bits(image, image[:, ::-1]) > NEAR_BITS


def test_a_picture_of_one_grey_has_no_hash():
    assert perceptual_hash(np.full((40, 50, 3), 90, np.uint8)) is None


def seen(name: str, split: str, phash: int | None, group: str = "") -> HashedPatch:
    return HashedPatch(name, "made", f"{name}.png", group or name, split, phash, None)


def test_one_of_two_groups_stays_and_a_test_set_never_gives_way():
    base = 0x0123456789ABCDEF
    near = base ^ 0b1001000010000001 << 40
    far = base ^ 0b11111
    images = [
        seen("a", "train", base),
        seen("b", "test", near),
        seen("c", "train", far),
        seen("d", "val", None),
        seen("e", "train", base, "c"),
    ]
    found = list(find_near_duplicates(images))
    assert [(twin.dropped.id, twin.retained.id, twin.bits, twin.leak) for twin in found] == [
        ("a", "b", 4, True),
        ("e", "b", 4, True),
    ]
    assert list(find_near_duplicates(reversed(images))) == found


def test_images_of_one_group_may_look_alike():
    same = [seen("a", "train", 5, "g"), seen("b", "train", 5, "g"), seen("c", "train", 5)]
    assert [twin.dropped.id for twin in find_near_duplicates(same)] == ["c"]


def test_an_image_that_another_source_cuts_otherwise_goes_with_all_of_its_patches():
    """A whole picture here is four windows there: only the hashes of the whole pictures agree."""
    corner, rest = HashedPatch("a", "texts", "1.jpg", "t", "train", 1 << 20, 0xFF), 0xFF00
    windows = [
        HashedPatch(f"w{at:02}", "boxes", "1.jpg", "b", "test", rest << at, 0xFE) for at in (0, 24)
    ]
    other = HashedPatch("z", "texts", "2.jpg", "z", "train", 0xFFFF << 44, 0xFFFF << 44)
    assert [
        (twin.dropped.id, twin.retained.id, twin.bits)
        for twin in find_near_duplicates([corner, *windows])
    ] == [("a", "w00", 1)]
    seen = [*(replace(each, split="train") for each in windows), replace(corner, split="test")]
    assert [twin.dropped.id for twin in find_near_duplicates([*seen, other])] == ["w00", "w24"]
    assert [(twin.dropped.id, twin.retained.id) for twin in find_split_leaks([*seen, other])] == [
        ("w00", "a"),
        ("w24", "a"),
    ]
    assert not list(find_split_leaks([replace(each, split="val") for each in seen]))


def test_a_patch_that_another_image_shows_takes_its_image_along():
    first = HashedPatch("a", "s", "a.png", "a", "test", 0xFFFF, 0xFF << 40)
    shown = [HashedPatch(f"b{at}", "s", "b.png", "b", "val", 0xFFFF << at, 0xFF) for at in (0, 30)]
    assert [twin.dropped.id for twin in find_near_duplicates([first, *shown])] == ["b0", "b30"]
    assert [twin.dropped.id for twin in find_split_leaks([first, *shown])] == ["b0", "b30"]


def test_every_near_pair_is_found():
    rng = np.random.default_rng(0)
    hashes = [int(rng.integers(0, 2**63)) for _ in range(40)]
    copies = [each ^ sum(1 << int(bit) for bit in rng.choice(63, 4, False)) for each in hashes]
    images = [seen(f"{at:02}", "train", each) for at, each in enumerate(hashes + copies)]
    assert [(twin.dropped.id, twin.retained.id) for twin in find_near_duplicates(images)] == [
        (f"{at + 40:02}", f"{at:02}") for at in range(40)
    ]


def test_groups_in_several_splits():
    splits = keeping_splits({"a": {"train", "val"}, "b": {"train"}, "c": {"val", "test", "train"}})
    assert splits == {"a": "val", "c": "test"}
