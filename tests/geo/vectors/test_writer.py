"""Columns have the types that are given for them, with and without values or features."""

from pathlib import Path

import pyogrio
import pytest
import scenes
from rasterio.crs import CRS
from shapely import box

from unigeoseg.geo.grid import Grid
from unigeoseg.geo.vectors.features import Feature
from unigeoseg.geo.vectors.writer import vector_writer

GRID = Grid(64, 64, scenes.UTM50, CRS.from_epsg(32650))
COLUMNS = {
    "name": str,
    "count": int,
    "area_m2": float,
    "a_longer_name": str,
    "a_longer_nature": str,
}
EMPTY = dict.fromkeys(COLUMNS)


def written(path: Path, *batches: list[dict]) -> dict[str, str]:
    """Columns of a file and their types, of batches of rows."""
    with vector_writer(path, GRID, columns=COLUMNS) as add:
        for rows in batches:
            add([Feature(box(500_000, 4_399_990, 500_004, 4_399_994), row) for row in rows])
    if path.suffix == ".parquet":
        from pyarrow import parquet

        schema = parquet.read_schema(path)
        return {name: str(schema.field(name).type) for name in schema.names if name != "geometry"}
    info = pyogrio.read_info(path)
    return dict(zip(info["fields"].tolist(), info["dtypes"].tolist(), strict=True))


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".shp", ".parquet"])
def test_columns_have_their_types_without_values_and_without_features(tmp_path, suffix):
    row = EMPTY | {"name": "a", "count": 3, "area_m2": 2, "a_longer_name": "b"}
    full = written(tmp_path / f"full{suffix}", [row], [EMPTY])
    assert len(full) == len(COLUMNS) and len(set(full.values())) == 3
    assert written(tmp_path / f"none{suffix}") == full
    values = written(tmp_path / f"empty{suffix}", [EMPTY | {"count": 0}])
    assert values == full


def test_columns_that_are_not_named_follow(tmp_path):
    row = {"theirs": 1.5, "name": "a", "count": 3, "area_m2": 2.0}
    assert list(written(tmp_path / "out.gpkg", [row])) == [*row, "a_longer_name", "a_longer_nature"]
