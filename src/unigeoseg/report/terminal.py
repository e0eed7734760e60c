"""Tables and reports on the terminal: drawn by rich for a reader, Markdown for a pipe or a file."""

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from unigeoseg.report.document import (
    Bars,
    Bold,
    ImageFile,
    Part,
    Picture,
    Section,
    Table,
    report_markdown,
    table_markdown,
)


def print_table(table: Table, console: Console | None = None) -> None:
    """Print a table, its note below.

    On a terminal it is drawn as wide as the terminal, and long cells wrap; elsewhere it is printed
    as Markdown, for scripts and for pasting into documents.

    Args:
        table: The table.
        console: Where to print; standard output without it.
    """
    console = console or Console()
    if not console.is_terminal:
        console.out(table_markdown(table), highlight=False)
        return
    grid = _drawn_table(table)
    unlimited = console.options.update(max_width=sys.maxsize)
    if console.measure(grid, options=unlimited).maximum > console.width:
        grid = _drawn_table(_with_intervals_below(table))
    console.print(grid)
    if table.note:
        console.print(_text(table.note), style="dim")


def print_report(title: str, sections: Sequence[Section], console: Console | None = None) -> None:
    """Print a report: tables as `print_table` does, bars, texts; of pictures their captions.

    Args:
        title: Of the report.
        sections: Its content.
        console: Where to print; standard output without it.
    """
    console = console or Console()
    if not console.is_terminal:
        console.out(report_markdown(title, sections, ""), highlight=False)
        return
    console.print(_text(title), style="bold")
    for section in sections:
        console.print()
        console.print(_text(section.title), style="bold")
        for part in section.parts:
            _print_part(part, console)


def _print_part(part: Part, console: Console) -> None:
    if isinstance(part, Table):
        print_table(part, console)
    elif isinstance(part, Bars):
        print_table(part.as_table(), console)
    elif isinstance(part, Picture | ImageFile):
        console.print(_text(part.caption))
    else:
        console.print(_text(part))


def _drawn_table(table: Table) -> RichTable:
    """The table for rich: names at the left, everything else, numbers mostly, at the right."""
    grid = RichTable(box=box.SIMPLE_HEAD, show_edge=False)
    for index, name in enumerate(table.head):
        grid.add_column(_text(name), justify="right" if index else "left", overflow="fold")
    for row in table.rows:
        grid.add_row(*map(_text, row))
    return grid


def _with_intervals_below(table: Table) -> Table:
    """The table with intervals, as in "1.00 [0.9, 1.1]", on a line of their own: it is narrower."""
    rows = [[type(cell)(cell.replace(" [", "\n[")) for cell in row] for row in table.rows]
    return Table(table.head, rows, table.note)


def _text(text: str) -> Text:
    """A text that is printed as it is: no markup, and no control sequence reaches the terminal."""
    printable = "".join(letter for letter in text if letter.isprintable() or letter == "\n")
    return Text(printable, style="bold" if isinstance(text, Bold) else "")
