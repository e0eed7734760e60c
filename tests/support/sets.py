"""A tiny labelled set on disk, in the layout that `data.readers` reads."""

import json
from pathlib import Path

import cv2
import numpy as np

from unigeoseg.data.builder.pipeline import build_dataset
from unigeoseg.data.builder.plan import Options
from unigeoseg.data.builder.tools import ToolsLoader
from unigeoseg.data.builder.unit import Job
from unigeoseg.data.sources.readers import declared_source

ROOFS = ((10, 8, 30, 24), (70, 60, 110, 100), (20, 80, 34, 90))
"""Roofs of every image: x0, y0, x1, y1 in pixels."""


def write_set(folder: Path, *, images: int = 6, side: int = 128) -> Path:
    """Write images with three bright roofs and a strip of water, and their class masks."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    for index in range(images):
        # ground that differs from image to image, so that none is taken for a copy of another
        ground = rng.integers(20, 140, (4, 4, 3), dtype=np.uint8)
        pixels = cv2.resize(ground, (side, side), interpolation=cv2.INTER_NEAREST)
        mask = np.zeros((side, side), np.uint8)
        for x0, y0, x1, y1 in ROOFS:
            pixels[y0:y1, x0:x1] = 210
            mask[y0:y1, x0:x1] = 1
        pixels[110:, :] = (20, 40, 120)
        mask[110:, :] = 2
        mask[:4, :] = 255
        cv2.imwrite(str(folder / "images" / f"{index}.jpg"), pixels[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
    meta = {
        "classes": {"0": "background", "1": "building", "2": "water"},
        "ignore_id": 255,
        "licence": "made by the tests",
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def write_shards(folder: Path, *, images: int = 6, side: int = 128) -> Path:
    """Build a dataset of such a set with the engine; most of its images train."""
    sources = write_set(folder / "sources" / "roofs", images=images, side=side)
    options = Options()
    job = Job(folder / "shards", options, ToolsLoader(options.seed))
    build_dataset(job, [(declared_source(sources), sources)])
    return folder / "shards"
