"""A report as parts, and the two forms it is written in: Markdown and a self-contained page."""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from unigeoseg.errors import OutputFormatError
from unigeoseg.report.pages import page_environment
from unigeoseg.runtime.atomic import write_bytes

if TYPE_CHECKING:
    from jinja2 import Template


class Bold(str):
    """The text of a table's cell that is set in bold."""

    __slots__ = ()


@dataclass(frozen=True)
class Table:
    """Cells in rows.

    Attributes:
        head: Names of the columns.
        rows: A cell per column, `Bold` where it is set in bold.
        note: Below it, a line each.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Bars:
    """A bar chart of shares: name, value from 0 to 1, and the label beside the bar."""

    rows: Sequence[tuple[str, float, str]]

    def as_table(self) -> Table:
        """The bars as rows of block characters."""
        blocks = [(name, "█" * round(_BAR * share), label) for name, share, label in self.rows]
        return Table(("", "", ""), blocks)


@dataclass(frozen=True)
class Picture:
    """A picture as JPEG, its caption, and a file name for it."""

    jpeg: bytes
    caption: str
    name: str


@dataclass(frozen=True)
class ImageFile:
    """An image that lies as a file beside the report: its path from there, and its caption."""

    path: str
    caption: str


Part = str | Table | Bars | Picture | ImageFile
"""What a section consists of; a text is a paragraph, its lines are kept."""


@dataclass(frozen=True)
class Section:
    """A heading and the parts below it."""

    title: str
    parts: Sequence[Part]


_BAR = 30  # characters of a full bar

_MARKUP = re.compile(
    r"""
    [\\`*|~]                     # escapes, code, emphasis, cells, strikethrough
    | (?<!\w)_ | _(?!\w)         # emphasis; inside of a word it is a letter
    | \](?=[(\[:])               # links and their definitions; brackets alone are text
    """,
    re.VERBOSE,
)
_BLOCK = re.compile(r"(?:[#>+=-]|\d+[.)]\s)")
"""What makes a heading, a quotation, a list or a rule of a line that it begins."""


def write_report(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write a report by its suffix: .html, one file; or .md, with its pictures in a folder.

    Raises:
        OutputFormatError: If the suffix is another one.
        OutputUnwritableError: If it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".html":
        write_bytes(path, report_html(title, sections).encode())
    elif suffix == ".md":
        folder = path.with_name(f"{path.stem}_pictures")
        for picture in _pictures(sections):
            write_bytes(folder / picture.name, picture.jpeg)
        write_bytes(path, report_markdown(title, sections, folder.name).encode())
    else:
        raise OutputFormatError(f"{path.name} ends in {suffix or 'no suffix'}; give .html or .md")


def _pictures(sections: Sequence[Section]) -> Iterator[Picture]:
    for section in sections:
        yield from (part for part in section.parts if isinstance(part, Picture))


def report_html(title: str, sections: Sequence[Section]) -> str:
    """The report as a page that needs nothing but itself; every text is escaped."""
    return _page_template().render(title=title, sections=sections)


@cache
def _page_template() -> "Template":
    environment = page_environment("unigeoseg.report")
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.filters["quoted"] = quote
    kinds = {"bold": Bold, "table": Table, "bars": Bars, "picture": Picture, "file": ImageFile}
    for name, kind in kinds.items():
        environment.tests[name] = lambda value, kind=kind: isinstance(value, kind)
    return environment.get_template("report.html.j2")


def report_markdown(title: str, sections: Sequence[Section], folder: str) -> str:
    """The report as Markdown whose pictures lie in `folder`; every text is escaped."""
    blocks = [f"# {_inline(title)}"]
    for section in sections:
        blocks.append(f"## {_inline(section.title)}")
        blocks += [_part_markdown(part, folder) for part in section.parts]
    return "\n\n".join(blocks) + "\n"


def table_markdown(table: Table) -> str:
    """A table as Markdown, its note below; every text is escaped."""
    lines = [
        f"| {' | '.join(map(_inline, table.head))} |",
        f"|{'---|' * len(table.head)}",
        *(f"| {' | '.join(map(_inline, row))} |" for row in table.rows),
    ]
    return "\n".join(lines) + (f"\n\n{_paragraph(table.note)}" if table.note else "")


def _part_markdown(part: Part, folder: str) -> str:
    if isinstance(part, Table):
        return table_markdown(part)
    if isinstance(part, Bars):
        return table_markdown(part.as_table())
    if isinstance(part, Picture):
        caption = _inline(part.caption.replace("[", "(").replace("]", ")"))
        return f"![{caption}]({quote(f'{folder}/{part.name}')})\n\n{caption}"
    if isinstance(part, ImageFile):
        return f"![{_inline(part.caption)}]({quote(part.path)})"
    return _paragraph(part)


def _inline(text: str) -> str:
    """A text in one line that cannot break out of a cell, become a link, markup or HTML."""
    line = _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
    line = line.replace("&", "&amp;").replace("<", "&lt;")
    return f"**{line}**" if isinstance(text, Bold) else line


def _paragraph(text: str) -> str:
    """A text with its lines, none of which becomes a heading, a list or a quotation."""
    return "\n".join(
        _BLOCK.sub(_escaped_block, line, count=1) if _BLOCK.match(line) else line
        for line in map(_inline, text.splitlines())
    )


def _escaped_block(match: re.Match[str]) -> str:
    marker = match[0]
    return f"\\{marker}" if not marker[0].isdigit() else f"{marker[:-2]}\\{marker[-2:]}"
