"""Opening a suite by its name or folder; its files come from the hub where it has them."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from unigeoseg.errors import OptionError
from unigeoseg.evaluate.suites.catalog import SUITES, LayoutName, Suite, suite_of_folder
from unigeoseg.evaluate.suites.dior import RsvgLayout, SamrsLayout
from unigeoseg.evaluate.suites.layouts import CatalogueLayout, Layout, ReleasedLayout, ShardLayout
from unigeoseg.runtime import hub
from unigeoseg.runtime.atomic import atomic_directory

_LAYOUTS: Mapping[LayoutName, type[Layout]] = MappingProxyType(
    {
        "released": ReleasedLayout,
        "shards": ShardLayout,
        "catalogue": CatalogueLayout,
        "samrs": SamrsLayout,
        "rsvg": RsvgLayout,
    }
)


def open_suite(name: str, folder: Path | None = None) -> Layout:
    """Open a suite.

    Args:
        name: One of `SUITES`, or a folder of our shards or in the released layout.
        folder: Where the files of a named suite are; without it they come from the hub.

    Raises:
        OptionError: If there is no such suite, or its files are neither here nor on the hub.
        HubError: If the hub cannot give them.
    """
    suite = SUITES.get(name)
    if suite is None:
        if folder is not None:
            raise OptionError(f"{name!r} is no suite; give one of {', '.join(SUITES)}")
        return _layout(suite_of_folder(Path(name)), Path(name))
    if folder is None:
        folder = _fetch(suite)
    if not folder.is_dir():
        raise OptionError(f"{folder} is not a directory; give the folder of {suite.title}")
    return _layout(suite, folder)


def _layout(suite: Suite, folder: Path) -> Layout:
    return _LAYOUTS[suite.layout](suite, folder)


def _fetch(suite: Suite) -> Path:
    if not suite.hub:
        raise OptionError(
            f"{suite.name} is not on the hub in a layout that is read here; give its folder with "
            f"--data{suite.url and f', from {suite.url}'}"
        )
    snapshot = hub.fetch(suite.hub, kind="dataset", patterns=["*"])
    place = hub.home_directory() / "unigeoseg" / "suites" / suite.name / snapshot.name
    if not place.exists():
        _link_snapshot(snapshot, place)
    return place


def _link_snapshot(snapshot: Path, place: Path) -> None:
    """The files of the hub's cache, which are links there, as files of one folder."""
    with atomic_directory(place, existing="keep", sole_writer=True) as folder:
        for path in sorted(path for path in snapshot.rglob("*") if path.is_file()):
            target = folder / path.relative_to(snapshot)
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(path.resolve(), target)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
