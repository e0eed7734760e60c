"""Features to files that GIS software opens, as they come."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, mapping

from unigeoseg.errors import MissingExtraError
from unigeoseg.geo.files import VECTOR_SUFFIXES, check_suffix, whole_file
from unigeoseg.geo.grid import WGS84, Grid, transformer
from unigeoseg.geo.vector import Feature, Geometry, Value, right_handed

_DEGREE_DECIMALS = 8  # about 1 mm on the ground
_LAYER = "masks"
_SHAPEFILE_NAME, _SHAPEFILE_TEXT = 10, 254  # what its tables hold

Add: TypeAlias = Callable[[Sequence[Feature]], None]
"""Takes further features, of the same columns as those before."""


@contextmanager
def vector_writer(path: str | Path, grid: Grid, crs: CRS | None = None) -> Iterator[Add]:
    """Write features by the path's suffix, also when there are none.

    GeoJSON follows RFC 7946: longitude and latitude on WGS84, outer rings counterclockwise. The
    others are in `crs`. Without a CRS all keep the coordinates they are given. GeoJSON, GeoPackage
    and GeoParquet (1.1) are written as features come; FlatGeobuf and Shapefile at the end.

    Args:
        path: Ends in one of `VECTOR_SUFFIXES`; replaced if it exists, when all went well.
        grid: Geometries are in its map coordinates.
        crs: CRS of the file; None for the grid's own.

    Yields:
        What takes the features.

    Raises:
        OutputFormatError: If the suffix is another.
        OutputUnwritableError: If writing fails.
        MissingExtraError: If GeoParquet is asked for without its package.
    """
    path = Path(path)
    check_suffix(path, VECTOR_SUFFIXES)
    suffix = path.suffix.lower()
    target = None if grid.crs is None else WGS84 if "json" in suffix else crs or grid.crs
    move = _mover(grid, target)
    with whole_file(path) as temporary, _WRITERS[suffix](temporary, target) as write:

        def add(features: Sequence[Feature]) -> None:
            if features:
                write([Feature(move(each.geometry), each.properties) for each in features])

        yield add


def write_vectors(path: str | Path, features: Sequence[Feature], grid: Grid) -> None:
    """Write features at once; see `vector_writer`."""
    with vector_writer(path, grid) as add:
        add(features)


def _mover(grid: Grid, target: CRS | None) -> Callable[[Geometry], Geometry]:
    """From map coordinates of a grid to a CRS."""
    if grid.crs is None or target is None:
        return lambda geometry: geometry
    moved = transformer(grid.crs, target)
    decimals = _DEGREE_DECIMALS if target == WGS84 else None
    same = grid.crs == target

    def project(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        there = xy if same else np.column_stack(moved.transform(xy[:, 0], xy[:, 1]))
        return there if decimals is None else there.round(decimals)

    return lambda geometry: shapely.transform(geometry, project)


@contextmanager
def _geojson(path: Path, crs: CRS | None) -> Iterator[Add]:
    del crs  # RFC 7946 knows one
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        before = "\n"

        def add(features: Sequence[Feature]) -> None:
            nonlocal before
            for feature in features:
                row = {
                    "type": "Feature",
                    "geometry": mapping(right_handed(feature.geometry)),
                    "properties": dict(feature.properties),
                }
                file.write(before + json.dumps(row, ensure_ascii=False, allow_nan=False))
                before = ",\n"

        yield add
        file.write("\n]}\n")


@contextmanager
def _geopackage(path: Path, crs: CRS | None) -> Iterator[Add]:
    there = False

    def add(features: Sequence[Feature]) -> None:
        nonlocal there
        _write(path, features, crs, driver="GPKG", layer=_LAYER, append=there)
        there = True

    yield add
    if not there:
        add([])


def _at_once(driver: str, **options: Any) -> Callable[[Path, CRS | None], Any]:  # noqa: ANN401
    """A writer for a format that is written in one go."""

    @contextmanager
    def writer(path: Path, crs: CRS | None) -> Iterator[Add]:
        features: list[Feature] = []
        yield features.extend
        _write(path, features, crs, driver=driver, **options)

    return writer


@contextmanager
def _shapefile(path: Path, crs: CRS | None) -> Iterator[Add]:
    """A Shapefile: names of columns and texts are cut to what it holds."""

    def fitted(properties: Mapping[str, Value]) -> dict[str, Value]:
        return {
            name[:_SHAPEFILE_NAME]: value[:_SHAPEFILE_TEXT] if isinstance(value, str) else value
            for name, value in properties.items()
        }

    with _at_once("ESRI Shapefile", encoding="UTF-8")(path, crs) as extend:
        yield lambda features: extend(
            [Feature(each.geometry, fitted(each.properties)) for each in features]
        )


@contextmanager
def _geoparquet(path: Path, crs: CRS | None) -> Iterator[Add]:
    """GeoParquet 1.1: WKB, the CRS as PROJJSON, a group of rows per call."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("GeoParquet", "parquet") from error

    writer: Any = None
    geo = {"geo": json.dumps(_geo(crs))}

    def add(features: Sequence[Feature]) -> None:
        nonlocal writer
        names, columns, shapes = _table(features)
        columns = [pa.array(column, from_pandas=True) for column in columns]
        arrays = [pa.array(shapes, pa.binary()), *columns]
        table = pa.table(arrays, ["geometry", *names], metadata=geo)
        if writer is None:
            writer = parquet.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table.cast(writer.schema))

    yield add
    if writer is None:
        writer = parquet.ParquetWriter(path, pa.schema([("geometry", pa.binary())], geo))
    writer.close()


def _geo(crs: CRS | None) -> dict[str, Any]:
    """The file's "geo" metadata."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon"],
        "crs": None if crs is None else pyproj.CRS.from_wkt(crs.to_wkt()).to_json_dict(),
        "orientation": "counterclockwise",
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


_WRITERS: dict[str, Callable[[Path, CRS | None], AbstractContextManager[Add]]] = {
    ".geojson": _geojson,
    ".json": _geojson,
    ".gpkg": _geopackage,
    ".parquet": _geoparquet,
    ".fgb": _at_once("FlatGeobuf"),
    ".shp": _shapefile,
}


def _table(
    features: Sequence[Feature],
) -> tuple[list[str], list[NDArray[Any]], NDArray[np.object_]]:
    """Names of columns, the columns, and geometries as WKB of multipolygons."""
    names = list(dict.fromkeys(name for feature in features for name in feature.properties))
    columns = [_column([feature.properties.get(name) for feature in features]) for name in names]
    shapes = [
        shapely.to_wkb(MultiPolygon(getattr(turned, "geoms", [turned])))
        for turned in (right_handed(feature.geometry) for feature in features)
    ]
    return names, columns, np.array(shapes, dtype=object)


def _write(path: Path, features: Sequence[Feature], crs: CRS | None, **options: Any) -> None:  # noqa: ANN401
    names, columns, shapes = _table(features)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.raw.write(
            path,
            geometry=shapes,
            field_data=columns,
            fields=np.array(names, dtype=object),
            geometry_type="MultiPolygon",
            crs=None if crs is None else crs.to_wkt(),
            **options,
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
