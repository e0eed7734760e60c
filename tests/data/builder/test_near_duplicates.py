"""Which pictures count as the same."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from unigeoseg.data.builder.near_duplicates import NEAR_BITS, Seen, leaks, split_leaks, twins
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


def seen(name: str, split: str, phash: int | None, group: str = "") -> Seen:
    return Seen(name, "made", f"{name}.png", group or name, split, phash, None)


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
    found = list(twins(images))
    assert [(twin.dropped.id, twin.kept.id, twin.bits, twin.leak) for twin in found] == [
        ("a", "b", 4, True),
        ("e", "b", 4, True),
    ]
    assert list(twins(reversed(images))) == found


def test_images_of_one_group_may_look_alike():
    same = [seen("a", "train", 5, "g"), seen("b", "train", 5, "g"), seen("c", "train", 5)]
    assert [twin.dropped.id for twin in twins(same)] == ["c"]


def test_an_image_that_another_source_cuts_otherwise_goes_with_all_of_its_patches():
    """A whole picture here is four windows there: only the hashes of the whole pictures agree."""
    corner, rest = Seen("a", "texts", "1.jpg", "t", "train", 1 << 20, 0xFF), 0xFF00
    windows = [Seen(f"w{at:02}", "boxes", "1.jpg", "b", "test", rest << at, 0xFE) for at in (0, 24)]
    other = Seen("z", "texts", "2.jpg", "z", "train", 0xFFFF << 44, 0xFFFF << 44)
    assert [(twin.dropped.id, twin.kept.id, twin.bits) for twin in twins([corner, *windows])] == [
        ("a", "w00", 1)
    ]
    seen = [*(replace(each, split="train") for each in windows), replace(corner, split="test")]
    assert [twin.dropped.id for twin in twins([*seen, other])] == ["w00", "w24"]
    assert [(twin.dropped.id, twin.kept.id) for twin in leaks([*seen, other])] == [
        ("w00", "a"),
        ("w24", "a"),
    ]
    assert not list(leaks([replace(each, split="val") for each in seen]))


def test_a_patch_that_another_image_shows_takes_its_image_along():
    first = Seen("a", "s", "a.png", "a", "test", 0xFFFF, 0xFF << 40)
    shown = [Seen(f"b{at}", "s", "b.png", "b", "val", 0xFFFF << at, 0xFF) for at in (0, 30)]
    assert [twin.dropped.id for twin in twins([first, *shown])] == ["b0", "b30"]
    assert [twin.dropped.id for twin in leaks([first, *shown])] == ["b0", "b30"]


def test_every_near_pair_is_found():
    rng = np.random.default_rng(0)
    hashes = [int(rng.integers(0, 2**63)) for _ in range(40)]
    copies = [each ^ sum(1 << int(bit) for bit in rng.choice(63, 4, False)) for each in hashes]
    images = [seen(f"{at:02}", "train", each) for at, each in enumerate(hashes + copies)]
    assert [(twin.dropped.id, twin.kept.id) for twin in twins(images)] == [
        (f"{at + 40:02}", f"{at:02}") for at in range(40)
    ]


def test_groups_in_several_splits():
    leaks = split_leaks({"a": {"train", "val"}, "b": {"train"}, "c": {"val", "test", "train"}})
    assert leaks == {"a": "val", "c": "test"}
