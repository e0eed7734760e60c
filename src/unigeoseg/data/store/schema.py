"""The tables of a dataset as Parquet schemas: images, triplets, and the ledger of rejections.

An image is stored once, as PNG: lossless, so that the pixels that instructions were written for
are the pixels that are read. (Its source's JPEG would be smaller where a patch is the whole file,
at the price of a second rule.) Masks are COCO run-lengths of the whole patch.
"""

from unigeoseg.data.store.parquet import pa

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
the whole image) and `unknown` (pixels of unknown category, as run-lengths) may be null."""

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

RECORD_IMAGE_COLUMNS = [name for name in IMAGES.names if name != "bytes"]
"""What an exported record says of an image, beside its pixels."""

RECORD_TRIPLET_COLUMNS = [
    name for name in TRIPLETS.names if name not in ("image", "width", "height")
]
"""What an exported record says of a triplet, beside what its image says."""
