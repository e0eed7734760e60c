"""Reader of GeoJSON beside a GeoTIFF: polygons in map coordinates with a class property."""

import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely.errors import ShapelyError
from shapely.geometry import shape as parse_shape
from shapely.geometry.base import BaseGeometry

from unigeoseg.data.sources.annotated import LabelledObject, larger_first
from unigeoseg.data.sources.readers.images import DecodedImage
from unigeoseg.data.sources.readers.reading import Labels, Reading, RejectedError, read_label_json
from unigeoseg.data.sources.readers.shapes import object_from_geometry
from unigeoseg.errors import PromptError
from unigeoseg.geo.grid import WGS84, Grid, parse_crs, transformer

_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, OverflowError, ShapelyError)


def geojson_labels(reading: Reading, image: DecodedImage) -> Labels:
    """Polygons of the GeoJSON beside an image, as objects.

    Coordinates are longitude and latitude (RFC 7946), or in the CRS that a `crs` member names.

    Raises:
        RejectedError: If the file is missing or broken, or the image has no georeference.
    """
    content = read_label_json(reading.label_path)
    if image.grid is None:
        raise RejectedError("broken_label", "the image has no georeference to place polygons with")
    if not isinstance(content, dict) or not isinstance(content.get("features"), list):
        raise RejectedError("broken_label", "no FeatureCollection with a list of features")
    crs = _crs(content)
    objects: list[LabelledObject] = []
    for number, feature in enumerate(content["features"], start=1):
        try:
            with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused
                objects += _objects(reading, feature, image.grid, crs)
        except RejectedError as error:
            reading.record(error.rule, f"feature {number}: {error}", error.value, error.limit)
    return Labels(objects=larger_first(objects))


def _objects(reading: Reading, feature: Any, grid: Grid, crs: CRS) -> list[LabelledObject]:  # noqa: ANN401
    name = _class_of(feature, reading.folder.source.attribute)
    try:
        geometry = parse_shape(feature["geometry"])
    except _DAMAGE as error:
        raise RejectedError("broken_label", f"its geometry is no polygon: {error!r}") from error
    category = reading.category(str(name))
    if category is None or not reading.folder.table.is_target(category):
        return []
    try:
        polygon_object = object_from_geometry(category, _in_pixels(geometry, grid, crs), grid.shape)
    except ShapelyError as error:
        raise RejectedError(
            "broken_label", f"its polygon cannot be computed with: {error}"
        ) from error
    if polygon_object is None:
        raise RejectedError("outside_image", "nothing of it lies in the image")
    return [polygon_object]


def _class_of(feature: Any, attribute: str) -> Any:  # noqa: ANN401 - from a file
    """The property that holds a feature's class.

    Raises:
        RejectedError: If the feature lacks it, or a geometry.
    """
    if not isinstance(feature, dict):
        raise RejectedError("broken_label", f"it is {reprlib.repr(feature)}, expected an object")
    properties = feature.get("properties")
    if not isinstance(properties, dict) or attribute not in properties:
        raise RejectedError("broken_label", f"it has no property {attribute!r}")
    if not isinstance(feature.get("geometry"), dict):
        raise RejectedError("broken_label", "it has no geometry, expected a polygon")
    return properties[attribute]


def _in_pixels(geometry: BaseGeometry, grid: Grid, crs: CRS) -> BaseGeometry:
    if geometry.geom_type not in ("Polygon", "MultiPolygon") or geometry.is_empty:
        raise RejectedError(
            "broken_label", f"a {geometry.geom_type}; expected a polygon with points"
        )
    to_map = transformer(crs, grid.crs)
    a, b, c, d, e, f = tuple(~grid.transform)[:6]

    def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = to_map.transform(xy[:, 0], xy[:, 1])
        return np.column_stack((a * x + b * y + c, d * x + e * y + f))

    moved = shapely.transform(geometry, move)
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise RejectedError("outside_image", "its coordinates do not exist in the image's CRS")
    return shapely.make_valid(moved)


def _crs(content: Mapping[str, Any]) -> CRS:
    member = content.get("crs")
    if member is None:
        return WGS84
    try:
        return parse_crs(str(member["properties"]["name"]))
    except (KeyError, TypeError, PromptError) as error:
        raise RejectedError("broken_label", f"the member crs names no CRS: {error}") from error
