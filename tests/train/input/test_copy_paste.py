"""Rare objects that are pasted into other views of their source."""

import numpy as np
import pytest
from patches import CAR, SIDE, WATER, patch

from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.taxonomy.categories import category_by_name
from unigeoseg.train.input.copy_paste import CutOut, RareObjects
from unigeoseg.train.input.patch_cache import PatchCache

BUS = category_by_name("bus").id
RED = (200, 40, 40)
WIDTH, HEIGHT = 72, 24


def street(category: int | None = None, x: int = 80, y: int = 80, *, source: str = "a") -> Patch:
    """A patch with one red object of a category, or none."""
    shown = {} if category is None else {1: (category, (x, y, x + WIDTH, y + HEIGHT))}
    return patch(shown, colours={1: RED}, source=source)


def cached(patches: list[Patch]) -> PatchCache:
    sizes = [each.regions.size for each in patches]
    return PatchCache(
        ids=[str(at) for at in range(len(patches))],
        patches=patches,
        starts=[0, *np.cumsum(sizes)[:-1].tolist()],
        shapes=[each.regions.shape for each in patches],
        pixels=np.concatenate([each.pixels.reshape(-1, 3) for each in patches]),
        regions=np.concatenate([each.regions.ravel() for each in patches]),
    )


@pytest.fixture(scope="module")
def rare() -> RareObjects:
    """Of one patch with a bus among nineteen with cars."""
    return RareObjects.of(cached([street(BUS), *[street(CAR) for _ in range(19)]]))


def pasted(rare: RareObjects, view: Patch, *, scale: float = 1.0, seeds: int = 20) -> list[Patch]:
    return [rare.paste(view, scale, np.random.default_rng(seed)) for seed in range(seeds)]


def test_a_bus_is_pasted_where_there_was_none(rare):
    views = pasted(rare, street(CAR, 8, 8))
    shown = [set(view.categories.values()) for view in views]
    assert all(each <= {BUS, CAR} for each in shown)
    assert sum(BUS in each for each in shown) > 15
    for view in views:
        assert set(np.unique(view.regions).tolist()) - {0} == set(view.categories)


def test_buses_keep_their_colour_or_get_another(rare):
    redness = []
    for view in pasted(rare, street(), seeds=40):
        redder = view.pixels[..., 0].astype(int) - view.pixels[..., 1]
        assert redder[view.regions == 0].mean() < 20, "the ground is as it was"
        redness += [redder[view.regions == region].mean() for region in view.categories]
    red = sum(each > 80 for each in redness) / len(redness)
    assert 0.4 < red < 0.9 and min(redness) < 20


def test_nothing_that_is_labelled_or_unknown_is_covered(rare):
    view = street(CAR, 8, 8)
    view.regions[160:, :] = UNKNOWN_REGION
    for each in pasted(rare, view):
        assert ((each.regions == 1) == (view.regions == 1)).all()
        assert ((each.regions == UNKNOWN_REGION) == (view.regions == UNKNOWN_REGION)).all()
    assert (view.regions[80:160] == 0).all(), "the view that was given is as it was"


def test_objects_have_the_scale_of_the_view(rare):
    areas = {}
    for scale in (0.5, 1.0):
        views = pasted(rare, street(), scale=scale, seeds=40)
        counts = [count for v in views for count in np.bincount(v.regions.ravel())[1:] if count]
        areas[scale] = np.median(counts) / (WIDTH * HEIGHT * scale**2)
    assert areas == pytest.approx({0.5: 1.0, 1.0: 1.0}, rel=0.3)


def test_objects_stay_within_their_source(rare):
    view = street(source="b")
    assert rare.paste(view, 1.0, np.random.default_rng(0)) is view


@pytest.mark.parametrize("place", [(0, 80), (80, 0), (SIDE - WIDTH, 80), (80, SIDE - HEIGHT)])
def test_what_the_edge_of_a_patch_cuts_is_no_whole_object(place):
    cut = RareObjects.of(cached([street(BUS, *place), *[street() for _ in range(19)]]))
    view = street()
    assert cut.paste(view, 1.0, np.random.default_rng(0)) is view


def test_frequent_categories_and_land_are_not_pasted():
    shown = [street(WATER), street(CAR), street(CAR), *[street() for _ in range(17)]]
    view = street()
    assert RareObjects.of(cached(shown)).paste(view, 1.0, np.random.default_rng(0)) is view


@pytest.mark.parametrize("scale", [0.05, 4.0])
def test_what_does_not_fit_is_left_out(rare, scale):
    assert not any(view.categories for view in pasted(rare, street(), scale=scale))


def test_objects_change_with_every_draw_and_only_with_it():
    mask = np.ones((HEIGHT, WIDTH), np.bool_)
    bus = CutOut(np.full((HEIGHT, WIDTH, 3), 150, np.uint8), mask, BUS)
    rare = RareObjects({"a": {BUS: [bus]}})
    one, again, other = (
        rare.paste(street(), 1.0, np.random.default_rng(seed)).pixels.tobytes()
        for seed in (3, 3, 4)
    )
    assert one == again != other
