"""Published and own data of any layout as `AnnotatedImage`s.

`open_source` opens a row of the catalogue on a folder, `recognise` finds the row of a folder that
declares itself. `read_set` and what belongs to it read labelled sets as training needs them.
"""

from unigeoseg.data.readers.labelled_image import (
    IGNORE,
    LabelledImage,
    group_of,
    groups_of,
    has_masks,
    read_set,
)
from unigeoseg.data.readers.opening import OpenSource, open_source, recognise
from unigeoseg.data.readers.reading import Item

__all__ = [
    "IGNORE",
    "Item",
    "LabelledImage",
    "OpenSource",
    "group_of",
    "groups_of",
    "has_masks",
    "open_source",
    "read_set",
    "recognise",
]
