"""What is in a dataset: the paper's table of subsets (section 2), and distributions.

Counted by duckdb over the shards, so memory does not grow with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.store.dataset import Dataset
from unigeoseg.errors import DataError, MissingExtraError
from unigeoseg.geo.formats import check_suffix
from unigeoseg.runtime.atomic import write_bytes

_SUBSETS = (
    ("referring", "family = 'referring'"),
    ("interactive", "family in ('point', 'box')"),
    ("- point", "family = 'point'"),
    ("- box", "family = 'box'"),
    ("reasoning", "family in ('attribute', 'context')"),
    ("- attribute", "family = 'attribute'"),
    ("- context", "family = 'context'"),
    ("all", "true"),
)
_WORDS = "len(string_split_regex(trim(text), '\\s+'))"
_CELLS = 32  # of the map of centres, a side


@dataclass(frozen=True, slots=True)
class Subset:
    """One row of the table.

    Attributes:
        name: Of the subset.
        generated: Triplets that were written here.
        triplets: Those and the ones that came with their sources.
        words: Mean number of words of what a model reads; None without triplets.
        categories: Number of categories.
        mask_px: Mean area of a mask in pixels; None without triplets.
    """

    name: str
    generated: int
    triplets: int
    words: float | None
    categories: int
    mask_px: float | None


def table(dataset: Dataset) -> list[Subset]:
    """The subsets of a dataset.

    Raises:
        DataError: If a shard is damaged.
        MissingExtraError: If `duckdb` is not installed.
    """
    columns = (
        "count(*) filter (writer <> 'published'), count(*), "
        f"avg({_WORDS}), count(distinct nullif(category_id, 0)), avg(area_px)"
    )
    return [
        Subset(name, *_query(dataset, f"select {columns} from triplets where {condition}")[0])
        for name, condition in _SUBSETS
    ]


def as_text(subsets: Sequence[Subset]) -> str:
    """The table as aligned text."""
    lines = [
        f"{'subset':14}{'generated':>11}{'all':>11}{'words':>8}{'categories':>12}{'mask px':>10}"
    ]
    for each in subsets:
        words = "-" if each.words is None else f"{each.words:.2f}"
        mask = "-" if each.mask_px is None else f"{each.mask_px:.0f}"
        lines.append(
            f"{each.name:14}{each.generated:>11,}{each.triplets:>11,}{words:>8}"
            f"{each.categories:>12}{mask:>10}"
        )
    return "\n".join(lines)


def draw(dataset: Dataset, path: Path) -> None:
    """Draw the distributions of words, categories, mask sizes, centres and sources as a PNG.

    Raises:
        OutputFormatError: If the path does not end in .png.
        DataError: If a shard is damaged, or there is no triplet.
        MissingExtraError: If `duckdb` or `matplotlib` is not installed.
        OutputUnwritableError: If the picture cannot be written.
    """
    check_suffix(path, (".png",))
    words = _query(dataset, f"select {_WORDS} as n, count(*) from triplets group by n order by n")
    if not words:
        raise DataError(f"{dataset.path} has no triplets to draw")
    categories = _query(
        dataset,
        "select coalesce(nullif(category, ''), 'not said') as name, count(*) as n from triplets "
        "group by name order by n desc, name limit 30",
    )
    sizes = _query(
        dataset,
        "select floor(4 * log10(greatest(area_px, 1))) / 4 as size, count(*) from triplets "
        "group by size order by size",
    )
    sources = _query(
        dataset,
        "select source, count(*) as n from triplets group by source order by n desc, source",
    )
    figure, axes = _figure()
    _bars(axes[0], words, "words")
    _bars(axes[1], sizes, "mask size, powers of ten of pixels", width=0.24)
    _names(axes[2], categories, "triplets of the most frequent categories")
    axes[3].imshow(centres(dataset), cmap="magma", extent=(0, 1, 1, 0))
    axes[3].set_title("centres of masks")
    _names(axes[4], sources[:30], "triplets of sources")
    axes[5].axis("off")
    write_bytes(path, _png(figure))


def centres(dataset: Dataset) -> NDArray[np.int64]:
    """(32, 32) int64: how many masks have their centre in each cell of the unit square."""
    cells = np.zeros((_CELLS, _CELLS), np.int64)
    for sample in dataset.samples():
        rows, columns = np.nonzero(sample.mask())
        if len(rows):
            y = int((rows.mean() + 0.5) / sample.height * _CELLS)
            x = int((columns.mean() + 0.5) / sample.width * _CELLS)
            cells[y, x] += 1
    return cells


def _query(dataset: Dataset, sql: str) -> list[tuple[Any, ...]]:
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("statistics", "data") from error
    with duckdb.connect() as connection:
        try:
            shards = [str(path) for path in dataset.triplets]
            connection.read_parquet(shards).create_view("triplets")
            rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise DataError(f"{dataset.path} cannot be counted: {first}; verify it") from error
        return rows


def _figure() -> Any:  # noqa: ANN401 - of an optional library
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing", "data") from error
    figure = Figure(figsize=(15, 9), layout="constrained")
    return figure, figure.subplots(2, 3).ravel()


def _png(figure: Any) -> bytes:  # noqa: ANN401 - of an optional library
    from io import BytesIO

    content = BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    return content.getvalue()


def _bars(
    axis: Any,  # noqa: ANN401 - of an optional library
    rows: Sequence[tuple[Any, ...]],
    title: str,
    width: float = 0.9,
) -> None:
    axis.bar([row[0] for row in rows], [row[1] for row in rows], width, align="edge")
    axis.set_title(title)


def _names(axis: Any, rows: Sequence[tuple[Any, ...]], title: str) -> None:  # noqa: ANN401
    names = [_plain(str(row[0])) for row in reversed(rows)]
    axis.barh(range(len(rows)), [row[1] for row in reversed(rows)])
    axis.set_yticks(range(len(rows)), names, fontsize=7)
    axis.set_title(title)


def _plain(name: str) -> str:
    """A name without the signs that matplotlib reads as mathematics."""
    return name.replace("$", "\\$")[:40]
