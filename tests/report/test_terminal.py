from io import StringIO

import pytest
from rich.console import Console

from unigeoseg.report.document import Bars, Bold, Picture, Section, Table
from unigeoseg.report.terminal import print_report, print_table

TABLE = Table(
    ("system", "gIoU"),
    [("[red]grab-cut[/red]", "41.20"), (Bold("nano"), "66.38")],
    "In percent, over scenes.",
)


def terminal(width: int = 60) -> Console:
    return Console(file=StringIO(), force_terminal=True, width=width, color_system=None)


def printed(console: Console) -> str:
    return console.file.getvalue()


def test_a_table_is_drawn_on_a_terminal():
    console = terminal()
    print_table(TABLE, console)
    lines = printed(console).splitlines()
    assert lines[0].split() == ["system", "gIoU"]
    assert "[red]grab-cut[/red]" in lines[2]  # printed as it is, not as markup
    assert lines[3].endswith("66.38 ")
    assert lines[-1] == TABLE.note
    assert "|" not in printed(console)


def test_a_table_is_markdown_in_a_pipe(capsys):
    print_table(TABLE)
    assert capsys.readouterr().out.splitlines() == [
        "| system | gIoU |",
        "|---|---|",
        "| [red]grab-cut[/red] | 41.20 |",
        "| **nano** | 66.38 |",
        "",
        "In percent, over scenes.",
    ]


def test_long_cells_wrap_on_a_terminal_and_keep_every_letter():
    console = terminal(width=30)
    name = "a-system-with-quite-a-long-name-indeed"
    print_table(Table(("", "gIoU"), [(name, "1.00")]), console)
    assert all(len(line) <= 30 for line in printed(console).splitlines())
    assert "".join(printed(console).replace("1.00", "").split()).endswith(name)


def test_intervals_have_lines_of_their_own_where_the_terminal_is_narrow():
    table = Table(("", "gIoU", "cIoU"), [("all", *["97.34 [96.8, 97.7]"] * 2)])
    wide, narrow = terminal(60), terminal(40)
    print_table(table, wide)
    print_table(table, narrow)
    assert "97.34 [96.8, 97.7]" in printed(wide)
    values, intervals = printed(narrow).splitlines()[2:4]
    assert values.split() == ["all", "97.34", "97.34"]
    assert intervals.split() == ["[96.8,", "97.7]"] * 2


def test_no_control_sequence_of_a_name_reaches_the_terminal():
    console = terminal()
    print_table(Table(("",), [("\x1b[2Jgone\x07",)]), console)
    assert "\x1b[2J" not in printed(console)
    assert "gone" in printed(console)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_report_has_its_title_sections_and_parts(on_terminal, capsys):
    console = terminal() if on_terminal else Console()
    picture = Picture(b"", "the red roof", "1.jpg")
    parts = ["protocol 1234", TABLE, Bars([("roof", 0.5, "50.00")]), picture]
    print_report("nano on a suite", [Section("Scores", parts)], console)
    text = printed(console) if on_terminal else capsys.readouterr().out
    for expected in ("nano on a suite", "Scores", "protocol 1234", "66.38", "█" * 15, "red roof"):
        assert expected in text
    assert text.startswith("#") is not on_terminal
