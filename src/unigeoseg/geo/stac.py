"""STAC items as scenes: which of their files are shown, and what they say of their values.

Of a SpatioTemporal Asset Catalog item (versions 1.0 and 1.1) these are shown:

1. the bands asked for: names of assets, or of bands inside them (`name` or `common_name`);
2. else the asset "visual", which providers have made to be looked at;
3. else the bands whose common names are red, green and blue;
4. else the one asset that is a raster.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from unigeoseg.errors import (
    BandsError,
    OptionError,
    RasterNotFoundError,
    RasterUnreadableError,
)
from unigeoseg.geo.bands import Bands, plain_name
from unigeoseg.geo.stretch import Stretch

_VISUAL = "visual"
_RGB = ("red", "green", "blue")
_RASTERS = (".tif", ".tiff", ".jp2", ".vrt")
_SCHEMES = ("http", "https", "s3")
_SECONDS = 30.0  # to wait for an item, a few kilobytes
_LARGEST = 16 * 2**20  # bytes of an item


@dataclass(frozen=True, slots=True)
class Layer:
    """A file, and which of its bands are shown.

    Attributes:
        href: What rasterio opens.
        bands: As `open_scene` takes them for a file.
        ranges: Values that become black and white for each of the bands; empty if not known.
    """

    href: str
    bands: Bands | None = None
    ranges: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A STAC item.

    Attributes:
        path: Its own path or URL; hrefs are relative to it.
        assets: Its files by name, those alone that are rasters.
    """

    path: str
    assets: Mapping[str, Mapping[str, Any]]

    def layers(self, bands: Bands | None) -> list[Layer]:
        """What is shown: one file, or one band of each of three.

        Raises:
            BandsError: If what is asked for is not there, or it is not clear what to show.
        """
        if bands:
            return self._requested_layers(bands)
        if _VISUAL in self.assets:
            return [self._layer(_VISUAL)]
        colours = [place for place in map(self._band, _RGB) if place]
        if len(colours) == len(_RGB):
            return self._layers_of(colours)
        if len(self.assets) == 1:
            return [self._layer(next(iter(self.assets)))]
        raise BandsError(
            f"{self.path} has no band red, green and blue; give --bands: {self._names()}"
        )

    def _requested_layers(self, bands: Bands) -> list[Layer]:
        if len(bands) == 1:
            keys = [key for key in self.assets if plain_name(key) == plain_name(str(bands[0]))]
            if keys and self._count(keys[0]) != 1:
                return [self._layer(keys[0])]
        places = [self._band(band) if isinstance(band, str) else None for band in bands]
        present = [place for place in places if place]
        if len(present) == len(bands) and len(bands) in (1, 3):
            return self._layers_of(present * (3 // len(present)))
        if len(self.assets) == 1 and not present:
            return [self._layer(next(iter(self.assets)), bands)]
        raise BandsError(f"{self.path} has no bands {list(bands)}; give three of {self._names()}")

    def _band(self, name: str) -> tuple[str, int] | None:
        """The asset and the 1-based band of a name: of a band, else of an asset of one band."""
        name = plain_name(name)
        for key, asset in self.assets.items():
            for number, band in enumerate(_bands(asset), start=1):
                names = [band.get(field) for field in ("name", "common_name", "eo:common_name")]
                if key != _VISUAL and name in [plain_name(str(text)) for text in names if text]:
                    return key, number
        single = [key for key in self.assets if plain_name(key) == name and self._count(key) < 2]
        return (single[0], 1) if single else None

    def _layers_of(self, places: Sequence[tuple[str, int]]) -> list[Layer]:
        """A layer per asset and band, or one if all are of one file, which is then read once."""
        if len({key for key, _ in places}) == 1:
            numbers = [number for _, number in places]
            return [self._layer(places[0][0], bands=numbers)]
        return [self._layer(key, bands=[number]) for key, number in places]

    def _layer(self, key: str, bands: Bands | None = None) -> Layer:
        asset = self.assets[key]
        described = _bands(asset)
        ranges = [
            _value_range(_object(described[band - 1].get("statistics")))
            for band in bands or ()
            if isinstance(band, int) and 1 <= band <= len(described)
        ]
        usable = [pair for pair in ranges if pair]
        href = _resolved(self.path, asset["href"])
        return Layer(href, bands, usable if len(usable) == len(ranges) else ())

    def _count(self, key: str) -> int:
        return len(_bands(self.assets[key]))

    def _names(self) -> str:
        names = (band.get("name") for asset in self.assets.values() for band in _bands(asset))
        return ", ".join(dict.fromkeys([*self.assets, *(str(name) for name in names if name)]))


def is_item(path: str) -> bool:
    """Whether a name is one of an item: ``.json``, ``.geojson``, or a URL ``.../items/...``."""
    url = urlsplit(path)
    if url.scheme in _SCHEMES and "/items/" in url.path and "." not in Path(url.path).suffix:
        return True
    return url.path.lower().endswith((".json", ".geojson"))


def read_item(path: str) -> Item:
    """Read an item from a file or a URL.

    Raises:
        RasterNotFoundError: If there is no such file.
        RasterUnreadableError: If it cannot be fetched, or is no STAC item with rasters.
    """
    try:
        content = _object(json.loads(_fetched(path)))
    except ValueError as error:
        raise RasterUnreadableError(f"{path} is not JSON ({error}); give a STAC item") from error
    kind, assets = content.get("type"), content.get("assets")
    if kind != "Feature" or not isinstance(assets, dict):
        raise RasterUnreadableError(
            f"{path} is JSON of type {kind!r}; give one STAC item or a raster"
        )
    rasters = {key: asset for key, asset in assets.items() if _is_raster(_object(asset))}
    if not rasters:
        raise RasterUnreadableError(
            f"{path} has no asset that is a raster, only {', '.join(assets) or 'none'}"
        )
    return Item(path, rasters)


def item_stretch(layers: Sequence[Layer]) -> Stretch | None:
    """The stretch that an item's statistics give; None if those of a band are not there."""
    ranges = [pair for layer in layers for pair in layer.ranges]
    if len(ranges) != len(_RGB):
        return None
    return Stretch.parse(",".join(f"{low!r},{high!r}" for low, high in ranges))


def _fetched(path: str) -> bytes:
    if urlsplit(path).scheme not in _SCHEMES:
        if not Path(path).is_file():
            raise RasterNotFoundError(f"{path} does not exist; check the path of the item")
        return Path(path).read_bytes()
    try:
        with urllib.request.urlopen(path, timeout=_SECONDS) as response:
            content: bytes = response.read(_LARGEST)
    except (urllib.error.URLError, OSError) as error:
        raise RasterUnreadableError(
            f"{path} cannot be fetched ({error}); check the address"
        ) from error
    return content


def _is_raster(asset: Mapping[str, Any]) -> bool:
    href = asset.get("href")
    if not isinstance(href, str) or "thumbnail" in (asset.get("roles") or ()):
        return False
    media_type = str(asset.get("type", ""))
    has_suffix = urlsplit(href).path.lower().endswith(_RASTERS)
    return has_suffix or "tiff" in media_type or "jp2" in media_type


def _bands(asset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is said of each band: by `bands` of version 1.1, or two extensions of 1.0."""
    lists = [asset.get(name) for name in ("bands", "eo:bands", "raster:bands")]
    described = [[_object(band) for band in bands] for bands in lists if isinstance(bands, list)]
    return [
        dict(pair for band in bands for pair in band.items())
        for bands in zip_longest(*described, fillvalue={})
    ]


def _object(value: object) -> dict[str, Any]:
    """A value of an item, if it is a JSON object as it should be; else an empty one."""
    return value if isinstance(value, dict) else {}


def _value_range(statistics: Mapping[str, Any]) -> tuple[float, float] | None:
    """Two standard deviations round the mean, where the 2nd and 98th percentile often are.

    Never beyond the least and the greatest value; these alone where nothing else is known.
    """
    names = ("minimum", "maximum", "mean", "stddev")
    values = (statistics.get(name) for name in names)
    low, high, mean, stddev = (
        value if isinstance(value, int | float) else None for value in values
    )
    if low is None or high is None:
        return None
    if mean is not None and stddev:
        low, high = max(low, mean - 2 * stddev), min(high, mean + 2 * stddev)
    return (float(low), float(high)) if low < high else None


def _resolved(item: str, href: str) -> str:
    """An asset's address; what an item on the web names stays on the web."""
    remote = urlsplit(item).scheme in _SCHEMES
    address = urljoin(item, href) if remote else href
    scheme = urlsplit(address).scheme
    if scheme in _SCHEMES:
        return address
    if scheme or remote:
        raise OptionError(f"{item} names {href}; give an item whose files are local or {_SCHEMES}")
    return str(Path(item).parent / href)
