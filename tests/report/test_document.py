from html.parser import HTMLParser

import pytest

from unigeoseg.errors import OutputFormatError
from unigeoseg.report.document import (
    Bars,
    Bold,
    ImageFile,
    Picture,
    Section,
    Table,
    report_html,
    report_markdown,
    table_markdown,
    write_report,
)

HARM = "<script>alert(1)</script>"


class Elements(HTMLParser):
    """Collects the elements of a page by name, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)

    def handle_data(self, data):
        self.text += data


def everything(text: str) -> list[Section]:
    """Sections with a text in every place that a text can have."""
    table = Table((text, text), [(text, Bold(text))], text)
    return [Section(text, [text, table, Bars([(text, 0.25, text)]), Picture(b"jpeg", text, "n")])]


def test_a_page_has_every_part_and_escapes_every_text():
    page = report_html(HARM, everything(HARM))
    assert HARM not in page
    elements = Elements(page)
    assert "script" not in elements.names
    # the title and its heading, the section's, the paragraph, 4 cells and a note, 2 of the bar,
    # and the picture's caption
    assert elements.text.count(HARM) == 12
    for name in ("h1", "h2", "table", "b", "img", "figcaption"):
        assert name in elements.names
    assert "width: 25.0%" in page and "data:image/jpeg;base64,anBlZw==" in page


def test_a_page_leads_to_its_sections():
    page = report_html("t", [Section("Scores", []), Section("Failures", ["none"])])
    assert '<a href="#2">Failures</a>' in page and '<h2 id="2">Failures</h2>' in page


def test_a_cell_cannot_break_out():
    assert table_markdown(Table(("a|b",), [("x|y\n<b>",)])).splitlines()[2] == "| x\\|y &lt;b> |"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("[a](http://b)", "[a\\](http://b)"),
        ("[a]: http://b", "[a\\]: http://b"),
        ("`code` **bold** ~~gone~~", "\\`code\\` \\*\\*bold\\*\\* \\~\\~gone\\~\\~"),
        ("_a_ fill_box", "\\_a\\_ fill_box"),
        ("a\\|b", "a\\\\\\|b"),
        ("&lt;script>", "&amp;lt;script>"),
        ("12.30 [11.0, 13.5]", "12.30 [11.0, 13.5]"),
    ],
)
def test_a_text_is_no_markup_in_markdown(text, escaped):
    assert table_markdown(Table(("",), [(text,)])).splitlines()[2] == f"| {escaped} |"
    assert report_markdown("t", [Section("s", [text])], "").splitlines()[-1] == escaped


@pytest.mark.parametrize("line", ["# title", "- item", "> quotation", "===", "1. item"])
def test_a_line_of_a_paragraph_begins_no_block(line):
    written = report_markdown("t", [Section("s", [f"first\n{line}"])], "").splitlines()[-2:]
    assert written[0] == "first"
    assert written[1] == (line.replace(".", "\\.") if line[0] == "1" else f"\\{line}")


def test_bold_cells_and_bars_in_markdown():
    text = report_markdown("t", [Section("s", [Table(("a",), [(Bold("b"),)])])], "")
    assert "| **b** |" in text
    assert "| roof | " + "█" * 15 + " | 50.00 |" in report_markdown(
        "t", [Section("s", [Bars([("roof", 0.5, "50.00")])])], ""
    )


def test_an_image_beside_the_report_is_linked():
    parts = [Section("s", [ImageFile("a plot.png", "IoU")])]
    assert "![IoU](a%20plot.png)" in report_markdown("t", parts, "")
    assert '<img src="a%20plot.png" alt="IoU">' in report_html("t", parts)


def test_a_report_is_written_by_its_suffix(tmp_path):
    sections = everything("a text")
    write_report(tmp_path / "r.md", "t", sections)
    assert (tmp_path / "r_pictures" / "n").read_bytes() == b"jpeg"
    assert "![a text](r_pictures/n)" in (tmp_path / "r.md").read_text()
    write_report(tmp_path / "r.HTML", "t", sections)
    assert (tmp_path / "r.HTML").read_text() == report_html("t", sections)
    with pytest.raises(OutputFormatError, match="no suffix"):
        write_report(tmp_path / "r", "t", sections)
