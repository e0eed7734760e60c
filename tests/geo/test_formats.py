"""Errors of GDAL become errors of ours, also those whose classes rasterio keeps to itself."""

import pytest
import rasterio
import rasterio.shutil

from unigeoseg.errors import OutputUnwritableError
from unigeoseg.geo.formats import atomic_gdal_file


def test_errors_that_copies_let_through_are_output_errors(tmp_path, roof_scene):
    gone = tmp_path / "gone" / "copy.tif"
    with pytest.raises(Exception, match="No such file") as raw:
        rasterio.shutil.copy(roof_scene, gone, driver="COG")
    assert not isinstance(raw.value, rasterio.errors.RasterioError | OSError)
    with (
        pytest.raises(OutputUnwritableError, match=r"out\.tif was not written: .*No such file"),
        atomic_gdal_file(tmp_path / "out.tif"),
    ):
        rasterio.shutil.copy(roof_scene, gone, driver="COG")


def test_rasterios_own_errors_are_output_errors(tmp_path):
    with (
        pytest.raises(OutputUnwritableError, match=r"out\.tif was not written"),
        atomic_gdal_file(tmp_path / "out.tif"),
        rasterio.open(tmp_path / "gone.tif"),
    ):
        pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_other_errors_pass(tmp_path, error):
    with pytest.raises(error), atomic_gdal_file(tmp_path / "out.tif"):
        raise error
    assert not list(tmp_path.glob(".*"))
