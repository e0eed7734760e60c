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
        known = {_RGB[at]: found for at, found in enumerate(map(self._band, _RGB)) if found}
        if bands:
            return self._asked(bands)
        if _VISUAL in self.assets:
            return [self._layer(_VISUAL)]
        if len(known) == len(_RGB):
            return self._merged([known[name] for name in _RGB])
        if len(self.assets) == 1:
            return [self._layer(next(iter(self.assets)))]
        raise BandsError(
            f"{self.path} has no band red, green and blue; give --bands: {self._all()}"
        )

    def _asked(self, bands: Bands) -> list[Layer]:
        if len(bands) == 1:
            whole = [key for key in self.assets if plain_name(key) == plain_name(str(bands[0]))]
            if whole and self._count(whole[0]) != 1:
                return [self._layer(whole[0])]
        found = [self._band(band) if isinstance(band, str) else None for band in bands]
        picked = [each for each in found if each]
        if len(picked) == len(bands) and len(bands) in (1, 3):
            return self._merged(picked * (3 // len(picked)))
        if len(self.assets) == 1 and not picked:
            return [self._layer(next(iter(self.assets)), bands)]
        raise BandsError(f"{self.path} has no bands {list(bands)}; give three of {self._all()}")

    def _band(self, name: str) -> tuple[str, int] | None:
        """The asset and the 1-based band of a name: of a band, else of an asset of one band."""
        name = plain_name(name)
        for key, asset in self.assets.items():
            for at, band in enumerate(_bands(asset), start=1):
                names = (band.get(kind) for kind in ("name", "common_name", "eo:common_name"))
                if key != _VISUAL and name in [plain_name(str(each)) for each in names if each]:
                    return key, at
        single = [key for key in self.assets if plain_name(key) == name and self._count(key) < 2]
        return (single[0], 1) if single else None

    def _merged(self, picked: Sequence[tuple[str, int]]) -> list[Layer]:
        """A layer per band, or a single one if all are of one file, which is then read once."""
        if len({key for key, _ in picked}) == 1:
            numbers = [at for _, at in picked]
            return [self._layer(picked[0][0], bands=numbers)]
        return [self._layer(key, bands=[at]) for key, at in picked]

    def _layer(self, key: str, bands: Bands | None = None) -> Layer:
        asset = self.assets[key]
        stated = _bands(asset)
        numbers = [at for at in bands or () if isinstance(at, int) and 1 <= at <= len(stated)]
        ranges = [_range(_table(stated[at - 1].get("statistics"))) for at in numbers]
        known = [each for each in ranges if each]
        return Layer(
            _resolved(self.path, asset["href"]), bands, known if len(known) == len(ranges) else ()
        )

    def _count(self, key: str) -> int:
        return len(_bands(self.assets[key]))

    def _all(self) -> str:
        inside = (band.get("name") for asset in self.assets.values() for band in _bands(asset))
        return ", ".join(dict.fromkeys([*self.assets, *(str(name) for name in inside if name)]))


def is_item(path: str) -> bool:
    """Whether a name is one of an item: ``.json``, ``.geojson``, or a URL ``.../items/...``."""
    place = urlsplit(path)
    if place.scheme in _SCHEMES and "/items/" in place.path and "." not in Path(place.path).suffix:
        return True
    return place.path.lower().endswith((".json", ".geojson"))


def read_item(path: str) -> Item:
    """Read an item from a file or a URL.

    Raises:
        RasterNotFoundError: If there is no such file.
        RasterUnreadableError: If it cannot be fetched, or is no STAC item with rasters.
    """
    try:
        stated = json.loads(_content(path))
    except ValueError as error:
        raise RasterUnreadableError(f"{path} is not JSON ({error}); give a STAC item") from error
    kind, assets = _table(stated).get("type"), _table(stated).get("assets")
    if kind != "Feature" or not isinstance(assets, dict):
        raise RasterUnreadableError(
            f"{path} is JSON of type {kind!r}; give one STAC item or a raster"
        )
    rasters = {key: asset for key, asset in assets.items() if _is_raster(_table(asset))}
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


def _content(path: str) -> bytes:
    if urlsplit(path).scheme not in _SCHEMES:
        if not Path(path).is_file():
            raise RasterNotFoundError(f"{path} does not exist; check the path of the item")
        return Path(path).read_bytes()
    try:
        with urllib.request.urlopen(path, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_LARGEST)
    except (urllib.error.URLError, OSError) as error:
        raise RasterUnreadableError(
            f"{path} cannot be fetched ({error}); check the address"
        ) from error
    return content


def _is_raster(asset: Mapping[str, Any]) -> bool:
    href = asset.get("href")
    if not isinstance(href, str) or "thumbnail" in (asset.get("roles") or ()):
        return False
    kind = str(asset.get("type", ""))
    named = urlsplit(href).path.lower().endswith(_RASTERS)
    return named or "tiff" in kind or "jp2" in kind


def _bands(asset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is said of each band: by `bands` of version 1.1, or two extensions of 1.0."""
    lists = [asset.get(name) for name in ("bands", "eo:bands", "raster:bands")]
    known = [[_table(band) for band in each] for each in lists if isinstance(each, list)]
    return [
        dict(pair for band in bands for pair in band.items())
        for bands in zip_longest(*known, fillvalue={})
    ]


def _table(stated: object) -> dict[str, Any]:
    """What an item states, if it is a table as it should be."""
    return stated if isinstance(stated, dict) else {}


def _range(statistics: Mapping[str, Any]) -> tuple[float, float] | None:
    """Two standard deviations round the mean, where the 2nd and 98th percentile often are.

    Never beyond the least and the greatest value; these alone where nothing else is known.
    """
    names = ("minimum", "maximum", "mean", "stddev")
    stated = (statistics.get(name) for name in names)
    low, high, mean, spread = (each if isinstance(each, int | float) else None for each in stated)
    if low is None or high is None:
        return None
    if mean is not None and spread:
        low, high = max(low, mean - 2 * spread), min(high, mean + 2 * spread)
    return (float(low), float(high)) if low < high else None


def _resolved(item: str, href: str) -> str:
    """An asset's address; what an item on the web names stays on the web."""
    remote = urlsplit(item).scheme in _SCHEMES
    place = urljoin(item, href) if remote else href
    scheme = urlsplit(place).scheme
    if scheme in _SCHEMES:
        return place
    if scheme or remote:
        raise OptionError(f"{item} names {href}; give an item whose files are local or {_SCHEMES}")
    return str(Path(item).parent / href)
