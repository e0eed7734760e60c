"""A dataset in the forms that others read: Hugging Face `datasets` and WebDataset tars.

Both hold a record per image: its pixels once, all that is stored of it, and all instructions for
it. `benchmark` has the layout of GeoSeg-Bench. An export appears whole or not at all.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import Row, pa, write_table
from unigeoseg.data.store.rows import image_record, triplet_record
from unigeoseg.data.store.schema import (
    IMAGES,
    RECORD_IMAGE_COLUMNS,
    RECORD_TRIPLET_COLUMNS,
    TRIPLETS,
)
from unigeoseg.errors import MissingExtraError
from unigeoseg.runtime.atomic import atomic_directory, write_bytes
from unigeoseg.sample import Split

_SHARD = 256  # images of a file, some 100 MB


def to_huggingface(dataset: Dataset, out: Path) -> None:
    """Parquet files that `datasets.load_dataset(OUT)` reads, a split each, and a card.

    Raises:
        DataError: If the dataset is damaged.
        MissingExtraError: If `datasets` is not installed.
        OutputError: If `out` exists or cannot be written.
    """
    schema = _features().arrow_schema
    with atomic_directory(out) as folder:
        (folder / "data").mkdir()
        for split, number, records in _shards(dataset):
            table = pa.Table.from_pylist([_hugging_row(*record) for record in records], schema)
            write_table(folder / "data" / f"{split}-{number:05}.parquet", table)
        write_bytes(folder / "README.md", _card(dataset).encode())


def to_webdataset(dataset: Dataset, out: Path) -> None:
    """Tars SPLIT-00000.tar with ID.png and ID.json for each image, for `webdataset`.

    Raises:
        DataError: If the dataset is damaged.
        MissingExtraError: If `webdataset` is not installed.
        OutputError: If `out` exists or cannot be written.
    """
    try:
        import webdataset
    except ImportError as error:
        raise MissingExtraError("the export to WebDataset", "data") from error
    with atomic_directory(out) as folder:
        for split, number, records in _shards(dataset):
            path = folder / f"{split}-{number:05}.tar"
            with webdataset.TarWriter(str(path), mtime=0) as tar:
                for record in records:
                    tar.write(_tar_record(*record))


EXPORTS: dict[str, Callable[[Dataset, Path], None]] = {
    "huggingface": to_huggingface,
    "webdataset": to_webdataset,
}


def _shards(dataset: Dataset) -> Iterator[tuple[str, int, Sequence[tuple[Row, list[Row]]]]]:
    """Each split in parts that fit in memory, with their numbers."""
    for split in get_args(Split):
        number = 0
        part: list[tuple[Row, list[Row]]] = []
        for record in dataset.records(split=split):
            part.append(record)
            if len(part) == _SHARD:
                yield split, number, part
                number, part = number + 1, []
        if part:
            yield split, number, part


def _tar_record(image: Row, triplets: Sequence[Row]) -> dict[str, Any]:
    content = json.dumps(_record(image, triplets)).encode()
    return {"__key__": image["id"], "png": image["bytes"], "json": content}


def _hugging_row(image: Row, triplets: Sequence[Row]) -> Row:
    picture = {"bytes": image["bytes"], "path": f"{image['id']}.png"}
    return {"image": picture} | _record(image, triplets)


def _record(image: Row, triplets: Sequence[Row]) -> dict[str, Any]:
    return image_record(image) | {"triplets": [triplet_record(row) for row in triplets]}


def _features() -> Any:  # noqa: ANN401 - of an optional library
    try:
        from datasets import Features, Image
    except ImportError as error:
        raise MissingExtraError("the export to Hugging Face datasets", "data") from error
    triplet = pa.struct([TRIPLETS.field(name) for name in RECORD_TRIPLET_COLUMNS])
    columns = [IMAGES.field(name) for name in RECORD_IMAGE_COLUMNS]
    schema = pa.schema([*columns, pa.field("triplets", pa.list_(triplet))])
    return Features(image=Image(), **Features.from_arrow_schema(schema))


def _card(dataset: Dataset) -> str:
    """The card of a data set: the splits' files, and every source with its licence."""
    sources = "".join(
        f"| {name} | {counts.images} | {', '.join(counts.licences)} |\n"
        for name, counts in sorted(dataset.summary.sources.items())
    )
    files = "".join(
        f"  - split: {split}\n    path: data/{split}-*.parquet\n"
        for split in get_args(Split)
        if dataset.summary.splits.get(split)
    )
    return (
        "---\nlicense: other\ntask_categories:\n- image-segmentation\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}---\n\n"
        "A record per image: its pixels and `triplets`, what is asked of it. Masks (`rle`) are\n"
        "COCO run-lengths of the image's height and width; points and boxes are pixels. `crs`\n"
        "(WKT) and `transform` (a, b, c, d, e, f) place the image, where its source does. Every\n"
        "image keeps the licence of its source, in `licence`.\n\n"
        f"| source | images | licence |\n|---|---|---|\n{sources}"
    )
