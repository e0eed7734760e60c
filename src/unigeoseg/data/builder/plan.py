"""The plan of a build: its options, its inputs, and the units that the work is cut into.

It is written before the work and compared when a build is resumed, so that the units on disk
always belong to the run that uses them.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import unigeoseg
from unigeoseg.data.builder.inputs import Input, Place, open_inputs
from unigeoseg.data.ledger import Rejection, raise_rejection
from unigeoseg.data.patches.cutting import PATCH_SIZE, PATCH_STRIDE
from unigeoseg.data.sources.readers import ImageItem
from unigeoseg.data.sources.source import Source
from unigeoseg.data.store.schema import VERSION
from unigeoseg.errors import DataError, OptionError, OutputExistsError
from unigeoseg.runtime.atomic import read_json, write_json
from unigeoseg.runtime.records import record_from, record_values

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
            questions are kept for; the paper's tenth by default, 1 for all.
        judge: What judges, writes and scores: "offline" or "online".
        models: SHA-256 of the online judge's configuration, or empty.
        boxes: Name of the system that turns boxes into masks, or "none".

    Raises:
        OptionError: If a number is out of its range.
    """

    seed: int = 0
    size: int = PATCH_SIZE
    stride: int = PATCH_STRIDE
    cap: int | None = None
    diverse: float = 0.1
    judge: str = "offline"
    models: str = ""
    boxes: str = "none"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.size < 1 or not 1 <= self.stride <= self.size:
            raise OptionError(
                f"size {self.size} and stride {self.stride} do not go together; give a size of at "
                "least 1 and a stride from 1 to the size"
            )
        if self.cap is not None and self.cap < 1:
            raise OptionError(f"cap must be >= 1, got {self.cap}")
        if not 0 <= self.diverse <= 1:
            raise OptionError(f"diverse must be from 0 to 1, got {self.diverse}")


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
    items: tuple[ImageItem, ...]
    leads: bool

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.number:06}"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """What must be the same when a build is resumed; it is stored as `plan.json`.

    Attributes:
        versions: Of the package and of what decides how units are cut and stored.
        options: Values of `Options`.
        sources: `Input.digests` by name of the source.
    """

    versions: dict[str, Any]
    options: dict[str, Any]
    sources: dict[str, Any]


@dataclass(frozen=True)
class BuildPlan:
    """Options, inputs and units of a build.

    Attributes:
        options: Of the build.
        inputs: The sources that can be read, by name.
        units: In the order of sources and items.
        rejections: The sources that cannot be read.
    """

    options: Options
    inputs: tuple[Input, ...]
    units: tuple[Unit, ...]
    rejections: tuple[Rejection, ...] = ()

    @cached_property
    def stored(self) -> StoredPlan:
        """What is stored of the plan."""
        versions = {
            "unigeoseg": unigeoseg.__version__,
            "schema": VERSION,
            "unit_images": UNIT_IMAGES,
        }
        sources = {entry.source.name: entry.digests for entry in self.inputs}
        return StoredPlan(versions, asdict(self.options), sources)

    def is_in(self, out: Path) -> bool:
        """Whether a directory holds this build; False if it may be begun there.

        Raises:
            DataError: If the stored plan is damaged.
            OptionError: If the directory holds a build with other options or inputs, or something
                else, or a source is in it or round it.
            OutputExistsError: If it is a file.
        """
        if out.exists() and not out.is_dir():
            raise OutputExistsError(f"{out} is a file; give a directory, new or of a build")
        for entry in self.inputs:
            _check_apart(out.resolve(), entry.directory.resolve())
        path = out / PLAN
        if path.exists():
            _check_same(path, self.stored)
            return True
        if out.exists() and any(not path.name.startswith(".") for path in out.iterdir()):
            raise OptionError(f"{out} is not empty and holds no {PLAN}; give another directory")
        return False

    def claim(self, out: Path) -> None:
        """Write the plan into the directory of a build, or find it there; raises as `is_in`.

        Raises:
            OutputUnwritableError: If it cannot be written.
        """
        if not self.is_in(out):
            write_json(out / PLAN, record_values(self.stored))


def make_plan(places: Iterable[Place], options: Options, *, strict: bool = False) -> BuildPlan:
    """Cut the work into units; nothing is decoded.

    Args:
        places: Row and directory of each source.
        options: Of the build.
        strict: Whether the first source that cannot be read is an error.

    Raises:
        DataError: If there is no source that can be read, or, with `strict`, one that cannot.
        OptionError: If two sources have one name; see `open_inputs`.
    """
    rejections: list[Rejection] = []
    inputs = open_inputs(places, raise_rejection if strict else rejections.append)
    units: list[Unit] = []
    for entry in inputs:
        for first in range(0, len(entry.items), UNIT_IMAGES):
            items = entry.items[first : first + UNIT_IMAGES]
            units.append(Unit(len(units), entry.source, entry.directory, items, leads=first == 0))
    rejections.sort(key=lambda rejection: (rejection.source, rejection.detail))
    return BuildPlan(options, tuple(inputs), tuple(units), tuple(rejections))


def _check_apart(out: Path, source: Path) -> None:
    if out.is_relative_to(source) or source.is_relative_to(out):
        raise OptionError(
            f"the output {out} and the source {source} are one inside the other; give an output "
            "beside the source"
        )


_PART_NAMES = {"versions": "version of", "options": "option", "sources": "source"}


def _check_same(path: Path, plan: StoredPlan) -> None:
    try:
        stored = record_from(StoredPlan, read_json(path), str(path))
    except DataError as error:
        raise OptionError(
            f"{error}: it is of another version, or damaged; give another directory"
        ) from error
    for part, name in _PART_NAMES.items():
        previous, current = getattr(stored, part), getattr(plan, part)
        for key in sorted({*previous, *current}):
            if previous.get(key) != current.get(key):
                raise OptionError(
                    f"{path.parent} holds a build with {name} {key} {previous.get(key)!r}, "
                    f"asked for is {current.get(key)!r}; repeat it as it was, or give another "
                    "directory"
                )
