"""A disk that is full before a file is whole: the kernel refuses what goes beyond a size."""

from pathlib import Path

import numpy as np
import pytest
import scenes
import shapely
from disk import space
from rasterio.crs import CRS
from rasterio.windows import Window

from unigeoseg.errors import OutputUnwritableError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.mask_writer import mask_writer
from unigeoseg.geo.vectors.features import Feature
from unigeoseg.geo.vectors.writer import vector_writer

GRID = Grid(700, 600, scenes.UTM50, CRS.from_epsg(32650))
NOISE = (np.random.default_rng(0).random(GRID.shape) > 0.5).astype(np.uint8)
BOXES = [
    Feature(shapely.box(5e5 + i, 4.4e6 - 9, 5e5 + i + 0.5, 4.4e6), {"instruction": "roof " * 9})
    for i in range(400)
]


def write(path: Path) -> None:
    if path.suffix == ".tif":
        with mask_writer(path, GRID) as writer:
            writer.add(Window(0, 0, 700, 600), NOISE)
    else:
        with vector_writer(path, GRID) as add:
            for start in range(0, len(BOXES), 100):
                add(BOXES[start : start + 100])


@pytest.mark.parametrize("suffix", [".tif", ".gpkg", ".geojson", ".parquet", ".fgb", ".shp"])
def test_a_file_is_whole_or_not_there(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    write(path)
    size = max(part.stat().st_size for part in tmp_path.iterdir())
    for part in tmp_path.iterdir():
        part.unlink()
    for share in (0.0, 0.3, 0.6, 0.75, 0.9, 0.95, 0.97, 0.99):  # a mask's last tenth comes at close
        with (
            space(int(size * share)),
            pytest.raises(OutputUnwritableError, match="was not written"),
        ):
            write(path)
        assert list(tmp_path.iterdir()) == []
    with space(2 * size):
        write(path)
    assert path.exists()
