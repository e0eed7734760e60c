"""Class masks: one code per pixel, as ids, through a palette, or as colours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.annotated import UNKNOWN
from unigeoseg.data.readers.images import Decoded, palette_colours, read_codes
from unigeoseg.data.readers.reading import Folder, Item, Labels, Reading, Refused
from unigeoseg.data.readers.walk import items_of
from unigeoseg.data.source import Files

_FIRST = 5  # codes named in a rejection


def items(folder: Folder) -> list[Item]:
    """The images of the source, by path."""
    assert isinstance(folder.source.layout, Files)
    return items_of(folder, folder.source.layout)


def labels(reading: Reading, image: Decoded) -> Labels:
    """The class mask beside an image.

    Raises:
        Refused: If it is missing, damaged, lossy, or of another size.
    """
    return Labels(classes=read_classes(reading, image.pixels.shape[:2]))


def read_classes(reading: Reading, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """The item's mask as category ids (H, W); codes that the table lacks are UNKNOWN and noted.

    Raises:
        Refused: If it is missing, damaged, lossy, or not of `shape`.
    """
    source, table = reading.folder.source, reading.folder.table
    path = reading.label_path
    codes = read_codes(path, lossy=source.lossy)
    if codes.shape[:2] != shape:
        raise Refused(
            "label_size",
            f"the mask is {codes.shape[:2]} (H, W), its image {shape}; make them equal",
        )
    if codes.ndim == 2 and not table.ids and table.colours:
        palette = palette_colours(path)
        if palette is not None:
            codes = palette[np.minimum(codes, 255)]
    if codes.ndim == 2:
        return _from_ids(reading, codes)
    if not table.colours:
        raise Refused("broken_label", "the mask has colours, but the source's classes have none")
    if source.threshold:
        codes = np.where(codes >= source.threshold, 255, 0).astype(np.uint8)
    return _from_colours(reading, codes)


def _from_ids(reading: Reading, codes: NDArray[Any]) -> NDArray[np.uint16]:
    table = reading.folder.table
    counts = np.bincount(codes.ravel().astype(np.uint16))
    foreign = [int(code) for code in np.flatnonzero(counts) if int(code) not in table.ids]
    if foreign:
        first = ", ".join(str(code) for code in foreign[:_FIRST])
        reading.note(
            "unknown_id",
            f"{len(foreign)} ids without a class, first {first}",
            float(counts[foreign].sum()),
            0,
        )
    classes: NDArray[np.uint16] = table.by_id[codes]
    return classes


def _from_colours(reading: Reading, colours: NDArray[np.uint8]) -> NDArray[np.uint16]:
    wide = colours.astype(np.uint32)
    packed = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    values, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    table = {
        red << 16 | green << 8 | blue: category
        for (red, green, blue), category in reading.folder.table.colours.items()
    }
    categories = np.array([table.get(int(value), int(UNKNOWN)) for value in values], np.uint16)
    foreign = np.array([int(value) not in table for value in values])
    if foreign.any():
        first = ", ".join(f"#{value:06x}" for value in values[foreign][:_FIRST])
        reading.note(
            "unknown_colour",
            f"{int(foreign.sum())} colours without a class, first {first}",
            float(counts[foreign].sum()),
            0,
        )
    if foreign.all():
        raise Refused("unknown_colour", "no colour of the mask has a class; check the declaration")
    classes: NDArray[np.uint16] = categories[inverse.reshape(packed.shape)]
    return classes
