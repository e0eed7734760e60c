"""Write the catalogue's table into docs/sources.md: `python tools/sources.py`."""

from pathlib import Path

from unigeoseg.data.sources.catalog import catalog_markdown

DOCUMENT = Path(__file__).parents[1] / "docs" / "sources.md"
MARK = "<!-- written by tools/sources.py from the catalogue -->\n"

if __name__ == "__main__":
    before, *_ = DOCUMENT.read_text(encoding="utf-8").partition(MARK)
    DOCUMENT.write_text(f"{before}{MARK}\n{catalog_markdown()}", encoding="utf-8")
