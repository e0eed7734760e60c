"""Each operator on a known layout: what is selected, and where people might disagree."""

import numpy as np
import pytest
from affine import Affine
from patches import BUILDING, CAR, FOREST, POND, ROAD, SIDE, WATER, patch

from unigeoseg.data.patches.patch import UNKNOWN_REGION
from unigeoseg.data.programs.execute import execute_program
from unigeoseg.data.programs.graph import SceneGraph
from unigeoseg.data.programs.program import parse_program
from unigeoseg.data.sources.annotated import LabelledBox
from unigeoseg.data.taxonomy.confusable import confusable
from unigeoseg.errors import AmbiguousError, ProgramError

TOWN = {
    1: (ROAD, (0, 120, 256, 136)),
    2: (BUILDING, (20, 20, 50, 50)),
    3: (BUILDING, (100, 80, 140, 120)),  # touches the road
    4: (BUILDING, (190, 200, 250, 240)),
    5: (FOREST, (20, 160, 100, 240)),
    6: (POND, (50, 190, 70, 210)),  # within the forest
    7: (CAR, (200, 10, 250, 60)),
}
WHITE = {2: (250, 250, 250), 3: (200, 40, 40), 4: (10, 10, 10)}


def run(program: str, rectangles=TOWN, **changes) -> set[int] | str:
    """Selected regions, or why it is ambiguous."""
    graph = SceneGraph(patch(rectangles, **changes))
    try:
        return set(execute_program(parse_program(f"(program 1 {program})"), graph))
    except AmbiguousError as error:
        return error.rule


B = "(category 25)"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (B, {2, 3, 4}),
        ("(only (category 9))", {1}),
        (f"(only {B})", "several"),
        ("(category 63)", {7}),
        ("(filter (category 63) (in left))", "none"),
        (f"(largest {B})", {4}),
        (f"(smallest {B})", {2}),
        (f"(rank 1 left {B})", {2}),
        (f"(rank 2 left {B})", {3}),
        (f"(rank 3 left {B})", {4}),
        (f"(rank 4 left {B})", "none"),
        (f"(rank 1 right {B})", {4}),
        (f"(rank 1 top {B})", {2}),
        (f"(rank 1 bottom {B})", {4}),
        (f"(nearest {B} (only (category 9)))", {3}),
        (f"(farthest {B} (only (category 9)))", "margin"),  # 69 and 64 px away
        (f"(farthest {B} (rank 1 left {B}))", {4}),
        (f"(only (filter {B} (in upper-left)))", "margin"),  # building 3 is nearly there
        ("(only (filter (category 63) (in upper-right)))", {7}),
        (f"(only (filter {B} (in lower-right)))", {4}),
        (f"(only (filter {B} (in centre)))", {3}),
        (f"(only (filter {B} (beside (only (category 9)))))", {3}),
        (f"(only (filter {B} (beside (category 9))))", {3}),
        (f"(filter {B} (not (beside (category 9))))", {2, 4}),
        (f"(only (filter {B} (near (category 9))))", {3}),
        ("(only (filter (category 23) (inside (category 4))))", {6}),
        ("(only (filter (category 4) (around (only (category 23)))))", {5}),
        (f"(only (filter {B} (right-of (only (category 4)))))", "margin"),
        (f"(only (filter {B} (below (only (category 9)))))", {4}),
        (f"(filter {B} (above (only (category 9))))", {2, 3}),
        (f"(only (filter {B} (colour white)))", {2}),
        (f"(only (filter {B} (colour red)))", {3}),
        (f"(only (filter {B} (colour dark)))", {4}),
        (f"(filter {B} (colour blue))", "none"),
        ("(only (filter (category 9) (running across)))", {1}),
        ("(filter (category 9) (running down))", "none"),
        ("(only (filter (category 9) (at-edge left)))", {1}),
        (f"(filter {B} (at-edge left))", "none"),
        (f"(only (filter {B} (between (rank 1 left {B}) (only (category 4)))))", "margin"),
        (f"(only (filter {B} (between (rank 1 left {B}) (rank 1 right {B}))))", {3}),
        (f"(filter {B} (between (only (category 9)) (only (category 9))))", "none"),
    ],
)
def test_operator(program, expected):
    assert run(program, colours=WHITE) == expected


def row(step: int = 50, drop: int = 0, extra: int = 0) -> dict:
    """Four cars from left to right."""
    return {
        key + 1: (
            CAR,
            (x := 20 + key * step + extra * (key == 3), y := 100 + drop * key, x + 20, y + 10),
        )
        for key in range(4)
    }


def test_a_row_is_even_and_straight():
    assert run("(in-row 2 left (category 63))", row()) == {2}
    assert run("(in-row 2 right (category 63))", row()) == {3}
    assert run("(in-row 2 left (category 63))", row(drop=10)) == {2}
    assert run("(in-row 2 top (category 63))", row(drop=10)) == "margin"
    assert run("(in-row 2 left (category 63))", row(step=25, extra=60)) == "margin"
    bent = {**row(), 2: (CAR, (70, 130, 90, 140))}
    assert run("(in-row 2 left (category 63))", bent) == "margin"
    assert run("(in-row 1 left (category 25))") == "margin"
    assert run("(in-row 1 left (category 63))", {1: row()[1]}) == "none"


@pytest.mark.parametrize(
    ("height", "expected"), [(26, {1}), (25, "margin"), (20, "margin"), (16, "margin"), (15, {2})]
)
def test_the_largest_is_larger_by_three_tenths(height, expected):
    pair = {1: (CAR, (10, 10, 30, 10 + height)), 2: (CAR, (100, 10, 120, 30))}
    assert run("(largest (category 63))", pair) == expected


def test_the_smallest_is_not_cut_by_the_edge():
    pair = {1: (CAR, (0, 10, 10, 20)), 2: (CAR, (100, 10, 120, 30))}
    assert run("(smallest (category 63))", pair) == "margin"


@pytest.mark.parametrize(("gap", "expected"), [(8, {1}), (7, "margin"), (0, "margin")])
def test_order_needs_a_unit_between_centroids(gap, expected):
    pair = {1: (CAR, (10, 10, 30, 30)), 2: (CAR, (10 + gap, 100, 30 + gap, 120))}
    assert run("(rank 1 left (category 63))", pair) == expected


def test_order_of_centroids_and_of_edges_must_agree():
    pair = {1: (CAR, (40, 10, 60, 30)), 2: (CAR, (10, 100, 200, 120))}
    assert run("(rank 1 left (category 63))", pair) == "margin"


@pytest.mark.parametrize(("x0", "expected"), [(60, {1}), (100, "margin"), (118, {2}), (160, {2})])
def test_sides_have_a_band_between_them(x0, expected):
    outcome = run(
        "(only (filter (category 63) (in left)))",
        {1: (CAR, (x0, 10, x0 + 20, 30)), 2: (CAR, (10, 100, 30, 120))},
    )
    assert outcome == ({2} if expected == {2} else expected if expected == "margin" else "several")


def test_nearest_counts_distance_between_outlines():
    scene = {
        1: (ROAD, (0, 0, 256, 10)),
        2: (CAR, (10, 20, 30, 120)),  # its centre is farther, its edge nearer
        3: (CAR, (100, 40, 120, 60)),
    }
    assert run("(nearest (category 63) (only (category 9)))", scene) == {2}
    scene[3] = (CAR, (100, 25, 120, 60))
    assert run("(nearest (category 63) (only (category 9)))", scene) == "margin"


def test_kin_of_a_category():
    assert confusable(229, CAR)  # a car is a vehicle
    assert confusable(CAR, 229) is None  # a vehicle may be a car
    assert confusable(52, 65)  # two entries for swimming pools
    assert confusable(CAR, ROAD) is False
    scene = {1: (WATER, (10, 10, 60, 60)), 2: (POND, (100, 100, 150, 150))}
    assert run("(category 5)", scene) == {1, 2}
    assert run("(category 23)", scene) == "category"


def test_what_is_not_labelled_is_not_told_apart():
    assert run("(category 23)", labelled=frozenset({ROAD})) == "unknown"
    corners = np.array([[0, 0], [5, 0], [5, 5], [0, 5]], np.float32)
    assert run(B, boxes=(LabelledBox(BUILDING, corners),)) == "unknown"
    assert run(B, boxes=(LabelledBox(CAR, corners),)) == {2, 3, 4}


def test_a_patch_with_much_unknown_is_not_described():
    scene = patch(TOWN)
    scene.regions[:, 150:170] = np.where(scene.regions[:, 150:170] == 0, UNKNOWN_REGION, 0)
    with pytest.raises(AmbiguousError) as error:
        execute_program(parse_program("(program 1 (category 25))"), SceneGraph(scene))
    assert error.value.rule == "unknown"


def test_specks_are_not_seen():
    scene = {
        1: (BUILDING, (10, 10, 13, 15)),
        2: (POND, (50, 50, 57, 59)),
        3: (CAR, (90, 9, 94, 13)),
    }
    assert run("(category 25)", scene) == "none"  # 15 px of a thing
    assert run("(category 23)", scene) == "none"  # 63 px of stuff
    assert run("(category 63)", scene) == {3}  # 16 px


def test_an_unknown_category_is_an_error():
    with pytest.raises(ProgramError, match="no category 9999"):
        run("(category 9999)")


def test_north_is_up_only_on_such_a_grid():
    from rasterio.crs import CRS

    from unigeoseg.geo.grid import Grid

    up = Affine(0.5, 0, 500_000, 0, -0.5, 4_400_000)
    utm = CRS.from_epsg(32650)
    assert SceneGraph(patch(TOWN, grid=Grid(SIDE, SIDE, up, utm))).north_up
    turned = up @ Affine.rotation(30)
    assert not SceneGraph(patch(TOWN, grid=Grid(SIDE, SIDE, turned, utm))).north_up
    assert not SceneGraph(patch(TOWN)).north_up
