import pytest
import scenes
from hypothesis import given
from hypothesis import strategies as st

from unigeoseg.errors import (
    EmptyInstructionError,
    NoGeoreferenceError,
    PromptError,
    PromptOutsideRasterError,
    UnknownCrsError,
)
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import open_scene
from unigeoseg.prompt import Box, Point, Prompt, Task

number = st.floats(-1e4, 1e4)


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("the buildings", Task.REFERRING),
        ("The large building in the upper left", Task.REFERRING),
        ("all areas of water", Task.REFERRING),
        ("the whatever road", Task.REFERRING),
        ("Where could a helicopter land?", Task.REASONING),
        ("which field is driest", Task.REASONING),
        ("How would a truck leave", Task.REASONING),
        ("the area that floods first", Task.REASONING),
        ("Segment the regions where cars are parked", Task.REASONING),
        ("the place used for sport", Task.REASONING),
    ],
)
def test_task_is_read_from_the_text(text, task):
    assert Prompt.from_text(text).task is task


def test_task_given_is_kept_and_space_is_tidied():
    prompt = Prompt.from_text("  where  is it? ", Task.REFERRING)
    assert (prompt.task, prompt.text) == (Task.REFERRING, "where is it?")
    assert prompt.instruction(10, 10) == "where is it?"


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_blank_text_is_refused(text):
    with pytest.raises(EmptyInstructionError, match="say what to segment"):
        Prompt.from_text(text)


def test_parts_must_belong_to_the_task():
    point = Point(1, 1)
    with pytest.raises(PromptError, match="takes text alone"):
        Prompt(Task.REFERRING, "the roof", (point,))
    with pytest.raises(PromptError, match="takes points or a box"):
        Prompt(Task.INTERACTIVE, "the roof", (point,))
    with pytest.raises(PromptError, match="takes points or a box"):
        Prompt.from_text("the roof", Task.INTERACTIVE)
    with pytest.raises(PromptError, match="got 0 points"):
        Prompt.from_points([])
    with pytest.raises(PromptError, match="got 1 points to leave out"):
        Prompt.from_points([Point(1, 1, positive=False)])


def test_points_and_boxes_are_checked_at_birth():
    with pytest.raises(PromptError, match=r"point \(nan, 1\) is not finite"):
        Point(float("nan"), 1)
    with pytest.raises(PromptError, match="not finite"):
        Box(0, 0, float("inf"), 1)
    for edges in ((2, 0, 2, 1), (0, 3, 1, 2)):
        with pytest.raises(PromptError, match="has no area"):
            Box(*edges)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (Prompt.from_points([Point(49, 41.4)]), "to the point [0.490, 0.828]."),
        (
            Prompt.from_points([Point(10, 10), Point(50, 25)]),
            "to the points {(0.100, 0.200), (0.500, 0.500)}.",
        ),
        (
            Prompt.from_box(Box(43.4, 5.65, 71.7, 14.35)),
            "to the box x0,y0=[0.434,0.113], x1,y1=[0.717,0.287].",
        ),
        (
            Prompt.from_points([Point(10, 10), Point(50, 25, positive=False)]),
            "to the point [0.100, 0.200], excluding the points {(0.500, 0.500)}.",
        ),
        (
            Prompt.from_box(Box(0, 0, 50, 25), [Point(10, 10), Point(1, 1, False)]),
            "to the box x0,y0=[0.000,0.000], x1,y1=[0.500,0.500] and the point [0.100, 0.200], "
            "excluding the points {(0.010, 0.020)}.",
        ),
    ],
)
def test_instruction_of_an_interactive_prompt(prompt, words):
    start = "Please segment the region corresponding "
    assert prompt.instruction(100, 50) == start + words


def test_prompts_outside_the_raster_are_refused():
    Prompt.from_points([Point(0, 0), Point(63.9, 47.9)]).check_inside(64, 48)
    for point in (Point(64, 1), Point(1, 48), Point(-0.1, 1)):
        with pytest.raises(PromptOutsideRasterError, match="outside the raster of 64 x 48 pixels"):
            Prompt.from_points([point]).check_inside(64, 48)
    with pytest.raises(PromptOutsideRasterError, match=r"box \(64, 0, 70, 9\)"):
        Prompt.from_box(Box(64, 0, 70, 9)).check_inside(64, 48)


def test_box_is_clipped_to_the_raster():
    prompt = Prompt.from_box(Box(-5, 10, 70, 60), [Point(3, 3)])
    assert prompt.clipped(64, 48) == Prompt.from_box(Box(0, 10, 64, 48), [Point(3, 3)])
    assert Prompt.from_text("roofs").clipped(2, 2).text == "roofs"
    with pytest.raises(PromptOutsideRasterError, match="box"):
        prompt.clipped(64, 10)


@given(number, number, number, number)
def test_shifting_is_undone_by_shifting_back(x, y, dx, dy):
    prompt = Prompt.from_box(Box(x, y, x + 3, y + 4), [Point(x, y, False)])
    moved = prompt.shifted(dx, dy).shifted(-dx, -dy)
    assert (moved.box.x0, moved.box.y1) == pytest.approx((x, y + 4), abs=1e-6)
    assert moved.points[0].positive is False


def test_scaling_moves_each_axis_by_its_factor():
    scaled = Prompt.from_box(Box(1, 2, 3, 4), [Point(5, 6)]).scaled(2, 0.5)
    assert scaled == Prompt.from_box(Box(2, 1, 6, 2), [Point(10, 3)])


def test_map_coordinates_become_pixels(roof_scene):
    with open_scene(roof_scene) as scene:
        grid = scene.grid
    assert Point.from_map(500_012.5, 4_399_983.5, grid) == Point(25, 33)
    assert Box.from_map((500_010, 4_399_982, 500_015, 4_399_985), grid) == Box(*scenes.ROOF)
    point = Point.from_map(117.00014589, 39.74975886, grid, "EPSG:4326", positive=False)
    assert (point.x, point.y) == pytest.approx((25, 33), abs=0.1)
    assert not point.positive
    box = Box.from_map((117.0, 39.7495, 117.0003, 39.7499), grid, "EPSG:4326")
    assert box.x0 == pytest.approx(0, abs=0.1)


def test_box_on_a_rotated_grid_is_the_envelope(rotated_scene):
    with open_scene(rotated_scene) as scene:
        x, y = scene.grid.to_map(32, 32)
        box = Box.from_map((x - 5, y - 5, x + 5, y + 5), scene.grid)
    side = 20 * (3**0.5 / 2 + 0.5)
    assert box.x1 - box.x0 == pytest.approx(side)
    assert box.x0 + box.x1 == pytest.approx(64)


def test_map_coordinates_need_a_known_crs(roof_scene):
    plain = Grid.of_image(4, 4)
    with pytest.raises(NoGeoreferenceError, match="has no CRS"):
        Point.from_map(1, 1, plain)
    with pytest.raises(NoGeoreferenceError, match="has no CRS"):
        Box.from_map((0, 0, 1, 1), plain, "EPSG:4326")
    with open_scene(roof_scene) as scene, pytest.raises(UnknownCrsError, match="EPSG:1234567"):
        Point.from_map(1, 1, scene.grid, "EPSG:1234567")
    with open_scene(roof_scene) as scene, pytest.raises(PromptError, match="not finite"):
        Point.from_map(float("nan"), 1, scene.grid)
