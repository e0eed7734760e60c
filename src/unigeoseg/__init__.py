"""Segment overhead imagery by instruction and get georeferenced masks.

The public names are loaded when first used (PEP 562), so that ``import unigeoseg`` costs
nothing and imports neither torch nor rasterio.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unigeoseg.errors import UniGeoSegError
    from unigeoseg.geo.grid import Grid
    from unigeoseg.geo.raster import Raster
    from unigeoseg.predict.segmenter import Segmenter
    from unigeoseg.prompt import Box, Point, Prompt, Task
    from unigeoseg.sample import Sample

__version__ = "0.2.0"

__all__ = (
    "Box",
    "Grid",
    "Point",
    "Prompt",
    "Raster",
    "Sample",
    "Segmenter",
    "Task",
    "UniGeoSegError",
    "__version__",
)

_HOME = {
    "Box": "unigeoseg.prompt",
    "Grid": "unigeoseg.geo.grid",
    "Point": "unigeoseg.prompt",
    "Prompt": "unigeoseg.prompt",
    "Raster": "unigeoseg.geo.raster",
    "Sample": "unigeoseg.sample",
    "Segmenter": "unigeoseg.predict.segmenter",
    "Task": "unigeoseg.prompt",
    "UniGeoSegError": "unigeoseg.errors",
}


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it, on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'unigeoseg' has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(set(__all__) | set(globals()))
