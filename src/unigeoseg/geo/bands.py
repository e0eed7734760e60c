"""Band selection: which bands of a raster are shown as red, green and blue.

1. The requested bands: 1-based numbers or names, three of them or one that is repeated, or the
   name of a sensor (`SENSORS`);
2. else the bands whose colour interpretation is red, green and blue, if all three are there;
3. else the bands that are named "red", "green" and "blue", or "B4", "B3" and "B2" as Sentinel-2 and
   Landsat 8 and 9 number them;
4. else the first three bands, alpha never counted;
5. else, with one or two bands, the first, repeated.
"""

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from unigeoseg.errors import BandsError

Bands: TypeAlias = Sequence[int | str]

SENSORS: dict[str, dict[int, tuple[int, int, int]]] = {
    "sentinel-2": dict.fromkeys((4, 10, 12, 13), (4, 3, 2)) | {4: (3, 2, 1)},
    "landsat": dict.fromkeys((7, 8, 9, 11), (4, 3, 2)),
    "naip": {3: (1, 2, 3), 4: (1, 2, 3)},
    "planetscope": {3: (1, 2, 3), 4: (3, 2, 1), 5: (3, 2, 1), 8: (6, 4, 2)},
}
"""Per sensor: how many bands its products have, and which are red, green and blue. A Sentinel-2
stack of four bands is B2, B3, B4, B8; PlanetScope's of four and five start with blue."""

_NAMES = (("red", "green", "blue"), ("b4", "b3", "b2"))


def rgb_bands(dataset: DatasetReader, bands: Bands | None) -> tuple[int, ...]:
    """Three 1-based bands, by the rules in the module's docstring.

    Raises:
        BandsError: If what is asked for is not there, or the raster has no band.
    """
    if bands:
        return _requested_bands(dataset, bands)
    interpretations = dataset.colorinterp
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(colour in interpretations for colour in colours):
        return tuple(interpretations.index(colour) + 1 for colour in colours)
    numbers = _band_numbers(dataset)
    for names in _NAMES:
        if all(name in numbers for name in names):
            return tuple(numbers[name] for name in names)
    usable = [
        number
        for number, interpretation in enumerate(interpretations, start=1)
        if interpretation != ColorInterp.alpha
    ]
    if not usable:
        inner = f"; open one of its subdatasets: {dataset.subdatasets[0]}, ..."
        raise BandsError(
            f"{dataset.name} has no band with pixels{inner if dataset.subdatasets else ''}"
        )
    return tuple(usable[:3]) if len(usable) >= 3 else (usable[0],) * 3


def palette_table(dataset: DatasetReader) -> NDArray[np.uint8] | None:
    """Colours (4, N) uint8 RGBA of a palette image; None for any other."""
    if ColorInterp.palette not in dataset.colorinterp[:1]:
        return None
    colours = dataset.colormap(1)
    table = np.zeros((4, max(colours) + 1), np.uint8)
    for index, colour in colours.items():
        table[:, index] = colour
    return table


def _requested_bands(dataset: DatasetReader, bands: Bands) -> tuple[int, ...]:
    if len(bands) == 1 and str(bands[0]).lower() in SENSORS:
        return _of_sensor(dataset, str(bands[0]).lower())
    if len(bands) not in (1, 3):
        raise BandsError(
            f"got {len(bands)} bands {list(bands)}; give three (red, green, blue) or one"
        )
    by_name = _band_numbers(dataset)
    numbers = [by_name.get(plain_name(band)) if isinstance(band, str) else band for band in bands]
    for band, number in zip(bands, numbers, strict=True):
        if number is None:
            raise BandsError(
                f"{dataset.name} has no band named {band!r}; its names are "
                f"{', '.join(by_name) or 'not given'}, and sensors are {', '.join(SENSORS)}"
            )
        if not 1 <= number <= dataset.count:
            raise BandsError(
                f"{dataset.name} has no band {number}; bands are counted from 1 to {dataset.count}"
            )
    return tuple(number for number in numbers if number) * (3 // len(bands))


def _of_sensor(dataset: DatasetReader, sensor: str) -> tuple[int, ...]:
    counts = SENSORS[sensor]
    alpha = ColorInterp.alpha in dataset.colorinterp
    if dataset.count - alpha not in counts:
        raise BandsError(
            f"{dataset.name} has {dataset.count - alpha} bands; {sensor} has "
            f"{' or '.join(map(str, counts))}: give band numbers instead"
        )
    return counts[dataset.count - alpha]


def _band_numbers(dataset: DatasetReader) -> dict[str, int]:
    """Band numbers by their plain names; of two with one name, the first."""
    described = list(enumerate(dataset.descriptions, start=1))
    names = {plain_name(name): band for band, name in reversed(described) if name}
    return dict(sorted(names.items(), key=lambda item: item[1]))


def plain_name(name: str) -> str:
    """A band's name in one spelling: "B04", "SR_B4" and "b4" are all "b4"."""
    name = name.strip().lower().removeprefix("sr_")
    return re.sub(r"^b0+(?=\d)", "b", name)
