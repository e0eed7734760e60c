"""The manifest of a batch: what became of each scene, and the fingerprint of what was asked.

The folder of results holds `manifest.jsonl`: a line for each scene that is begun, and one when its
files are whole or it has failed. Only files that the manifest names are replaced.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TypeAlias

from rasterio.crs import CRS

from unigeoseg.errors import DataError
from unigeoseg.runtime.atomic import append_lines, file_sha256
from unigeoseg.runtime.records import record_from_json, record_json

MANIFEST = "manifest.jsonl"
BEGUN, DONE, FAILED, OFF = "begun", "done", "failed", "off"

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"
"""What JSON has."""

_SHAPEFILE_SUFFIXES = (".shx", ".dbf", ".prj", ".cpg")  # what is written with a .shp


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What became of one scene: a line of the manifest.

    Attributes:
        scene: Its path.
        state: "begun", "done", "failed", or "off" if it has no part of the area.
        question: Fingerprint of what was asked, and how; another one is other work.
        outputs: Names of its files in the folder of results.
        others: Names of further files there that are of this scene: of other questions, or, if it
            is begun, those that it may have when the run is killed.
        shares: For each prompt, its share of the scene's pixels.
        error: One line, if it is not done.
    """

    scene: str
    state: str
    question: str = ""
    outputs: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    error: str = ""


def fingerprint_values(record: object, left_out: Mapping[str, str]) -> Plain:
    """All that a record holds, as plain values: every field, and every field of nested records.

    A file counts by its content, whatever its name.

    Args:
        record: A dataclass, or a value of a field.
        left_out: "Class.field" of the fields that do not count, and why.

    Raises:
        TypeError: If a value is of a type that is not known here; add it, so that it counts.
        DataError: If a file cannot be read.
    """
    if is_dataclass(record) and not isinstance(record, type):
        return {
            attribute.name: fingerprint_values(getattr(record, attribute.name), left_out)
            for attribute in fields(record)
            if f"{type(record).__name__}.{attribute.name}" not in left_out
        }
    if isinstance(record, Enum):
        return fingerprint_values(record.value, left_out)
    if record is None or isinstance(record, str | int | float | bool):
        return record
    if isinstance(record, CRS):
        return str(record.to_string())
    if isinstance(record, Path):
        return file_sha256(record)
    if isinstance(record, Mapping):
        return {str(key): fingerprint_values(record[key], left_out) for key in sorted(record)}
    if isinstance(record, Sequence):
        return [fingerprint_values(value, left_out) for value in record]
    raise TypeError(f"{type(record).__name__} has no place in a fingerprint yet")


def fingerprint_text(values: Plain) -> str:
    """A fingerprint as the manifest holds it: JSON with sorted keys."""
    return json.dumps(values, ensure_ascii=False, sort_keys=True)


def read_manifest(path: Path) -> Iterator[ManifestEntry]:
    """The entries of a manifest; a last line that was cut short is as if it were not there."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):  # a cut can be inside a character, too
        try:
            yield record_from_json(ManifestEntry, line, str(path))
        except DataError:
            continue


class Manifest:
    """What became of the scenes of a folder, and what a run adds to it.

    Attributes:
        last: The last entry of each scene, by its path.
    """

    def __init__(self, folder: Path, question: str) -> None:
        """Read the manifest of `folder`, if there is one.

        Args:
            folder: Of results.
            question: Fingerprint of what is asked now.
        """
        self._folder, self._question = folder, question
        self._path = folder / MANIFEST
        self.last = {entry.scene: entry for entry in read_manifest(self._path)}

    def begin(self, scenes: Iterable[tuple[Path, Sequence[Path]]]) -> Iterator[Path]:
        """Scenes that are to be done, each noted as begun when it is taken.

        So a run that is killed before a scene has ended knows the files again as its own. A scene
        fails if a file is where a result of it would be that the manifest does not name.

        Args:
            scenes: With the files that each is to have.
        """
        for scene, paths in scenes:
            if self._is_done(scene):
                continue
            owned = self._owned_names(scene)
            foreign = [
                part
                for path in paths
                if path.name not in owned
                for part in _with_companions(path)
                if part.exists()
            ]
            if foreign:
                self.end(ManifestEntry(str(scene), FAILED, error=self._refusal(foreign[0], scene)))
                continue
            names = sorted(owned | {path.name for path in paths})
            self._add(ManifestEntry(str(scene), BEGUN, others=names))
            yield scene

    def end(self, entry: ManifestEntry) -> None:
        """Add what became of a scene."""
        earlier = self._owned_names(Path(entry.scene)).difference(entry.outputs)
        existing = sorted(name for name in earlier if (self._folder / name).exists())
        self._add(replace(entry, question=self._question, others=existing))

    def _add(self, entry: ManifestEntry) -> None:
        append_lines(self._path, [record_json(entry)])
        self.last[entry.scene] = entry

    def _is_done(self, scene: Path) -> bool:
        entry = self.last.get(str(scene))
        return (
            entry is not None
            and entry.state in (DONE, OFF)
            and entry.question == self._question
            and all((self._folder / name).exists() for name in entry.outputs)
        )

    def _owned_names(self, scene: Path) -> set[str]:
        """Names of files that are results of a scene, and may be replaced."""
        entry = self.last.get(str(scene))
        return set() if entry is None else {*entry.outputs, *entry.others}

    def _refusal(self, path: Path, scene: Path) -> str:
        return (
            f"{path} is there and {self._path} does not name it as a result of {scene}; give "
            "another folder, name the scene as in the run before, or remove the file"
        )


def _with_companions(path: Path) -> list[Path]:
    """The files that a result is written to."""
    suffixes = _SHAPEFILE_SUFFIXES if path.suffix.lower() == ".shp" else ()
    return [path, *(path.with_suffix(suffix) for suffix in suffixes)]
