"""Published and own data of any layout as `AnnotatedImage`s.

`open_source` opens a row of the catalogue on a folder, `recognise` finds the row of a folder that
declares itself.
"""

from unigeoseg.data.sources.readers.opening import OpenSource, open_source, recognise
from unigeoseg.data.sources.readers.reading import Item

__all__ = ["Item", "OpenSource", "open_source", "recognise"]
