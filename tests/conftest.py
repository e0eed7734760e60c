"""Tiny real scenes on disk."""

from pathlib import Path

import pytest
import torch

import builds
import scenes
from unigeoseg.data.dataset import Dataset

# The networks here are tiny: threads would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture
def roof_scene(tmp_path: Path) -> Path:
    """A 64 x 64 GeoTIFF at 0.5 m in EPSG:32650 with one bright roof at `scenes.ROOF`."""
    return scenes.roof(tmp_path)


@pytest.fixture
def four_band_scene(tmp_path: Path) -> Path:
    """A 64 x 64 GeoTIFF of 4 x uint16 with nodata in its upper left corner."""
    return scenes.four_bands(tmp_path)


@pytest.fixture
def photo_scene(tmp_path: Path) -> Path:
    """A 64 x 64 JPEG without georeference."""
    return scenes.photo(tmp_path)


@pytest.fixture
def geographic_scene(tmp_path: Path) -> Path:
    """A 64 x 64 GeoTIFF in degrees at 60 degrees north."""
    return scenes.geographic(tmp_path)


@pytest.fixture
def rotated_scene(tmp_path: Path) -> Path:
    """A 64 x 64 GeoTIFF turned by 30 degrees."""
    return scenes.rotated(tmp_path)


@pytest.fixture(scope="session")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled set of ten small towns."""
    return builds.write_towns(tmp_path_factory.mktemp("sets") / "towns")


@pytest.fixture(scope="session")
def dataset(towns: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The towns as a dataset, built in one process; tests leave it as it is."""
    return builds.built(towns, tmp_path_factory.mktemp("built") / "towns")
