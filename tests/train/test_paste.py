"""Rare objects that are pasted into other views of their source."""

from dataclasses import replace

import numpy as np
import pytest

from unigeoseg.data.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.taxonomy import by_name
from unigeoseg.train.cache import PatchCache
from unigeoseg.train.paste import CutOut, RareObjects

BUS, CAR, WATER = (by_name(name).id for name in ("bus", "car", "water"))
RED, GREY = (200, 40, 40), 90
SIDE = 64


def blank(source: str = "street") -> Patch:
    return Patch(
        source=source,
        key="a.png",
        x=0,
        y=0,
        group="a",
        licence="CC0-1.0",
        gsd_m=None,
        grid=None,
        pixels=np.full((SIDE, SIDE, 3), GREY, np.uint8),
        regions=np.zeros((SIDE, SIDE), np.uint16),
        categories={},
        labelled=frozenset({BUS, CAR}),
    )


def with_object(patch: Patch, category: int, top: int, left: int, region: int = 1) -> Patch:
    """A red object of 8 x 24 pixels."""
    pixels, regions = patch.pixels.copy(), patch.regions.copy()
    pixels[top : top + 8, left : left + 24] = RED
    regions[top : top + 8, left : left + 24] = region
    return replace(
        patch, pixels=pixels, regions=regions, categories={**patch.categories, region: category}
    )


def cached(patches: list[Patch]) -> PatchCache:
    sizes = [patch.regions.size for patch in patches]
    return PatchCache(
        ids=[str(at) for at in range(len(patches))],
        patches=patches,
        starts=[0, *np.cumsum(sizes)[:-1].tolist()],
        shapes=[patch.regions.shape for patch in patches],
        pixels=np.concatenate([patch.pixels.reshape(-1, 3) for patch in patches]),
        regions=np.concatenate([patch.regions.ravel() for patch in patches]),
    )


@pytest.fixture(scope="module")
def street() -> PatchCache:
    """One bus among twenty patches with cars."""
    cars = [with_object(blank(), CAR, 4, 4) for _ in range(19)]
    return cached([with_object(blank(), BUS, 20, 20), *cars])


def pasted(rare: RareObjects, view: Patch, *, scale: float = 1.0, seeds: int = 20) -> list[Patch]:
    return [rare.paste(view, scale, np.random.default_rng(seed)) for seed in range(seeds)]


def test_a_bus_is_pasted_where_there_was_none(street):
    views = pasted(RareObjects.of(street), with_object(blank(), CAR, 4, 4))
    shown = [set(view.categories.values()) for view in views]
    assert all(each <= {BUS, CAR} for each in shown)
    assert sum(BUS in each for each in shown) > 15
    for view in views:
        numbers = set(np.unique(view.regions).tolist()) - {0}
        assert numbers == set(view.categories)
        buses = np.isin(view.regions, [r for r, kind in view.categories.items() if kind == BUS])
        away = ~buses & (view.regions != 1)
        if buses.any():
            assert view.pixels[buses][:, 0].mean() > 120 > view.pixels[away][:, 0].mean()


def test_nothing_that_is_labelled_or_unknown_is_covered(street):
    view = with_object(blank(), CAR, 4, 4)
    view.regions[40:, :] = UNKNOWN_REGION
    for each in pasted(RareObjects.of(street), view):
        assert ((each.regions == 1) == (view.regions == 1)).all()
        assert ((each.regions == UNKNOWN_REGION) == (view.regions == UNKNOWN_REGION)).all()
    assert (view.regions[20:40] == 0).all(), "the view that was given is as it was"


def test_objects_have_the_scale_of_the_view(street):
    rare = RareObjects.of(street)
    areas = {}
    for scale in (0.8, 1.6):
        views = pasted(rare, blank(), scale=scale, seeds=40)
        counts = [count for v in views for count in np.bincount(v.regions.ravel())[1:] if count]
        areas[scale] = np.median(counts) / (8 * 24 * scale**2)
    assert areas == pytest.approx({0.8: 1.0, 1.6: 1.0}, rel=0.3)


def test_objects_stay_within_their_source(street):
    view = blank("fields")
    assert RareObjects.of(street).paste(view, 1.0, np.random.default_rng(0)) is view


@pytest.mark.parametrize("place", [(0, 20), (20, 0), (SIDE - 8, 20), (20, SIDE - 24)])
def test_what_the_edge_of_a_patch_cuts_is_no_whole_object(place):
    patches = [with_object(blank(), BUS, *place), *[blank() for _ in range(19)]]
    view = blank()
    assert RareObjects.of(cached(patches)).paste(view, 1.0, np.random.default_rng(0)) is view


def test_frequent_categories_and_land_are_not_pasted():
    lake = with_object(blank(), WATER, 20, 20)
    cars = [with_object(blank(), CAR, 20, 20) for _ in range(2)]
    view = blank()
    rare = RareObjects.of(cached([lake, *cars, *[blank() for _ in range(17)]]))
    assert rare.paste(view, 1.0, np.random.default_rng(0)) is view


def test_what_does_not_fit_is_left_out():
    mask = np.ones((40, 60), np.bool_)
    bus = CutOut(np.zeros((40, 60, 3), np.uint8), mask, BUS)
    rare = RareObjects({"street": {BUS: [bus]}})
    for scale in (0.05, 2.0):
        assert not any(view.categories for view in pasted(rare, blank(), scale=scale))


def test_the_same_draws_paste_the_same(street):
    rare = RareObjects.of(street)
    one, two = (rare.paste(blank(), 1.0, np.random.default_rng(3)) for _ in range(2))
    assert one.pixels.tobytes() == two.pixels.tobytes()
    assert one.regions.tobytes() == two.regions.tobytes()
