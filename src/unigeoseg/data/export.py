"""A dataset in the forms that others read: Hugging Face `datasets` and WebDataset tars.

Both hold a record per image: its pixels once, and all that is asked of it, without CRS, transform,
scores and regions. `benchmark` has the layout of GeoSeg-Bench.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from unigeoseg.data.dataset import Dataset
from unigeoseg.data.files import write_bytes
from unigeoseg.data.parquet import Row, pa, write_table
from unigeoseg.errors import MissingExtraError, OutputExistsError, OutputUnwritableError
from unigeoseg.sample import Split

_SHARD = 256  # images of a file, some 100 MB
_OF_IMAGE = ("id", "width", "height", "source", "key", "x", "y", "group", "licence", "gsd_m")
_OF_TRIPLET = (
    "id", "family", "task", "text", "points", "box", "rle", "category_id", "category", "answer",
    "writer", "program",
)  # fmt: skip


def fresh(out: Path) -> Path:
    """A directory to export to.

    Raises:
        OutputExistsError: If it is there and not empty.
        OutputUnwritableError: If it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise OutputExistsError(f"{out} is not empty; give another directory")
    except OSError as error:
        raise OutputUnwritableError(f"{out} cannot be made: {error}") from error
    return out


def to_huggingface(dataset: Dataset, out: Path) -> None:
    """Parquet files that `datasets.load_dataset(OUT)` reads, a split each, and a card.

    Raises:
        DataError: If the dataset is damaged.
        MissingExtraError: If `datasets` is not installed.
        OutputError: If `out` is not empty or cannot be written.
    """
    schema = _features().arrow_schema
    folder = fresh(out) / "data"
    for split, number, records in _shards(dataset):
        table = pa.Table.from_pylist([_hugging_row(*record) for record in records], schema)
        folder.mkdir(exist_ok=True)
        write_table(folder / f"{split}-{number:05}.parquet", table)
    write_bytes(out / "README.md", _card(dataset).encode())


def to_webdataset(dataset: Dataset, out: Path) -> None:
    """Tars SPLIT-00000.tar with ID.png and ID.json for each image, for `webdataset`.

    Raises:
        DataError: If the dataset is damaged.
        MissingExtraError: If `webdataset` is not installed.
        OutputError: If `out` is not empty or cannot be written.
    """
    try:
        import webdataset
    except ImportError as error:
        raise MissingExtraError("the export to WebDataset", "data") from error
    folder = fresh(out)
    for split, number, records in _shards(dataset):
        path = folder / f"{split}-{number:05}.tar"
        try:
            with webdataset.TarWriter(str(path), mtime=0) as tar:
                for image, triplets in records:
                    about = {name: image[name] for name in _OF_IMAGE}
                    tar.write(
                        {
                            "__key__": image["id"],
                            "png": image["bytes"],
                            "json": json.dumps(about | {"triplets": _triplets(triplets)}).encode(),
                        }
                    )
        except OSError as error:
            raise OutputUnwritableError(f"{path} was not written: {error}") from error


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


def _triplets(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in _OF_TRIPLET} for row in rows]


def _hugging_row(image: Row, triplets: Sequence[Row]) -> Row:
    shown = {"bytes": image["bytes"], "path": f"{image['id']}.png"}
    return {"image": shown, "triplets": _triplets(triplets)} | {
        name: image[name] for name in _OF_IMAGE
    }


def _features() -> Any:  # noqa: ANN401 - of an optional library
    try:
        from datasets import Features, Image, List, Value
    except ImportError as error:
        raise MissingExtraError("the export to Hugging Face datasets", "data") from error
    text, number, real = Value("string"), Value("int32"), Value("float64")
    point = {"x": real, "y": real, "positive": Value("bool")}
    kinds = {"points": List(point), "box": List(real), "category_id": number}
    of_image = {"width": number, "height": number, "x": number, "y": number, "gsd_m": real}
    return Features(
        {"image": Image(), "triplets": List({name: kinds.get(name, text) for name in _OF_TRIPLET})}
        | {name: of_image.get(name, text) for name in _OF_IMAGE}
    )


def _card(dataset: Dataset) -> str:
    """The card of a data set: the splits' files, and every source with its licence."""
    sources = "".join(
        f"| {name} | {about['images']} | {', '.join(about['licences'])} |\n"
        for name, about in sorted(dataset.summary["sources"].items())
    )
    files = "".join(
        f"  - split: {split}\n    path: data/{split}-*.parquet\n"
        for split in get_args(Split)
        if dataset.summary["splits"].get(split)
    )
    return (
        "---\nlicense: other\ntask_categories:\n- image-segmentation\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}---\n\n"
        "A record per image: its pixels and `triplets`, what is asked of it. Masks (`rle`) are\n"
        "COCO run-lengths of the image's height and width; points and boxes are pixels. Every\n"
        "image keeps the licence of its source, in `licence`.\n\n"
        f"| source | images | licence |\n|---|---|---|\n{sources}"
    )
