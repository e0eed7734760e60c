"""Statistics of a dataset: the paper's table of subsets (section 2), and distributions.

They are counted by duckdb over the shards, so memory does not grow with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.store.dataset import Dataset
from unigeoseg.errors import DataError, MissingExtraError
from unigeoseg.geo.formats import check_suffix
from unigeoseg.report.document import Table
from unigeoseg.report.figure import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
_CELLS = 32  # of a side of the map of centres
_FREQUENT = 30  # categories and sources that a plot names
_NAME_LETTERS = 40  # of a name in a plot


@dataclass(frozen=True, slots=True)
class Subset:
    """One row of the table.

    Attributes:
        name: Of the subset.
        generated: Triplets that were written here.
        triplets: Those and the ones that came with their sources.
        words: Mean number of words of an instruction; None without triplets.
        categories: Number of categories.
        mask_px: Mean area of a mask in pixels; None without triplets.
    """

    name: str
    generated: int
    triplets: int
    words: float | None
    categories: int
    mask_px: float | None


def count_subsets(dataset: Dataset) -> list[Subset]:
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


def subset_table(subsets: Sequence[Subset]) -> Table:
    """The subsets as a table."""
    rows = [
        (
            subset.name,
            f"{subset.generated:,}",
            f"{subset.triplets:,}",
            "-" if subset.words is None else f"{subset.words:.2f}",
            str(subset.categories),
            "-" if subset.mask_px is None else f"{subset.mask_px:.0f}",
        )
        for subset in subsets
    ]
    return Table(("subset", "generated", "all", "words", "categories", "mask px"), rows)


def save_distributions(dataset: Dataset, path: Path) -> None:
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
        f"group by name order by n desc, name limit {_FREQUENT}",
    )
    sizes = _query(
        dataset,
        "select floor(4 * log10(greatest(area_px, 1))) / 4 as size, count(*) from triplets "
        "group by size order by size",
    )
    sources = _query(
        dataset,
        "select source, count(*) as n from triplets group by source order by n desc, source "
        f"limit {_FREQUENT}",
    )
    figure = new_figure("drawing", 15, 9)
    axes = figure.subplots(2, 3).ravel()
    _draw_histogram(axes[0], words, "words")
    _draw_histogram(axes[1], sizes, "mask size, powers of ten of pixels", width=0.24)
    _draw_counts(axes[2], categories, "triplets of the most frequent categories")
    axes[3].imshow(mask_centre_counts(dataset), cmap="magma", extent=(0, 1, 1, 0))
    axes[3].set_title("centres of masks")
    _draw_counts(axes[4], sources, "triplets of sources")
    axes[5].axis("off")
    save_figure(figure, path)


def mask_centre_counts(dataset: Dataset) -> NDArray[np.int64]:
    """(32, 32) int64: how many masks have their centre in each cell of the unit square."""
    counts = np.zeros((_CELLS, _CELLS), np.int64)
    for sample in dataset.samples():
        rows, columns = np.nonzero(sample.mask())
        if len(rows):
            y = int((rows.mean() + 0.5) / sample.height * _CELLS)
            x = int((columns.mean() + 0.5) / sample.width * _CELLS)
            counts[y, x] += 1
    return counts


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


def _draw_histogram(
    axis: "Axes", rows: Sequence[tuple[Any, ...]], title: str, width: float = 0.9
) -> None:
    axis.bar([row[0] for row in rows], [row[1] for row in rows], width, align="edge")
    axis.set_title(title)


def _draw_counts(axis: "Axes", rows: Sequence[tuple[Any, ...]], title: str) -> None:
    names = [_without_math(str(row[0])) for row in reversed(rows)]
    axis.barh(range(len(rows)), [row[1] for row in reversed(rows)])
    axis.set_yticks(range(len(rows)), names, fontsize=7)
    axis.set_title(title)


def _without_math(name: str) -> str:
    """A name without the signs that matplotlib reads as mathematics."""
    return name.replace("$", "\\$")[:_NAME_LETTERS]
