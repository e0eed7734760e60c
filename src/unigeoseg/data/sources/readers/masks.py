"""Reader of class masks: one code per pixel, as ids, through a palette, or as colours."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.sources.annotated import UNKNOWN
from unigeoseg.data.sources.readers.images import DecodedImage, mask_palette, read_mask_codes
from unigeoseg.data.sources.readers.reading import (
    Folder,
    ImageItem,
    Labels,
    Reading,
    RejectedError,
    check_label_size,
)
from unigeoseg.data.sources.readers.walk import items_from_templates
from unigeoseg.data.sources.source import TemplateLayout

_MOST_NAMED = 5  # codes in the text of a rejection
_FOREIGN = 65534  # in a lookup: the code has no class; no category has that id
_BLOCK = 2**20  # pixels looked up at a time: numpy needs 8 bytes for each, more than the mask
_CODES = {"ids": 2**16, "colours": 2**24}

Colour = tuple[int, int, int]
CodeKind = Literal["ids", "colours"]


@dataclass(frozen=True, slots=True, eq=False)
class _Lookup:
    """A lookup table from the codes of a mask to categories.

    Attributes:
        code_kind: Whether codes are ids, or colours packed into 24 bits.
        categories: (N,) uint16 category by code, _FOREIGN where it has no class.
        format_code: A code as text.
    """

    code_kind: CodeKind
    categories: NDArray[np.uint16]
    format_code: Callable[[int], str]


def template_items(folder: Folder) -> list[ImageItem]:
    """The images of the source, by path."""
    assert isinstance(folder.source.layout, TemplateLayout)
    return items_from_templates(folder, folder.source.layout)


def mask_labels(reading: Reading, image: DecodedImage) -> Labels:
    """The class mask beside an image.

    Raises:
        RejectedError: If it is missing, damaged, lossy, or of another size.
    """
    return Labels(classes=read_class_mask(reading, image.pixels.shape[:2]))


def read_class_mask(reading: Reading, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """The item's mask as category ids (H, W); codes that the table lacks are UNKNOWN and recorded.

    Raises:
        RejectedError: If it is missing, damaged, lossy, not of `shape`, or in colours of which none
            has a class.
    """
    path = reading.label_path
    codes = read_mask_codes(path, lossy=reading.folder.source.lossy)
    check_label_size("the mask is", codes.shape[:2], shape)
    table = reading.folder.table
    if codes.ndim == 3 and not table.colours:
        raise RejectedError(
            "broken_label", "the mask has colours, but the source's classes have none"
        )
    if codes.ndim == 3:
        lookup = _Lookup("colours", _by_colour(tuple(table.colours.items())), _hex_colour)
    elif table.ids or not table.colours:
        lookup = _Lookup("ids", _by_code(table.ids, "ids"), str)
    else:
        lookup = _by_palette(reading, mask_palette(path) or {})
    return _translated(reading, codes, lookup)


def _translated(reading: Reading, codes: NDArray[Any], lookup: _Lookup) -> NDArray[np.uint16]:
    """Categories (H, W) of codes (H, W) or colours (H, W, 3), a block of rows at a time."""
    classes = np.empty(codes.shape[:2], np.uint16)
    foreign = np.zeros(lookup.categories.size, np.uint32)  # how many pixels have each such code
    for rows in _blocks(codes.shape[:2]):
        packed = codes[rows]
        if packed.ndim == 3:
            packed = _packed(_cut(packed, reading.folder.source.threshold))
        categories = lookup.categories[packed]
        is_foreign = categories == _FOREIGN
        if is_foreign.any():
            values, counts = np.unique(packed[is_foreign], return_counts=True)
            foreign[values] += counts.astype(np.uint32)
            categories[is_foreign] = UNKNOWN
        classes[rows] = categories
    _record_foreign_codes(reading, foreign, lookup)
    if int(foreign.sum()) == classes.size and not reading.folder.table.ids:
        raise RejectedError(
            "unknown_colour", "no colour of the mask has a class; check the declaration"
        )
    return classes


def _record_foreign_codes(reading: Reading, pixels: NDArray[np.uint32], lookup: _Lookup) -> None:
    codes = np.flatnonzero(pixels)
    if codes.size:
        first = ", ".join(lookup.format_code(int(code)) for code in codes[:_MOST_NAMED])
        reading.record(
            "unknown_id" if lookup.code_kind == "ids" else "unknown_colour",
            f"{codes.size} {lookup.code_kind} without a class, first {first}",
            float(pixels.sum()),
            0,
        )


def _by_palette(reading: Reading, palette: Mapping[int, Colour]) -> _Lookup:
    """The lookup of a mask's ids through its palette, where the source knows colours alone."""
    threshold = reading.folder.source.threshold
    packed = _packed(_cut(np.array(list(palette.values()), np.uint8).reshape(-1, 3), threshold))
    by_colour = _by_colour(tuple(reading.folder.table.colours.items()))
    colours = dict(zip(palette, packed.tolist(), strict=True))

    def format_code(code: int) -> str:
        return f"{code} ({_hex_colour(colours[code])})" if code in colours else str(code)

    ids = {code: int(by_colour[colour]) for code, colour in colours.items()}
    return _Lookup("ids", _by_code(ids, "ids"), format_code)


@lru_cache(maxsize=1)
def _by_colour(colours: tuple[tuple[Colour, int], ...]) -> NDArray[np.uint16]:
    """Category of each colour, 32 MB; a source's images are read one after another."""
    return _by_code({r << 16 | g << 8 | b: number for (r, g, b), number in colours}, "colours")


def _by_code(categories: Mapping[int, int], code_kind: CodeKind) -> NDArray[np.uint16]:
    lookup = np.full(_CODES[code_kind], _FOREIGN, np.uint16)
    for code, category in categories.items():
        lookup[code] = category
    return lookup


def _blocks(shape: tuple[int, int]) -> Iterator[slice]:
    step = max(1, _BLOCK // shape[1])
    return (slice(first, first + step) for first in range(0, shape[0], step))


def _cut(colours: NDArray[np.uint8], threshold: int) -> NDArray[np.uint8]:
    """Colours whose values are cut to 0 and 255 there; 0 leaves them."""
    return (colours >= threshold).view(np.uint8) * np.uint8(255) if threshold else colours


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(..., 3) colours as numbers of 24 bits."""
    red, green, blue = (colours[..., band].astype(np.uint32) for band in range(3))
    packed: NDArray[np.uint32] = red << np.uint32(16) | green << np.uint32(8) | blue
    return packed


def _hex_colour(colour: int) -> str:
    return f"#{colour:06x}"
