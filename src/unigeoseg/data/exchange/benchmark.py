"""The layout of GeoSeg-Bench as it is released, written and read (paper section 3).

A folder per task (`ref`, `intera`, `reason`) with `test.json`, a list of
`{"img": path, "mask": path, "json": path}`; a json holds `{"question": [...], "reason": [...]}`, a
mask is a PNG of 0 and 255. Paths are relative to the root. This is the one place where coordinates
are read from a text: the released files have them nowhere else.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.instructions.draft import PUBLISHED
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import Row
from unigeoseg.data.store.rows import image_record, triplet_record
from unigeoseg.errors import DataError
from unigeoseg.geo.masks import Rle, decode_mask, encode_mask
from unigeoseg.geo.png import encode_png
from unigeoseg.prompt import Box, Point, Prompt, Task
from unigeoseg.runtime.atomic import atomic_directory, read_json, write_bytes, write_json
from unigeoseg.sample import Sample

FOLDERS = {Task.REFERRING: "ref", Task.INTERACTIVE: "intera", Task.REASONING: "reason"}
"""Folder of each task; a path with neither /ref/ nor /intera/ is reasoning."""

_MASK_THRESHOLD = 127  # masks are 0 and 255
_NUMBER = r"(\d+(?:\.\d+)?)"
_BOX = re.compile(
    rf"x0,\s*y0\s*=\s*\[{_NUMBER},\s*{_NUMBER}\],\s*x1,\s*y1\s*=\s*\[{_NUMBER},\s*{_NUMBER}\]"
)
_POINT = re.compile(rf"[\[(]\s*{_NUMBER},\s*{_NUMBER}\s*[\])]")


def export_benchmark(dataset: Dataset, out: Path, *, split: str = "test") -> None:
    """Write one split of a dataset in the released layout.

    The json of a sample has one more field than the released ones, which their reader ignores:
    `unigeoseg`, with what is stored of the image (`image`: CRS, transform, regions ...) and of
    the triplet (`triplet`: program, writer, scores ...).

    Raises:
        DataError: If the dataset is damaged.
        OutputError: If `out` exists or cannot be written.
    """
    entries_by_folder: dict[str, list[dict[str, str]]] = {folder: [] for folder in FOLDERS.values()}
    with atomic_directory(out) as root:
        for image, triplets in dataset.records(split=split):
            for row in triplets:
                folder = FOLDERS[Task(row["task"])]
                entries_by_folder[folder].append(_write_sample(root, folder, image, row))
        for folder, entries in entries_by_folder.items():
            write_json(root / folder / "test.json", entries)


def _write_sample(root: Path, folder: str, image: Row, row: Row) -> dict[str, str]:
    """Write the image, if it is not there yet, mask and json of a sample; give its entry."""
    entry = {
        "img": f"{folder}/images/{image['id']}.png",
        "mask": f"{folder}/masks/{row['id']}.png",
        "json": f"{folder}/texts/{row['id']}.json",
    }
    if not (root / entry["img"]).exists():
        write_bytes(root / entry["img"], image["bytes"])
    mask = decode_mask(Rle(size=[image["height"], image["width"]], counts=row["rle"]))
    write_bytes(root / entry["mask"], encode_png(mask.astype(np.uint8) * np.uint8(255)))
    record = {"image": image_record(image), "triplet": triplet_record(row)}
    content = {"question": [row["text"]], "reason": [row["answer"]], "unigeoseg": record}
    write_json(root / entry["json"], content)
    return entry


def read_benchmark(
    root: Path, licence: str, note: Callable[[DataError], None] | None = None
) -> Iterator[tuple[Sample, Path]]:
    """Samples of a benchmark in the released layout, each with the path of its image.

    A json file with several questions gives a sample for each.

    Args:
        root: The folder that holds the folders of the tasks.
        licence: Of images and masks; the layout does not state it.
        note: Takes note of an entry that cannot be read, which is left out; without it the first
            ends the reading.

    Raises:
        DataError: If there is no list or it is damaged; without `note` also if a file is missing,
            damaged, leads out of `root`, or a question of an interactive task has no coordinates.
    """
    lists = sorted(root.glob("**/test.json"))
    if not lists:
        raise DataError(f"{root} holds no test.json; give the folder of a benchmark")
    for listing in lists:
        for entry in _entries(listing):
            try:
                yield from _samples(root, entry, licence)
            except DataError as error:
                if note is None:
                    raise
                note(error)


def _entries(listing: Path) -> Iterable[Mapping[str, Any]]:
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{listing} cannot be read: {error}") from error
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and {"img", "mask", "json"} <= entry.keys() for entry in entries
    ):
        raise DataError(f'{listing} is no list of {{"img", "mask", "json"}}')
    return entries


def _samples(root: Path, entry: Mapping[str, Any], licence: str) -> Iterator[tuple[Sample, Path]]:
    image, mask_path, text = (_inside(root, entry[name]) for name in ("img", "mask", "json"))
    mask = _read_mask(mask_path)
    content = read_json(text)
    questions, reasons = content.get("question", []), content.get("reason", [])
    height, width = mask.shape
    key = image.relative_to(root.resolve()).as_posix()
    task = next(
        (task for task, folder in FOLDERS.items() if f"/{folder}/" in f"/{key}"), Task.REASONING
    )
    for number, question in enumerate(questions):
        prompt = _prompt(str(question), task, (width, height), text)
        sample = Sample(
            image=key,
            width=width,
            height=height,
            prompt=prompt,
            rle=encode_mask(mask),
            category="",
            source="geoseg_bench",
            licence=licence,
            group=f"geoseg_bench/{Path(key).stem}",
            answer=str(reasons[number]) if number < len(reasons) else "",
            family=_family(prompt),
            split="test",
            writer=PUBLISHED,
        )
        yield sample, image


def _inside(root: Path, below: object) -> Path:
    parts = PurePosixPath(str(below).replace("\\", "/")).parts
    path = root.resolve().joinpath(*parts).resolve()
    if not path.is_relative_to(root.resolve()):
        raise DataError(f"{below!r} leads out of {root}; paths of a benchmark must stay inside")
    if not path.is_file():
        raise DataError(f"{path} is missing; the benchmark is not whole")
    return path


def _read_mask(path: Path) -> NDArray[np.bool_]:
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise DataError(f"{path} cannot be decoded; copy it again")
    return np.asarray(grey > _MASK_THRESHOLD)


def _prompt(question: str, task: Task, size: tuple[int, int], path: Path) -> Prompt:
    if task is not Task.INTERACTIVE:
        return Prompt.from_text(question, task)
    width, height = size
    box = _BOX.search(question)
    if box:
        x0, y0, x1, y1 = (float(edge) for edge in box.groups())
        return Prompt.from_box(Box(x0 * width, y0 * height, x1 * width, y1 * height))
    points = [Point(float(x) * width, float(y) * height) for x, y in _POINT.findall(question)]
    if not points:
        raise DataError(f"{path}: {question[:80]!r} names no point and no box")
    return Prompt.from_points(points)


def _family(prompt: Prompt) -> str:
    if prompt.task is Task.INTERACTIVE:
        return "box" if prompt.box else "point"
    return "referring" if prompt.task is Task.REFERRING else "attribute"
