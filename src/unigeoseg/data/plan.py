"""The plan of a build: its options, its inputs, and the units that the work is cut into.

It is written before the work and compared when the work goes on, so that the units on disk always
belong to the run that uses them.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unigeoseg.data.files import read_json, write_json
from unigeoseg.data.patches import SIZE, STRIDE
from unigeoseg.data.readers import Item, open_source
from unigeoseg.data.source import Source
from unigeoseg.errors import DataError, OptionError

PLAN = "plan.json"
UNIT_IMAGES = 8
"""Images of a unit: what is lost at most when a worker dies, and what a worker takes at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What decides, beside the inputs, which bytes a build writes.

    Attributes:
        seed: Of every choice.
        size: Side of a patch in pixels.
        stride: Step between patches in pixels.
        cap: Most triplets of a category; None for no limit.
        diverse: Share of a source's patches, those with the most categories, that reasoning
            questions are kept for (the paper: a tenth); None for all.
        judge: Who judges, writes and scores: "offline" or "online".
        models: SHA-256 of the online judge's configuration, or empty.
        boxes: Name of the system that turns boxes into masks, or "none".
    """

    seed: int = 0
    size: int = SIZE
    stride: int = STRIDE
    cap: int | None = None
    diverse: float | None = None
    judge: str = "offline"
    models: str = ""
    boxes: str = "none"


@dataclass(frozen=True, slots=True)
class Unit:
    """Consecutive images of one source: what one worker does in one go.

    Attributes:
        number: Its place in the plan, from 0.
        source: The row of the source.
        directory: Where the source is.
        items: What is read.
        leads: Whether it is the first of its source, which notes what concerns all of it.
    """

    number: int
    source: Source
    directory: Path
    items: tuple[Item, ...]
    leads: bool

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.number:06}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Options, inputs and units of a build.

    Attributes:
        options: What was asked for.
        sources: Per source its number of items and a digest of its files' names and sizes.
        units: In the order of sources and items.
    """

    options: Options
    sources: Mapping[str, Mapping[str, Any]]
    units: tuple[Unit, ...]

    def claim(self, out: Path) -> None:
        """Write the plan into the directory of a build, or find it there.

        Raises:
            OptionError: If the directory holds a build with other options or inputs, or something
                else.
            OutputUnwritableError: If it cannot be written.
        """
        content = {
            "options": asdict(self.options),
            "sources": self.sources,
            "unit_images": UNIT_IMAGES,
        }
        path = out / PLAN
        if path.exists():
            _check_same(path, content)
            return
        if out.exists() and any(each for each in out.iterdir() if not each.name.startswith(".")):
            raise OptionError(f"{out} is not empty and holds no {PLAN}; give another directory")
        write_json(path, content)


def make_plan(sources: Sequence[tuple[Source, Path]], options: Options) -> Plan:
    """Cut the work into units; nothing is decoded.

    Raises:
        DataError: If there is no image.
        OptionError: If two sources have one name.
    """
    known: dict[str, Mapping[str, Any]] = {}
    units: list[Unit] = []
    for source, directory in sorted(sources, key=lambda pair: pair[0].name):
        if source.name in known:
            raise OptionError(f"two sources are called {source.name!r}; rename one of them")
        items = tuple(open_source(source, directory, lambda _: None).items)
        known[source.name] = {"items": len(items), "files": _digest(directory)}
        for first in range(0, len(items), UNIT_IMAGES):
            part = items[first : first + UNIT_IMAGES]
            units.append(Unit(len(units), source, directory, part, leads=first == 0))
    if not units:
        raise DataError("no image was found; give directories of labelled imagery")
    return Plan(options, known, tuple(units))


def _digest(directory: Path) -> str:
    """SHA-256 of the names and sizes of all files below a directory."""
    digest = hashlib.sha256()
    for path in _files(directory):
        digest.update(f"{path.relative_to(directory).as_posix()}\n{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _files(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _check_same(path: Path, content: Mapping[str, Any]) -> None:
    before = read_json(path)
    for part in ("options", "sources"):
        held, asked = before.get(part, {}), content[part]
        for name in sorted({*held, *asked}):
            if held.get(name) != asked.get(name):
                raise OptionError(
                    f"{path.parent} holds a build with {part[:-1]} {name} {held.get(name)!r}, "
                    f"asked for is {asked.get(name)!r}; repeat it as it was, or give another "
                    "directory"
                )
    if before.get("unit_images") != UNIT_IMAGES:
        raise OptionError(f"{path.parent} was begun by another version; give another directory")
