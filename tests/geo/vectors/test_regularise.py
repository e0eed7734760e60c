"""Buildings at any angle, as pixels show them, get their walls back."""

import numpy as np
import pytest
import rasterio.features
import scenes
import shapely
from rasterio.crs import CRS
from results import outlines_of

from unigeoseg.errors import OptionError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.vectors.regularise import regularise_outlines
from unigeoseg.predict.output.spec import OutputConfig

GRID = Grid(400, 400, scenes.UTM50, CRS.from_epsg(32650))


def outlines(true: list[shapely.Polygon]) -> list[shapely.Geometry]:
    """What the pixels of shapes, in pixels, look like on the map."""
    mask = rasterio.features.rasterize(true, GRID.shape, default_value=1)
    return outlines_of(mask, GRID)


def corners(shape: shapely.Polygon) -> np.ndarray:
    """Cosines of the angles at the corners."""
    ways = np.diff(shapely.get_coordinates(shape), axis=0)
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    return np.abs((ways * np.roll(ways, 1, axis=0)).sum(axis=1))


def test_walls_are_straight_and_square():
    house = shapely.box(0, 0, 60, 40).difference(shapely.box(35, 20, 60, 40))
    true = [
        shapely.affinity.translate(shapely.affinity.rotate(house, turn), 30 + 90 * at, 50 + 80 * at)
        for at, turn in enumerate((0, 17, 33, 71))
    ]
    before = outlines(true)
    after = regularise_outlines(before, 1.0, (1.0, 1.0))
    assert len(after) == len(before) == 4
    for ragged, straight in zip(before, after, strict=True):
        assert straight.intersection(ragged).area / straight.union(ragged).area > 0.95
        assert len(corners(straight)) == 6
        assert np.isclose(corners(straight), 0, atol=0.02).all()
    assert shapely.get_num_coordinates(before[1]) > 60


def test_what_is_no_building_is_left_as_it_is():
    line = shapely.LineString([(20, 20), (150, 60), (200, 300), (350, 380)]).buffer(4)
    (river,) = outlines([line])
    twins = shapely.MultiPolygon([shapely.box(0, 0, 4, 4), shapely.box(4, 4, 8, 8)])
    kept = regularise_outlines([river, twins], 40.0, (1.0, 1.0))
    assert kept[1] is twins
    assert kept[0].intersection(river).area / kept[0].union(river).area >= 0.8
    assert regularise_outlines([], 1.0, (1.0, 1.0)) == []


def test_angles_are_right_on_the_ground_in_degrees_too():
    """At 60 degrees north a degree of longitude is half as long as one of latitude."""
    house = shapely.affinity.rotate(shapely.box(0, 0, 60, 40), 30)
    (ragged,) = outlines([shapely.affinity.translate(house, 100, 100)])
    degrees = shapely.transform(ragged, lambda xy: xy / (55_660, 111_320))
    (straight,) = regularise_outlines([degrees], 1.0, (55_660.0, 111_320.0))
    back = shapely.transform(straight, lambda xy: xy * (55_660, 111_320))
    assert len(corners(back)) == 4 and np.isclose(corners(back), 0, atol=0.02).all()


def test_it_does_not_go_with_shared_edges():
    with pytest.raises(OptionError, match="leave out --simplify"):
        OutputConfig(regularise_m=1.0, simplify_m=1.0)
