"""A tiny benchmark on disk, in the released layout of GeoSeg-Bench, and answers to it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from unigeoseg.evaluate.predictions import Prediction
from unigeoseg.evaluate.suites.layouts import Layout
from unigeoseg.evaluate.suites.opening import open_suite
from unigeoseg.geo.masks import Rle, encode_mask
from unigeoseg.sample import Sample

WIDTH, HEIGHT = 64, 48


def write_suite(folder: Path, *, images: int = 4) -> Path:
    """Each image has a bright roof, asked for by a box, a point, a phrase and a question."""
    rng = np.random.default_rng(0)
    listed: dict[str, list[dict[str, str]]] = {"intera": [], "ref": [], "reason": []}
    for index in range(images):
        pixels = rng.integers(50, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        left, top = 4 + 2 * index, 6 + index
        pixels[top : top + 20, left : left + 30] = 210
        mask[top : top + 20, left : left + 30] = 255
        x0, y0, x1, y1 = left / WIDTH, top / HEIGHT, (left + 30) / WIDTH, (top + 20) / HEIGHT
        box = f"Please segment the box x0,y0=[{x0:.3f},{y0:.3f}], x1,y1=[{x1:.3f},{y1:.3f}]."
        point = f"Please segment the point [{(x0 + x1) / 2:.3f}, {(y0 + y1) / 2:.3f}]."
        asked = {
            "intera": [box, point],
            "ref": ["the bright roof"],
            "reason": ["where is it dry in the rain?"],
        }
        for task, questions in asked.items():
            where = folder / task
            where.mkdir(parents=True, exist_ok=True)
            entry = {
                "img": f"{task}/{index}.png",
                "mask": f"{task}/{index}_mask.png",
                "json": f"{task}/{index}.json",
            }
            cv2.imwrite(str(folder / entry["img"]), pixels[..., ::-1])
            cv2.imwrite(str(folder / entry["mask"]), mask)
            said = {"question": questions, "reason": ["It is a roof."]}
            (folder / entry["json"]).write_text(json.dumps(said))
            listed[task].append(entry)
    for task, entries in listed.items():
        (folder / task / "test.json").write_text(json.dumps(entries))
    return folder


def opened(folder: Path) -> Layout:
    return open_suite(str(folder))


def perfect(samples: Sequence[Sample]) -> Iterator[Prediction]:
    for sample in samples:
        yield Prediction(sample.id, sample.rle, 0.9, "", 0.1)


def empty(samples: Sequence[Sample]) -> Iterator[Prediction]:
    for sample in samples:
        nothing = encode_mask(np.zeros((sample.height, sample.width), bool))
        yield Prediction(sample.id, Rle(**nothing), 0.1, "", 0.1)


def written(path: Path, predictions: Iterator[Prediction]) -> Path:
    path.write_text("".join(each.line() for each in predictions))
    return path
