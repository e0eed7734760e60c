import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unigeoseg.errors import DataError
from unigeoseg.geo.masks import (
    check_rle,
    decode_mask,
    encode_labels,
    encode_mask,
    has_data,
    label_components,
    rle_area,
    tight_box,
)

masks = st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(lambda s: arrays(np.bool_, s))


@given(masks)
def test_rle_gives_the_mask_back(mask):
    rle = encode_mask(mask)
    assert rle["size"] == list(mask.shape)
    assert isinstance(rle["counts"], str)
    assert rle_area(rle) == mask.sum()
    np.testing.assert_array_equal(decode_mask(rle), mask)


def test_rle_is_column_major():
    mask = np.array([[True, False], [True, False]])
    assert (
        encode_mask(mask)["counts"]
        == encode_mask(np.array([[True, True, False, False]]).T)["counts"]
    )


@given(masks.flatmap(lambda mask: arrays(np.uint16, mask.shape, elements=st.integers(0, 3))))
def test_labels_are_encoded_as_their_masks_are(labels):
    names = set(np.unique(labels).tolist()) - {0}
    assert encode_labels(labels) == {name: encode_mask(labels == name) for name in names}


def test_a_damaged_rle_is_a_data_error():
    with pytest.raises(DataError, match="size"):
        decode_mask({"size": [4, 4], "counts": "é"})


@pytest.mark.parametrize("counts", ["~~~", "", "04", "0", "`"])
def test_runs_that_do_not_fill_the_size_are_a_data_error(counts):
    with pytest.raises(DataError, match="damaged"):
        decode_mask({"size": [4, 4], "counts": counts})


def test_runs_of_length_zero_are_read():
    # 3 off, 2 on, 0 off, 4 on, 7 off, as another writer may say it
    found = decode_mask({"size": [4, 4], "counts": "32027"}).T.ravel()
    np.testing.assert_array_equal(found, np.repeat([False, True, False], [3, 6, 7]))


def test_regions_that_touch_at_a_corner_are_one():
    labels = label_components(np.array([[1, 0, 0, 0], [0, 1, 0, 1]], bool))
    assert labels.dtype == np.int32
    assert labels.tolist() == [[1, 0, 0, 0], [0, 1, 0, 2]]


@given(masks)
def test_tight_box_holds_the_mask_and_no_more(mask):
    box = tight_box(mask)
    if box is None:
        assert not mask.any()
        return
    x0, y0, x1, y1 = box
    inside = mask[y0:y1, x0:x1]
    assert inside.sum() == mask.sum()
    assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_specks_without_data_count_as_data():
    valid = np.ones((40, 40), bool)
    valid[3, 3] = False
    valid[20:35, 20:35] = False
    filled = has_data(valid)
    assert filled[3, 3]
    assert not filled[20:35, 20:35].any()


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_every_mask_fills_its_size(bits):
    rle = encode_mask(np.array(bits)[None])
    check_rle(rle)
    assert decode_mask(rle).ravel().tolist() == bits


@pytest.mark.parametrize(
    "counts",
    [
        "",
        "1",
        "0",
        "\x00",
        "PPPPP",
        "oooo",
        "01800000000000",
        "018000000000000011",
        "é",
        "-5",
        "\ud800",
    ],
)
def test_runs_that_do_not_fill_the_size_are_refused(counts):
    with pytest.raises(DataError, match="damaged"):
        decode_mask({"size": [8, 8], "counts": counts})


def test_long_runs_are_read_whole():
    mask = np.zeros((2000, 2000), bool)
    mask[7:1990, 3:1999] = np.random.default_rng(0).random((1983, 1996)) < 0.001
    check_rle(encode_mask(mask))
    assert np.array_equal(decode_mask(encode_mask(mask)), mask)
