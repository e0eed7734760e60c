"""A report as parts, and the two forms it is written in: Markdown and a self-contained page."""

import base64
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unigeoseg.errors import OutputFormatError
from unigeoseg.runtime.atomic import write_bytes


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
    """Shares as bars: name, value from 0 to 1, and what is written beside it."""

    rows: Sequence[tuple[str, float, str]]


@dataclass(frozen=True)
class Picture:
    """A picture as JPEG, its words, and a file name for it."""

    jpeg: bytes
    words: str
    name: str


Part = str | Table | Bars | Picture


@dataclass(frozen=True)
class Section:
    """A heading and what is below it."""

    title: str
    parts: Sequence[Part]


_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em }
table { border-collapse: collapse; margin: .8em 0 } td, th { padding: .2em .7em; text-align: right;
border-bottom: 1px solid #ccc } td:first-child, th:first-child { text-align: left }
p { white-space: pre-line } .bar { background: #2a7; height: .8em } .bars td:nth-child(2) {
width: 24em } .pictures { display: grid; gap: 1em; grid-template-columns:
repeat(auto-fill, minmax(17em, 1fr)) } figure { margin: 0 } figure img { width: 100% }
figcaption { white-space: pre-line; font-size: 13px }
"""
_BAR = 30  # letters of a full bar in Markdown


def write_report(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write a report by its suffix: .html, one file; or .md, with its pictures in a folder.

    Raises:
        OutputFormatError: If the suffix is another one.
        OutputUnwritableError: If it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".html":
        write_bytes(path, page(title, sections).encode())
    elif suffix == ".md":
        folder = path.with_name(f"{path.stem}_pictures")
        for picture in _pictures(sections):
            write_bytes(folder / picture.name, picture.jpeg)
        write_bytes(path, markdown(title, sections, folder.name).encode())
    else:
        raise OutputFormatError(f"{path.name} ends in {suffix or 'no suffix'}; give .html or .md")


def _pictures(sections: Sequence[Section]) -> Iterator[Picture]:
    for section in sections:
        yield from (part for part in section.parts if isinstance(part, Picture))


def markdown(title: str, sections: Sequence[Section], folder: str) -> str:
    """The report as Markdown whose pictures lie in `folder`."""
    parts = [f"# {_plain(title)}"]
    for section in sections:
        parts.append(f"## {_plain(section.title)}")
        parts += [_as_markdown(part, folder) for part in section.parts]
    return "\n\n".join(parts) + "\n"


def table_markdown(table: Table) -> str:
    """A table as Markdown, its note below."""
    lines = [
        f"| {' | '.join(map(_plain, table.head))} |",
        f"|{'---|' * len(table.head)}",
        *(f"| {' | '.join(map(_markdown_cell, row))} |" for row in table.rows),
    ]
    return "\n".join(lines) + (f"\n\n{table.note}" if table.note else "")


def _as_markdown(part: Part, folder: str) -> str:
    if isinstance(part, Table):
        return table_markdown(part)
    if isinstance(part, Bars):
        drawn = [(name, "█" * round(_BAR * value), said) for name, value, said in part.rows]
        return table_markdown(Table(("", "", ""), drawn))
    if isinstance(part, Picture):
        words = _plain(part.words.replace("[", "(").replace("]", ")"))
        return f"![{words}]({folder}/{part.name})\n\n{words}"
    return part


def _markdown_cell(text: str) -> str:
    return f"**{_plain(text)}**" if isinstance(text, Bold) else _plain(text)


def _plain(text: str) -> str:
    """A text in one line that cannot break out of a cell or become HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def page(title: str, sections: Sequence[Section]) -> str:
    """The report as a page that needs nothing but itself; every text is escaped."""
    body = "\n".join(
        f"<h2>{html.escape(section.title)}</h2>\n{_body(section.parts)}" for section in sections
    )
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f"<title>{name}</title><style>{_STYLE}</style>\n<h1>{name}</h1>\n{body}\n</html>\n"
    )


def _body(parts: Sequence[Part]) -> str:
    pictures = "\n".join(_figure(part) for part in parts if isinstance(part, Picture))
    others = "\n".join(_as_html(part) for part in parts if not isinstance(part, Picture))
    return others + (f'\n<div class="pictures">{pictures}</div>' if pictures else "")


def _as_html(part: str | Table | Bars) -> str:
    if isinstance(part, Table):
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in part.head)
        rows = "\n".join(_row(list(map(_cell, row))) for row in part.rows)
        note = f"<p>{html.escape(part.note)}</p>" if part.note else ""
        return f"<table><tr>{head}</tr>\n{rows}</table>{note}"
    if isinstance(part, Bars):
        rows = "\n".join(_row([_cell(name), _bar(value), _cell(s)]) for name, value, s in part.rows)
        return f'<table class="bars">{rows}</table>'
    return f"<p>{html.escape(part)}</p>"


def _row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cell(text: str) -> str:
    return f"<b>{html.escape(text)}</b>" if isinstance(text, Bold) else html.escape(text)


def _bar(value: float) -> str:
    return f'<div class="bar" style="width: {100 * value:.1f}%"></div>'


def _figure(picture: Picture) -> str:
    content = base64.b64encode(picture.jpeg).decode()
    return (
        f'<figure><img src="data:image/jpeg;base64,{content}" alt="">'
        f"<figcaption>{html.escape(picture.words)}</figcaption></figure>"
    )
