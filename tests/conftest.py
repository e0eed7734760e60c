"""Tiny real scenes on disk."""

from collections.abc import Iterator
from pathlib import Path

import builds
import processors
import pytest
import scenes
import torch
from hub_server import Hub, serving
from hypothesis import settings

from unigeoseg.data.store.dataset import Dataset

# The networks here are tiny: threads would only wait for each other.
torch.set_num_threads(1)
# A busy machine makes an example slow, not wrong.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

_WHOLE_RUN = pytest.StashKey[pytest.MonkeyPatch]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--processor`."""
    parser.addoption(
        "--processor",
        choices=processors.KINDS,
        help="run every test as on a processor that multiplies bfloat16, or as on a plain one; "
        "products are imitated where this one cannot, and processes that tests start see this one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Settings of the environment do not reach the tests; `--processor` does."""
    config.stash[_WHOLE_RUN] = patch = pytest.MonkeyPatch()
    patch.delenv(processors.VARIABLE, raising=False)
    if kind := config.getoption("--processor"):
        processors.pretend(patch, kind)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Undo `pytest_configure`."""
    config.stash[_WHOLE_RUN].undo()


@pytest.fixture(params=processors.KINDS)
def processor_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test twice, on any machine: where bfloat16 is multiplied, and where it is not."""
    processors.pretend(monkeypatch, request.param)
    return str(request.param)


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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one repository, and the hub's library told to use it and `tmp_path / "home"`."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra 'base'")
    files = {"config.json": b"{}", "part-1.bin": b"one" * 1000, "part-2.bin": b"two" * 1000}
    with serving(Hub(files)) as served:
        # the library reads the environment once, when it is imported
        template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
        # a test of offline use may have been the one that imported it
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield served


@pytest.fixture(scope="session")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled set of ten small towns."""
    return builds.write_towns(tmp_path_factory.mktemp("sets") / "towns")


@pytest.fixture(scope="session")
def dataset(towns: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The towns as a dataset, built in one process; tests leave it as it is."""
    return builds.built(towns, tmp_path_factory.mktemp("built") / "towns")
