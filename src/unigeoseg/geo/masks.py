"""Binary masks: COCO run-length encoding, connected components, bounding boxes."""

from typing import TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from unigeoseg.errors import DataError

# A character of compressed counts is a code of 6 bits above "0": 5 bits of a value and one that
# says whether more follow; the highest of the value's last 5 is its sign.
_ZERO = ord("0")
_BITS, _VALUE, _SIGN, _MORE, _LARGEST_CODE = 5, 0x1F, 0x10, 0x20, 0x3F
_LONGEST_RUN = 8  # characters: 40 bits, more than any raster has pixels


class Rle(TypedDict):
    """COCO compressed run-length encoding, column-major.

    Keys: ``size`` is ``[H, W]``; ``counts`` is the compressed string, ASCII.
    """

    size: list[int]
    counts: str


def encode_mask(mask: NDArray[np.bool_]) -> Rle:
    """Encode a mask (H, W), bool or 0/1, as COCO RLE."""
    packed = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return Rle(size=[int(side) for side in packed["size"]], counts=packed["counts"].decode("ascii"))


def encode_labels(labels: NDArray[np.integer]) -> dict[int, Rle]:
    """Encode each label of a map (H, W) above 0 as COCO RLE, in one pass over the map."""
    flat = labels.ravel(order="F")  # COCO counts down the columns
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]]) if flat.size else np.zeros(0, int)
    ends = np.r_[starts[1:], flat.size]
    # runs of equal labels, grouped by their label
    run_labels = flat[starts]
    order = np.argsort(run_labels, kind="stable")
    distinct, firsts = np.unique(run_labels[order], return_index=True)
    size = [int(side) for side in labels.shape]
    encoded = {}
    for label, runs in zip(distinct.tolist(), np.split(order, firsts[1:]), strict=True):
        if label > 0:
            edges = np.stack([starts[runs], ends[runs]], axis=1).ravel()
            tail = [flat.size] if edges[-1] < flat.size else []
            counts = np.diff(np.r_[0, edges, tail]).astype(int).tolist()
            packed = coco.frPyObjects({"size": size, "counts": counts}, *size)
            encoded[label] = Rle(size=size, counts=packed["counts"].decode("ascii"))
    return encoded


def decode_mask(rle: Rle) -> NDArray[np.bool_]:
    """Decode COCO RLE to a mask (H, W) bool.

    Raises:
        DataError: If the runs do not fill the size.
    """
    check_rle(rle)
    try:
        mask: NDArray[np.uint8] = coco.decode(
            {"size": rle["size"], "counts": rle["counts"].encode("ascii")}
        )
    except (ValueError, UnicodeEncodeError) as error:
        raise DataError(f"the RLE of size {rle['size']} is damaged: {error}") from error
    return mask.astype(np.bool_)


def check_rle(rle: Rle) -> None:
    """Check that a COCO RLE fills its size, no less and no more.

    pycocotools refuses runs that go beyond the size, and fills what they leave with whatever was in
    memory.

    Raises:
        DataError: If it does not, or its characters are no run-lengths.
    """
    height, width = rle["size"]
    characters = np.frombuffer(rle["counts"].encode("utf-8", "surrogatepass"), np.uint8)
    codes = characters.astype(np.int64) - _ZERO
    ends = np.flatnonzero(codes & _MORE == 0)  # the last character of each run
    complete = codes.size and ends.size and ends[-1] == codes.size - 1 and codes.min() >= 0
    lengths = np.diff(ends, prepend=-1)  # characters of each run
    if not complete or codes.max() > _LARGEST_CODE or lengths.max() > _LONGEST_RUN:
        raise DataError(f"the RLE of size {rle['size']} is damaged: it is not compressed runs")
    runs = _runs(codes, ends, lengths)
    if runs.min() < 0 or int(runs.sum()) != height * width:
        raise DataError(
            f"the RLE of size {rle['size']} is damaged: its runs make {int(runs.sum())} pixels, "
            f"expected {height * width} and none below 0"
        )


def _runs(
    codes: NDArray[np.int64], ends: NDArray[np.intp], lengths: NDArray[np.intp]
) -> NDArray[np.int64]:
    """Run-lengths of 5 bits a character, lowest first.

    From the fourth on they are differences to the run before the last.
    """
    starts = ends - lengths + 1
    shifts = _BITS * (np.arange(codes.size) - np.repeat(starts, lengths))
    values = np.add.reduceat((codes & _VALUE) << shifts, starts)
    values -= np.where(codes[ends] & _SIGN > 0, np.int64(1) << (_BITS * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def rle_area(rle: Rle) -> int:
    """Number of pixels set in a COCO RLE."""
    return int(coco.area({"size": rle["size"], "counts": rle["counts"].encode("ascii")}))


def label_components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Label the 8-connected regions of a mask (H, W).

    Returns:
        (H, W) int32: 0 outside, regions from 1 up without gaps.
    """
    _, labels = cv2.connectedComponents(
        np.ascontiguousarray(mask, dtype=np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    return np.asarray(labels, dtype=np.int32)


def tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Smallest box of a mask (H, W): half-open ``(x0, y0, x1, y1)`` pixels; None if empty."""
    cols = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if not cols.size:
        return None
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1


def has_data(valid: NDArray[np.bool_], *, speck: int = 64) -> NDArray[np.bool_]:
    """Where there is data, (H, W) bool: specks below `speck` pixels count as data.

    A file that declares 255 as nodata also marks its brightest roofs; single pixels without data
    amid data are such values, not gaps.
    """
    if valid.all():
        return valid
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~valid).astype(np.uint8))
    small = stats[:, cv2.CC_STAT_AREA] < speck
    small[0] = True  # label 0 is what is valid
    filled: NDArray[np.bool_] = small[labels]
    return filled
