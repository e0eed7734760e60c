"""What is stored of patches, samples and rejections, as rows of Parquet files.

An image is stored once, as PNG: lossless, so that the pixels that instructions were written for
are the pixels that are read. (Its source's JPEG would be smaller where a patch is the whole file,
at the price of a second rule.) Masks are COCO run-lengths of the whole patch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError

from unigeoseg.data.ledger import Rejection
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.store.parquet import Row, pa
from unigeoseg.errors import DataError, RasterError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.masks import Rle, decode_mask, encode_labels, rle_area
from unigeoseg.geo.png import decode_png, encode_png
from unigeoseg.prompt import Box, Point, Prompt, Task
from unigeoseg.sample import Sample

IMAGE_GROUP, TRIPLET_GROUP = 32, 2000
"""Rows of a row group, which are held in memory together."""
VERSION = 2
"""Version of these tables; a reader refuses another one."""
_STAMP = {"unigeoseg.schema": str(VERSION)}  # each file says it too

IMAGES = pa.schema(
    {
        "id": pa.string(),
        "bytes": pa.binary(),
        "width": pa.int32(),
        "height": pa.int32(),
        "source": pa.string(),
        "key": pa.string(),
        "x": pa.int32(),
        "y": pa.int32(),
        "group": pa.string(),
        "licence": pa.string(),
        "gsd_m": pa.float64(),
        "crs": pa.string(),
        "transform": pa.list_(pa.float64()),
        "split": pa.string(),
        "phash": pa.uint64(),
        "image_phash": pa.uint64(),
        "labelled": pa.list_(pa.uint16()),
        "regions": pa.list_(
            pa.struct({"region": pa.uint16(), "category": pa.uint16(), "rle": pa.string()})
        ),
        "unknown": pa.string(),
    },
    _STAMP,
)
"""One row per patch. `crs` (WKT), `transform` (a, b, c, d, e, f), `phash`, `image_phash` (that of
the whole image) and `unknown` (the pixels that nobody knows, as run-lengths) may be null."""

TRIPLETS = pa.schema(
    {
        "id": pa.string(),
        "image": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "family": pa.string(),
        "task": pa.string(),
        "text": pa.string(),
        "points": pa.list_(
            pa.struct({"x": pa.float64(), "y": pa.float64(), "positive": pa.bool_()})
        ),
        "box": pa.list_(pa.float64()),
        "rle": pa.string(),
        "area_px": pa.int32(),
        "regions": pa.list_(pa.uint16()),
        "category_id": pa.uint16(),
        "category": pa.string(),
        "answer": pa.string(),
        "program": pa.string(),
        "writer": pa.string(),
        "scores": pa.list_(pa.struct({"name": pa.string(), "score": pa.float64()})),
        "source": pa.string(),
        "licence": pa.string(),
        "group": pa.string(),
        "split": pa.string(),
    },
    _STAMP,
)
"""One row per triplet; `text` is what a model reads, `points` and `box` are pixels."""

LEDGER = pa.schema(
    {
        "stage": pa.string(),
        "rule": pa.string(),
        "source": pa.string(),
        "key": pa.string(),
        "detail": pa.string(),
        "value": pa.float64(),
        "limit": pa.float64(),
    },
    _STAMP,
)
"""One row per rejection."""


def image_row(patch: Patch, phash: int | None) -> Row:
    """A patch as a row of `IMAGES`; its split is the published one, or empty."""
    height, width = patch.regions.shape
    masks = encode_labels(patch.regions)
    unknown = masks.pop(int(UNKNOWN_REGION), None)
    grid = patch.grid
    return {
        "id": patch.id,
        "bytes": encode_png(patch.pixels),
        "width": width,
        "height": height,
        "source": patch.source,
        "key": patch.key,
        "x": patch.x,
        "y": patch.y,
        "group": patch.group,
        "licence": patch.licence,
        "gsd_m": patch.gsd_m,
        "crs": None if grid is None or grid.crs is None else grid.crs.to_wkt(),
        "transform": None if grid is None else [float(each) for each in tuple(grid.transform)[:6]],
        "split": patch.split,
        "phash": phash,
        "image_phash": patch.image_phash,
        "labelled": sorted(patch.labelled),
        "regions": [
            {"region": region, "category": patch.categories[region], "rle": rle["counts"]}
            for region, rle in masks.items()
        ],
        "unknown": None if unknown is None else unknown["counts"],
    }


def patch_of(row: Mapping[str, Any]) -> Patch:
    """The patch of a row of `IMAGES`, without boxes and texts.

    Raises:
        DataError: If a picture or a mask is damaged, one has another size than the row says, or
            regions overlap or have an id that means something else.
    """
    pixels = decode_png(row["bytes"], row["id"])
    if pixels.shape[:2] != (row["height"], row["width"]):
        raise DataError(
            f"the picture of image {row['id']} is {pixels.shape[:2]} (H, W), its row says "
            f"{(row['height'], row['width'])}; build the dataset again"
        )
    return Patch(
        source=row["source"],
        key=row["key"],
        x=row["x"],
        y=row["y"],
        group=row["group"],
        licence=row["licence"],
        gsd_m=row["gsd_m"],
        grid=_grid(row),
        pixels=pixels,
        regions=_regions(row, pixels.shape[:2]),
        categories={each["region"]: each["category"] for each in row["regions"]},
        labelled=frozenset(row["labelled"]),
        split=row["split"],
        image_phash=row["image_phash"],
    )


def _regions(row: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.uint16]:
    """(H, W) uint16, the region of each pixel."""
    masks = {each["region"]: each["rle"] for each in row["regions"]}
    if len(masks) < len(row["regions"]) or masks.keys() & {0, int(UNKNOWN_REGION)}:
        raise DataError(
            f"image {row['id']} has a region twice, or one numbered 0 or {UNKNOWN_REGION}; "
            "build the dataset again"
        )
    if row["unknown"] is not None:
        masks[int(UNKNOWN_REGION)] = row["unknown"]
    regions = np.zeros(size, np.uint16)
    for region, counts in masks.items():
        mask = decode_mask(Rle(size=list(size), counts=counts))
        if regions[mask].any():
            raise DataError(
                f"region {region} of image {row['id']} overlaps another; build the dataset again"
            )
        regions[mask] = region
    return regions


def _grid(row: Mapping[str, Any]) -> Grid | None:
    if row["transform"] is None:
        return None
    try:
        crs = None if row["crs"] is None else CRS.from_wkt(row["crs"])
        return Grid(row["width"], row["height"], Affine(*row["transform"]), crs)
    except (CRSError, RasterError, TypeError) as error:
        raise DataError(f"the place of image {row['id']} makes no sense: {error}") from error


def triplet_row(sample: Sample) -> Row:
    """A sample as a row of `TRIPLETS`."""
    prompt, box = sample.prompt, sample.prompt.box
    plain = ("image", "width", "height", "family", "category_id", "category", "answer", "program")
    kept = ("writer", "source", "licence", "group", "split")
    return {name: getattr(sample, name) for name in plain + kept} | {
        "id": sample.id,
        "task": prompt.task.value,
        "text": prompt.instruction(sample.width, sample.height),
        "points": [asdict(point) for point in prompt.points],
        "box": None if box is None else list(asdict(box).values()),
        "rle": sample.rle["counts"],
        "area_px": rle_area(sample.rle),
        "regions": list(sample.regions),
        "scores": [{"name": name, "score": sample.scores[name]} for name in sorted(sample.scores)],
    }


def sample_of(row: Mapping[str, Any]) -> Sample:
    """The sample of a row of `TRIPLETS`.

    Raises:
        DataError: If the row is no sample.
        PromptError: If its prompt breaks its own rules.
    """
    task, box = Task(row["task"]), row["box"]
    if box is not None and len(box) != 4:
        raise DataError(f"the box of triplet {row['id']} has {len(box)} edges, expected 4")
    return Sample(
        image=row["image"],
        width=row["width"],
        height=row["height"],
        prompt=Prompt(
            task,
            "" if task is Task.INTERACTIVE else row["text"],
            tuple(Point(**point) for point in row["points"]),
            None if box is None else Box(*box),
        ),
        rle=Rle(size=[row["height"], row["width"]], counts=row["rle"]),
        category=row["category"],
        source=row["source"],
        licence=row["licence"],
        group=row["group"],
        answer=row["answer"],
        family=row["family"],
        category_id=row["category_id"],
        split=row["split"],
        writer=row["writer"],
        program=row["program"],
        regions=tuple(row["regions"]),
        scores={each["name"]: each["score"] for each in row["scores"]},
    )


def ledger_rows(rejections: Iterable[Rejection]) -> list[Row]:
    """Rejections as rows of `LEDGER`."""
    return [asdict(each) for each in rejections]
