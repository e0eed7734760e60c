"""Masks to polygons, and both to files that GIS software opens.

Nothing is half-written: every file appears under its name only when it is whole.
"""

import json
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyogrio
import rasterio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio import features as rasterio_features
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from shapely.affinity import affine_transform
from shapely.geometry import MultiPolygon, Polygon, mapping, shape
from shapely.geometry.polygon import orient

from unigeoseg.errors import (
    GridMismatchError,
    OutputExistsError,
    OutputFormatError,
    OutputUnwritableError,
)
from unigeoseg.geo.grid import WGS84, Grid, transformer

MASK_SUFFIXES = (".tif", ".tiff")
"""Suffixes of `write_mask`."""
VECTOR_SUFFIXES = (".geojson", ".json", ".gpkg")
"""Suffixes of `write_vectors`."""

_DEGREE_DECIMALS = 8  # about 1 mm on the ground
_LAYER = "masks"

Geometry: TypeAlias = Polygon | MultiPolygon
Value: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Feature:
    """A region with what is known about it.

    Attributes:
        geometry: In map coordinates of the grid it is written with.
        properties: Column names to plain values.
    """

    geometry: Geometry
    properties: Mapping[str, Value] = field(default_factory=dict)


def polygonise(mask: NDArray[np.bool_], grid: Grid, min_area_px: float = 0) -> list[Geometry]:
    """Outline the 8-connected regions of a mask, holes kept.

    Args:
        mask: (H, W) bool on the grid.
        grid: The grid; without a CRS the outlines are in its transform's units (pixels for a
            plain image).
        min_area_px: Regions of fewer pixels are left out.

    Returns:
        One valid geometry per region in map coordinates: a Polygon, or a MultiPolygon where
        parts of a region touch at a pixel's corner only.

    Raises:
        GridMismatchError: If mask and grid differ in size.
    """
    _check_size(mask, grid)
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    outlines = []
    # Outlined and measured in pixels: areas in degrees would drown in rounding.
    packed = np.ascontiguousarray(mask, dtype=np.uint8)
    for outline, _ in rasterio_features.shapes(packed, mask=packed.astype(bool), connectivity=8):
        region = _valid(shape(outline))
        if region.area >= min_area_px:
            outlines.append(affine_transform(region, (a, b, d, e, c, f)))
    return outlines


def check_output(path: str | Path, overwrite: bool = False) -> None:
    """Check, before any work is done, that a result can be written.

    Args:
        path: The file to be written.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputFormatError: If the suffix is of no known format.
        OutputExistsError: If the file exists and may not be replaced.
        OutputUnwritableError: If its directory is missing or not writable.
    """
    path = Path(path)
    _check_suffix(path, MASK_SUFFIXES + VECTOR_SUFFIXES)
    if not path.parent.is_dir():
        raise OutputUnwritableError(
            f"{path} cannot be written: {path.parent} is not a directory; create it first"
        )
    if path.is_dir():
        raise OutputUnwritableError(f"{path} is a directory; give the name of a file")
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists; choose another name, or allow it to be replaced (--overwrite)"
        )
    if not os.access(path.parent, os.W_OK):
        raise OutputUnwritableError(f"{path} cannot be written: no permission in {path.parent}")


def write_mask(path: str | Path, mask: NDArray[np.bool_], grid: Grid) -> None:
    """Write a mask as GeoTIFF: uint8, 1 inside and 0 outside, on the grid as it is.

    Args:
        path: Ends in .tif or .tiff; replaced if it exists.
        mask: (H, W) bool on the grid.
        grid: Gives the CRS and the transform, identical in the file.

    Raises:
        OutputFormatError: If the suffix is another.
        OutputUnwritableError: If writing fails.
        GridMismatchError: If mask and grid differ in size.
    """
    path = Path(path)
    _check_suffix(path, MASK_SUFFIXES)
    _check_size(mask, grid)
    profile = {"width": grid.width, "height": grid.height, "count": 1, "dtype": "uint8"}
    packing = {"compress": "deflate", "tiled": True, "BIGTIFF": "IF_SAFER"}
    located = {} if grid == Grid.of_image(grid.width, grid.height) else _location(grid)
    with _whole_file(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            temporary, "w", driver="GTiff", **profile, **packing, **located
        ) as dataset:
            dataset.write(np.asarray(mask, np.uint8), 1)


def write_vectors(path: str | Path, features: Sequence[Feature], grid: Grid) -> None:
    """Write regions as GeoJSON or GeoPackage, also when there are none.

    GeoJSON follows RFC 7946: longitude and latitude on WGS84, outer rings counterclockwise.
    GeoPackage keeps the grid's CRS. Without a CRS both keep the coordinates they are given.

    Args:
        path: Ends in .geojson, .json or .gpkg; replaced if it exists.
        features: Geometries in map coordinates of `grid`.
        grid: Gives the CRS.

    Raises:
        OutputFormatError: If the suffix is another.
        OutputUnwritableError: If writing fails.
    """
    path = Path(path)
    _check_suffix(path, VECTOR_SUFFIXES)
    with _whole_file(path) as temporary:
        if path.suffix.lower() == ".gpkg":
            _write_gpkg(temporary, features, grid)
        else:
            text = json.dumps(_geojson(features, grid), ensure_ascii=False, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def _geojson(features: Sequence[Feature], grid: Grid) -> dict[str, Any]:
    geometries = [feature.geometry for feature in features]
    if grid.crs is not None:
        to_degrees = transformer(grid.crs, WGS84)

        def project(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            lonlat = np.column_stack(to_degrees.transform(xy[:, 0], xy[:, 1]))
            return lonlat.round(_DEGREE_DECIMALS)

        geometries = [shapely.transform(geometry, project) for geometry in geometries]
    rows = [
        {
            "type": "Feature",
            "geometry": mapping(_right_handed(geometry)),
            "properties": dict(feature.properties),
        }
        for feature, geometry in zip(features, geometries, strict=True)
    ]
    return {"type": "FeatureCollection", "features": rows}


def _write_gpkg(path: Path, features: Sequence[Feature], grid: Grid) -> None:
    names = list(dict.fromkeys(name for feature in features for name in feature.properties))
    columns = [_column([feature.properties.get(name) for feature in features]) for name in names]
    geometries = [
        geometry if isinstance(geometry, MultiPolygon) else MultiPolygon([geometry])
        for geometry in (feature.geometry for feature in features)
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.raw.write(
            path,
            geometry=np.array([shapely.to_wkb(geometry) for geometry in geometries], dtype=object),
            field_data=columns,
            fields=np.array(names, dtype=object),
            layer=_LAYER,
            driver="GPKG",
            geometry_type="MultiPolygon",
            crs=None if grid.crs is None else grid.crs.to_wkt(),
        )


def _column(values: list[Value]) -> NDArray[Any]:
    """A column of one type: bool, int64, float64 (None is NaN), or text (None is null)."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return np.array(values, np.bool_)
    if kinds == {int}:
        return np.array(values, np.int64)
    if kinds <= {int, float, type(None)} and kinds != {type(None)}:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array([value if value is None else str(value) for value in values], dtype=object)


def _location(grid: Grid) -> dict[str, Any]:
    return {"crs": grid.crs, "transform": grid.transform}


def _valid(outline: Polygon) -> Geometry:
    """A polygon whose rings touch themselves, as areas without their lines and points."""
    if outline.is_valid:
        return _joined([outline])
    repaired = shapely.make_valid(outline)
    areas = [
        part
        for piece in getattr(repaired, "geoms", [repaired])
        for part in getattr(piece, "geoms", [piece])
        if isinstance(part, Polygon)
    ]
    return _joined(areas)


def _right_handed(geometry: Geometry) -> Geometry:
    return _joined([orient(part) for part in getattr(geometry, "geoms", [geometry])])


def _joined(parts: list[Polygon]) -> Geometry:
    geometry: Geometry = parts[0] if len(parts) == 1 else MultiPolygon(parts)
    return geometry


def _check_size(mask: NDArray[np.bool_], grid: Grid) -> None:
    if mask.shape != grid.shape:
        raise GridMismatchError(f"the mask is {mask.shape} (H, W), the grid is {grid.shape}")


def _check_suffix(path: Path, known: Sequence[str]) -> None:
    if path.suffix.lower() not in known:
        raise OutputFormatError(
            f"{path.name} ends in {path.suffix or 'no suffix'}; give one of {', '.join(known)}"
        )


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, moved there if all went well and removed if not."""
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except (OSError, RasterioError, DataSourceError, DataLayerError) as error:
        raise OutputUnwritableError(
            f"{path} was not written: {error}; check the directory and the free space"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
