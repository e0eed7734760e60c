"""Readers of published and own data of any layout, as `AnnotatedImage`s.

`open_labelled_source` opens a row of the catalogue on a folder, `declared_source` gives the row of
a folder that declares itself.
"""

from unigeoseg.data.sources.readers.opening import OpenSource, declared_source, open_labelled_source
from unigeoseg.data.sources.readers.reading import ImageItem

__all__ = ["ImageItem", "OpenSource", "declared_source", "open_labelled_source"]
