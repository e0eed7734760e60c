"""Vector files that GIS software opens, written as features come."""

import json
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray
from pyogrio.errors import FeatureError
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, mapping

from unigeoseg.errors import MissingExtraError
from unigeoseg.geo.formats import VECTOR_SUFFIXES, atomic_gdal_file, check_suffix
from unigeoseg.geo.grid import WGS84, Grid, transformer
from unigeoseg.geo.vectors.features import Feature, Geometry, Value, orient_right_handed

_DEGREE_DECIMALS = 8  # about 1 mm on the ground
_LAYER_NAME = "masks"
_BATCH = 2048  # features held while a file is copied
_SHAPEFILE_NAME, _SHAPEFILE_TEXT = 10, 254  # what its tables hold

Add: TypeAlias = Callable[[Sequence[Feature]], None]
"""Takes further features, of the same columns as those before."""
Columns: TypeAlias = Mapping[str, type[str] | type[int] | type[float] | type[bool]]
"""Types of columns by their names."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """What a file of vectors is made with.

    Attributes:
        crs: Of its coordinates, or None.
        columns: Types of the columns that it has in any case.
    """

    crs: CRS | None
    columns: Columns

    @property
    def wkt(self) -> str | None:
        """The CRS as WKT."""
        return None if self.crs is None else str(self.crs.to_wkt())


@contextmanager
def vector_writer(
    path: str | Path, grid: Grid, crs: CRS | None = None, columns: Columns = MappingProxyType({})
) -> Iterator[Add]:
    """Write features by the path's suffix, also when there are none.

    GeoJSON follows RFC 7946: longitude and latitude on WGS84, outer rings counterclockwise. The
    others are in `crs`. Without a CRS all keep the coordinates they are given. Features are written
    as they come; those of a FlatGeobuf wait in a file of their own until the end.

    Args:
        path: Ends in one of `VECTOR_SUFFIXES`; replaced if it exists, when all went well.
        grid: Geometries are in its map coordinates.
        crs: CRS of the file; None for the grid's own.
        columns: Types of columns that the file has also if there is no feature, or no value in any
            of them; those of others are taken from the first features. GeoJSON has no types.

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
    layer = _Layer(target, columns)
    with atomic_gdal_file(path) as temporary, _WRITERS[suffix](temporary, layer) as write:

        def add(features: Sequence[Feature]) -> None:
            if features:
                write([Feature(move(feature.geometry), feature.properties) for feature in features])

        yield add


def _mover(grid: Grid, target: CRS | None) -> Callable[[Geometry], Geometry]:
    """From map coordinates of a grid to a CRS."""
    if grid.crs is None or target is None:
        return lambda geometry: geometry
    moved = transformer(grid.crs, target)
    decimals = _DEGREE_DECIMALS if target == WGS84 else None
    projects = grid.crs != target

    def project(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        placed = np.column_stack(moved.transform(xy[:, 0], xy[:, 1])) if projects else xy
        return placed if decimals is None else placed.round(decimals)

    return lambda geometry: shapely.transform(geometry, project)


@contextmanager
def _geojson(path: Path, layer: _Layer) -> Iterator[Add]:
    del layer  # RFC 7946 knows one CRS, and JSON its types
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        separator = "\n"

        def add(features: Sequence[Feature]) -> None:
            nonlocal separator
            for feature in features:
                row = {
                    "type": "Feature",
                    "geometry": mapping(orient_right_handed(feature.geometry)),
                    "properties": dict(feature.properties),
                }
                file.write(separator + json.dumps(row, ensure_ascii=False, allow_nan=False))
                separator = ",\n"

        yield add
        file.write("\n]}\n")


def _appended(driver: str, **options: Any) -> Callable[[Path, _Layer], Any]:  # noqa: ANN401
    """A writer for a format of GDAL that takes further features."""

    @contextmanager
    def writer(path: Path, layer: _Layer) -> Iterator[Add]:
        count = 0

        def add(features: Sequence[Feature]) -> None:
            nonlocal count
            _write(path, features, layer, driver=driver, append=count > 0, **options)
            count += len(features)

        yield add
        if not count:
            add([])
        _check_last(path, count)

    return writer


_geopackage = _appended("GPKG", layer_name=_LAYER_NAME)


@contextmanager
def _flatgeobuf(path: Path, layer: _Layer) -> Iterator[Add]:
    """FlatGeobuf is sorted in space and written in one go: features wait in a GeoPackage."""
    rows = path.with_suffix(".rows.gpkg")
    count = 0
    with _geopackage(rows, layer) as write:

        def add(features: Sequence[Feature]) -> None:
            nonlocal count
            write(features)
            count += len(features)

        yield add
    with (
        pyogrio.open_arrow(rows, use_pyarrow=False, batch_size=_BATCH) as (meta, stream),
        _without_crs_warning(),
    ):
        pyogrio.write_arrow(
            stream,
            path,
            driver="FlatGeobuf",
            geometry_name=meta["geometry_name"],
            geometry_type="MultiPolygon",
            crs=layer.wkt,
        )
    rows.unlink()
    _check_last(path, count)


@contextmanager
def _shapefile(path: Path, layer: _Layer) -> Iterator[Add]:
    """A Shapefile: names of columns and texts are cut to what it holds; names stay apart."""
    short: dict[str, str] = {}

    def fitted_name(name: str) -> str:
        if name not in short:
            short[name] = _short_name(name, set(short.values()))
        return short[name]

    def fitted(properties: Mapping[str, Value]) -> dict[str, Value]:
        return {
            fitted_name(name): value[:_SHAPEFILE_TEXT] if isinstance(value, str) else value
            for name, value in properties.items()
        }

    columns = {fitted_name(name): kind for name, kind in layer.columns.items()}
    fitted_layer = _Layer(layer.crs, columns)
    with _appended("ESRI Shapefile", encoding="UTF-8")(path, fitted_layer) as add:
        yield lambda features: add(
            [Feature(feature.geometry, fitted(feature.properties)) for feature in features]
        )


def _short_name(name: str, names: Container[str]) -> str:
    """A column's name as a Shapefile holds it, with a number where another begins alike."""
    short, number = name[:_SHAPEFILE_NAME], 1
    while short in names:
        end = f"_{number}"
        short, number = name[: _SHAPEFILE_NAME - len(end)] + end, number + 1
    return short


@contextmanager
def _geoparquet(path: Path, layer: _Layer) -> Iterator[Add]:
    """GeoParquet 1.1: WKB, the CRS as PROJJSON, a group of rows per call."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("GeoParquet", "parquet") from error

    writer: Any = None
    geo = {"geo": json.dumps(_geo(layer.crs))}

    def add(features: Sequence[Feature]) -> None:
        nonlocal writer
        names, values, shapes = _table(features, layer.columns)
        # a column of texts stays one if all are empty
        columns = [
            pa.array(column, pa.string() if column.dtype == object else None, from_pandas=True)
            for column in values
        ]
        arrays = [pa.array(shapes, pa.binary()), *columns]
        table = pa.table(arrays, ["geometry", *names], metadata=geo)
        if writer is None:
            writer = parquet.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table.cast(writer.schema))

    yield add
    if writer is None:
        add([])
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


_WRITERS: dict[str, Callable[[Path, _Layer], AbstractContextManager[Add]]] = {
    ".geojson": _geojson,
    ".json": _geojson,
    ".gpkg": _geopackage,
    ".parquet": _geoparquet,
    ".fgb": _flatgeobuf,
    ".shp": _shapefile,
}


def _table(
    features: Sequence[Feature], columns: Columns
) -> tuple[list[str], list[NDArray[Any]], NDArray[np.object_]]:
    """Names of columns, the columns, and geometries as WKB of multipolygons."""
    names = list(dict.fromkeys(name for feature in features for name in feature.properties))
    names += [name for name in columns if name not in names]
    arrays = [
        _column([feature.properties.get(name) for feature in features], columns.get(name))
        for name in names
    ]
    shapes = [
        shapely.to_wkb(MultiPolygon(getattr(oriented, "geoms", [oriented])))
        for oriented in (orient_right_handed(feature.geometry) for feature in features)
    ]
    return names, arrays, np.array(shapes, dtype=object)


def _write(
    path: Path,
    features: Sequence[Feature],
    layer: _Layer,
    *,
    driver: str,
    append: bool,
    layer_name: str | None = None,
    encoding: str | None = None,
) -> None:
    names, columns, shapes = _table(features, layer.columns)
    with _without_crs_warning():
        pyogrio.raw.write(
            path,
            geometry=shapes,
            field_data=columns,
            fields=np.array(names, dtype=object),
            geometry_type="MultiPolygon",
            crs=layer.wkt,
            driver=driver,
            append=append,
            layer=layer_name,
            encoding=encoding,
        )


@contextmanager
def _without_crs_warning() -> Iterator[None]:
    """Outlines in pixels have no CRS, and need no warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        yield


def _check_last(path: Path, count: int) -> None:
    """Check that the last feature is there: GDAL does not say if a disk was full at the end.

    Raises:
        OSError: If it is not.
    """
    if not count:
        return
    try:
        shapes = pyogrio.raw.read(path, columns=[], skip_features=count - 1, max_features=1)[2]
    except FeatureError as error:
        raise OSError(f"its end is missing ({error})") from error
    if len(shapes) != 1 or shapes[0] is None:
        raise OSError("its end is missing")


def _column(values: list[Value], kind: type | None) -> NDArray[Any]:
    """A column of one type: bool, int64, float64 (None is NaN), or text (None is null).

    Args:
        values: Of all features.
        kind: Type of the column; None to take that of its values.
    """
    types = {type(value) for value in values}
    if kind is not None:
        types.add(kind)
    if types == {bool}:
        return np.array(values, np.bool_)
    if types == {int}:
        return np.array(values, np.int64)
    if types <= {int, float, type(None)} and types != {type(None)}:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array([value if value is None else str(value) for value in values], dtype=object)
