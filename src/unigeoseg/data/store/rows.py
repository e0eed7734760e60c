"""Rows: patches, samples and rejections as values of the tables, and back.

(A sample as JSON, for files with a line per sample, is `Sample.as_row`.)
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError

from unigeoseg.data.ledger import Rejection
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.store.parquet import Row
from unigeoseg.data.store.schema import RECORD_IMAGE_COLUMNS, RECORD_TRIPLET_COLUMNS
from unigeoseg.errors import DataError, RasterError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.masks import Rle, decode_mask, encode_labels, rle_area
from unigeoseg.geo.png import decode_png, encode_png
from unigeoseg.prompt import Box, Point, Prompt, Task
from unigeoseg.sample import Sample

_TRANSFORM_TERMS = 6  # a, b, c, d, e, f of an affine transform
_BOX_EDGES = 4


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
        "transform": None if grid is None else _transform_terms(grid.transform),
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


def _transform_terms(transform: Affine) -> list[float]:
    return [float(term) for term in tuple(transform)[:_TRANSFORM_TERMS]]


def patch_from_row(row: Mapping[str, Any]) -> Patch:
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
        regions=_region_map(row, pixels.shape[:2]),
        categories={region["region"]: region["category"] for region in row["regions"]},
        labelled=frozenset(row["labelled"]),
        split=row["split"],
        image_phash=row["image_phash"],
    )


def _region_map(row: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.uint16]:
    """(H, W) uint16, the region of each pixel."""
    masks = {region["region"]: region["rle"] for region in row["regions"]}
    if len(masks) < len(row["regions"]) or masks.keys() & {0, int(UNKNOWN_REGION)}:
        raise DataError(
            f"image {row['id']} has a region twice, or one numbered 0 or {UNKNOWN_REGION}; "
            "build the dataset again"
        )
    if row["unknown"] is not None:
        masks[int(UNKNOWN_REGION)] = row["unknown"]
    region_map = np.zeros(size, np.uint16)
    for region, counts in masks.items():
        mask = decode_mask(Rle(size=list(size), counts=counts))
        if region_map[mask].any():
            raise DataError(
                f"region {region} of image {row['id']} overlaps another; build the dataset again"
            )
        region_map[mask] = region
    return region_map


def _grid(row: Mapping[str, Any]) -> Grid | None:
    if row["transform"] is None:
        return None
    try:
        crs = None if row["crs"] is None else CRS.from_wkt(row["crs"])
        return Grid(row["width"], row["height"], Affine(*row["transform"]), crs)
    except (CRSError, RasterError, TypeError) as error:
        raise DataError(f"the place of image {row['id']} makes no sense: {error}") from error


_NESTED = ("prompt", "rle", "regions", "scores")
_FLAT = [field.name for field in fields(Sample) if field.name not in _NESTED]


def triplet_row(sample: Sample) -> Row:
    """A sample as a row of `TRIPLETS`."""
    prompt, box = sample.prompt, sample.prompt.box
    return {name: getattr(sample, name) for name in _FLAT} | {
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


def sample_from_row(row: Mapping[str, Any]) -> Sample:
    """The sample of a row of `TRIPLETS`.

    Raises:
        DataError: If the row is no sample.
        PromptError: If its prompt breaks its own rules.
    """
    task, box = Task(row["task"]), row["box"]
    if box is not None and len(box) != _BOX_EDGES:
        raise DataError(
            f"the box of triplet {row['id']} has {len(box)} edges, expected {_BOX_EDGES}"
        )
    return Sample(
        **{name: row[name] for name in _FLAT},
        prompt=Prompt(
            task,
            "" if task is Task.INTERACTIVE else row["text"],
            tuple(Point(**point) for point in row["points"]),
            None if box is None else Box(*box),
        ),
        rle=Rle(size=[row["height"], row["width"]], counts=row["rle"]),
        regions=tuple(row["regions"]),
        scores={score["name"]: score["score"] for score in row["scores"]},
    )


def ledger_rows(rejections: Iterable[Rejection]) -> list[Row]:
    """Rejections as rows of `LEDGER`."""
    return [asdict(rejection) for rejection in rejections]


def image_record(row: Row) -> dict[str, Any]:
    """What an exported record says of an image: a row of `IMAGES` without its pixels."""
    return {name: row[name] for name in RECORD_IMAGE_COLUMNS}


def triplet_record(row: Row) -> dict[str, Any]:
    """What an exported record says of a triplet: its row without what its image says too."""
    return {name: row[name] for name in RECORD_TRIPLET_COLUMNS}
