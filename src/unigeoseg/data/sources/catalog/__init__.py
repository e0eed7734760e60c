"""The catalogue: one row per published source.

Source: paper section 2. What a row could not be checked against is said in its notes.
"""

from collections.abc import Mapping
from types import MappingProxyType

from unigeoseg.data.sources.catalog.land_cover import LAND_COVER
from unigeoseg.data.sources.catalog.objects import OBJECTS
from unigeoseg.data.sources.catalog.texts import TEXTS
from unigeoseg.data.sources.source import IndexLayout, Source
from unigeoseg.errors import DataError

CATALOG: Mapping[str, Source] = MappingProxyType(
    {row.name: row for row in (*LAND_COVER, *OBJECTS, *TEXTS)}
)
"""Every row by its name."""

CATALOG_COLUMNS = ("name", "title", "licence", "GSD", "classes", "layout", "url")
"""Columns of `catalog_table`."""


def catalog_source(name: str) -> Source:
    """The row of a name.

    Raises:
        DataError: If there is none.
    """
    if name not in CATALOG:
        raise DataError(f"no source is called {name!r}; there are {', '.join(sorted(CATALOG))}")
    return CATALOG[name]


def catalog_table() -> list[tuple[str, ...]]:
    """The rows as texts, one per column of `COLUMNS`, for the command line and the documents."""
    return [
        (row.name, row.title, row.licence, _gsd(row), _classes(row), _layout(row), row.url)
        for row in CATALOG.values()
    ]


def catalog_markdown() -> str:
    """The catalogue as Markdown for `docs/sources.md`: the table, then what to know of each."""
    lines = [CATALOG_COLUMNS, ("---",) * len(CATALOG_COLUMNS), *catalog_table()]
    rows = "\n".join(
        f"| {' | '.join(cell.replace('|', ', ') for cell in line)} |" for line in lines
    )
    notes = "\n".join(
        f"- **{row.title}**: {row.notes} Cite {row.cite}." for row in CATALOG.values()
    )
    return f"{rows}\n\n{notes}\n"


def _gsd(row: Source) -> str:
    return row.resolution or (f"{row.gsd_m:g} m" if row.gsd_m else "not stated")


def _classes(row: Source) -> str:
    table = row.class_table()
    return str(len(table.labelled)) if row.classes else "by name"


def _layout(row: Source) -> str:
    if isinstance(row.layout, tuple):
        first: IndexLayout = row.layout[0]
        return f"{first.images}/, {first.files[0]}"
    return f"{row.layout.images[0]}, {row.layout.labels[0]}"
