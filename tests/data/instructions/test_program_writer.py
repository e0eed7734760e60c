"""What the offline writer writes: each text is proved by its program, and no question leaks."""

import re
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from affine import Affine
from patches import BUILDING, FOREST, POND, ROAD, SIDE, patch, random_patch
from rasterio.crs import CRS

from unigeoseg.data.candidates.filters import filter_candidates
from unigeoseg.data.candidates.measuring import measure_candidates
from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.instructions.program_writer import OfflineWriter
from unigeoseg.data.instructions.reasoning import ReasoningWriter
from unigeoseg.data.instructions.referring import ReferringWriter
from unigeoseg.data.ledger import Rejection
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.programs.execute import ProgramExecutor, execute_program
from unigeoseg.data.programs.graph import scene_graph
from unigeoseg.data.programs.program import expression, parse_program
from unigeoseg.data.programs.search import SceneFacts
from unigeoseg.data.taxonomy.categories import leaked_word, taxonomy
from unigeoseg.geo.grid import Grid
from unigeoseg.prompt import Task

TOWN = {
    1: (ROAD, (0, 120, 256, 136)),
    2: (BUILDING, (20, 20, 60, 60)),
    3: (BUILDING, (100, 70, 150, 120)),
    4: (FOREST, (20, 160, 120, 240)),
    5: (POND, (50, 180, 80, 210)),
}


def written(scene: Patch, seed: int = 0, reject=lambda rejection: None) -> list[Draft]:
    rng = np.random.default_rng(seed)
    found = filter_candidates(
        scene, measure_candidates(scene, lambda rejection: None), rng, lambda rejection: None
    )
    described = [each for each in found if each.describable]
    return list(OfflineWriter(reject).write(scene, described, rng))


@cache
def many() -> list[tuple[Patch, Draft]]:
    """Drafts about random patches."""
    return about(range(60))


def about(seeds: range) -> list[tuple[Patch, Draft]]:
    return [
        (scene, draft)
        for seed in seeds
        for scene in [random_patch(seed)]
        for draft in written(scene, seed)
    ]


@pytest.mark.parametrize("seeds", [range(60), pytest.param(range(60, 300), marks=pytest.mark.slow)])
def test_programs_select_exactly_their_targets(seeds):
    drafts = about(seeds) if len(seeds) > 60 else many()
    assert len(drafts) > 10 * len(seeds)
    for scene, draft in drafts:
        chosen = execute_program(parse_program(draft.program), scene_graph(scene))
        assert chosen == frozenset(draft.regions)
        assert np.array_equal(np.isin(scene.regions, list(chosen)), draft.mask)
        assert scene.categories[draft.regions[0]] == draft.category


def test_no_reasoning_question_names_its_answer():
    asked = [draft for _, draft in many() if draft.prompt.task is Task.REASONING]
    asked += [draft for seed in range(110) for draft in written(patch(TOWN), seed)]
    asked = [draft for draft in asked if draft.prompt.task is Task.REASONING]
    assert len(asked) > 500
    for draft in asked:
        entry = taxonomy()[draft.category]
        assert leaked_word(draft.prompt.text, entry) is None
        assert entry.label in draft.answer
        assert not set(entry.held_out.questions) & {draft.prompt.text}


def test_attribute_asks_for_the_only_one_and_context_for_one_of_two_or_three():
    for scene, draft in many():
        if draft.prompt.task is Task.REASONING:
            source = f"(program 1 (category {draft.category}))"
            alike = len(execute_program(parse_program(source), scene_graph(scene)))
            assert (alike == 1) == (draft.family == "attribute")
            assert alike <= 3


def test_lengths_are_near_the_papers():
    lengths = {task: [] for task in (Task.REFERRING, Task.REASONING)}
    for _, draft in many():
        lengths[draft.prompt.task].append(len(draft.prompt.text.split()))
    assert 6 <= min(lengths[Task.REFERRING]) and max(lengths[Task.REFERRING]) <= 25
    assert np.mean(lengths[Task.REFERRING]) == pytest.approx(12.05, abs=2)
    assert np.mean(lengths[Task.REASONING]) == pytest.approx(23.93, abs=3)


def skeleton(text: str) -> str:
    """A text without the names of categories."""
    names = sorted(
        {
            name.lower()
            for category in (ROAD, BUILDING, POND, FOREST)
            for name in (*taxonomy()[category].singular, *taxonomy()[category].plural)
        },
        key=len,
        reverse=True,
    )
    return re.sub("|".join(rf"\b{re.escape(name)}\b" for name in names), "NOUN", text.lower())


def test_texts_vary():
    referring = [draft for _, draft in many() if draft.family == "referring"]
    operators = Counter(
        re.match(r"\(program 1 \(([a-z-]+)", draft.program).group(1) for draft in referring
    )
    assert set(operators) >= {"only", "largest", "smallest", "rank", "nearest", "farthest"}
    skeletons = {skeleton(draft.prompt.text) for draft in referring}
    assert len(skeletons) > 0.5 * len(referring)
    assert len({draft.prompt.text for draft in referring}) > 0.8 * len(referring)


def test_most_referring_expressions_use_a_relation():
    relation = re.compile(r"\((beside|near|inside|around|\w+-of|above|below|between|nearest|far)")
    referring = [draft for _, draft in many() if draft.family == "referring"]
    assert np.mean([bool(relation.search(draft.program)) for draft in referring]) > 0.5


def test_the_same_seed_writes_the_same():
    def said(seed: int) -> list[tuple[str, str, str]]:
        return [(d.prompt.text, d.program, d.answer) for d in written(patch(TOWN), seed)]

    assert said(3) == said(3)
    assert said(3) != said(4)


def test_texts_of_a_target_differ_and_name_their_writer():
    drafts = written(patch(TOWN))
    assert {draft.writer for draft in drafts} == {"offline/1"}
    texts = [draft.prompt.text for draft in drafts]
    assert len(texts) == len(set(texts))


def test_compass_words_need_a_grid_with_north_up():
    compass = re.compile("north|south|east|west")
    grid = Grid(SIDE, SIDE, Affine(0.5, 0, 5e5, 0, -0.5, 4.4e6), CRS.from_epsg(32650))
    with_grid = [d.prompt.text for seed in range(9) for d in written(patch(TOWN, grid=grid), seed)]
    assert any(compass.search(text) for text in with_grid)
    without = [draft.prompt.text for _, draft in many() if draft.family == "referring"]
    assert not any(compass.search(text) for text in without)


def test_what_does_not_select_the_target_is_noted():
    noted: list[Rejection] = []
    written(random_patch(3), reject=noted.append)
    assert {rejection.stage for rejection in noted} == {"write"}
    assert {rejection.rule for rejection in noted} <= {
        "none", "several", "margin", "category", "unknown", "other", "leak", "words"
    }  # fmt: skip


def test_a_line_of_the_ledger_has_its_place_and_its_numbers():
    noted: list[Rejection] = []
    for seed in range(4):
        written(replace(random_patch(seed), x=256, y=512), seed, noted.append)
    place = re.compile(r"region \d+: .* in the patch at x 256, y 512")
    assert all(place.fullmatch(each.detail) for each in noted)
    several = [each for each in noted if each.rule == "several"]
    assert several and all(each.value > each.limit == 1 for each in several)


@pytest.mark.parametrize(("words", "limit"), [((90, 99), 90), ((1, 2), 2)])
def test_an_expression_without_a_wording_of_the_right_length_is_noted(words, limit):
    noted: list[Rejection] = []
    scene, rng = patch(TOWN), np.random.default_rng(0)
    executor = ProgramExecutor(scene_graph(scene))
    common = (scene, executor, SceneFacts(executor, rng), rng, noted.append)
    (target, *_) = measure_candidates(scene, noted.append)
    assert list(ReferringWriter(*common, words=words).write(target)) == []
    missed = [each for each in noted if each.rule == "words"]
    assert missed and {each.limit for each in missed} == {limit}
    assert all(each.value == len(each.detail.split()) - 10 for each in missed)


def test_an_attribute_question_that_selects_nothing_clearly_is_noted():
    noted: list[Rejection] = []
    scene, rng = patch(TOWN), np.random.default_rng(0)
    executor = ProgramExecutor(scene_graph(scene))
    writer = ReasoningWriter(scene, executor, Unsure(executor, rng), rng, noted.append)
    pond = next(each for each in measure_candidates(scene, noted.append) if each.category == POND)
    list(writer.write(pond))
    assert {each.rule for each in noted} == {"none"}
    assert {(each.value, each.limit) for each in noted} == {(0, 1)}


class Unsure(SceneFacts):
    """Says of every region that it lies at the top."""

    def relations(self, node):
        return []

    def places(self, node):
        return [expression("in", "top")]


def test_nothing_is_written_where_labels_are_incomplete():
    assert written(patch(TOWN, labelled=frozenset())) == []


def test_questions_are_asked_of_patches_with_one_category_too():
    assert {draft.family for draft in written(patch({1: TOWN[4]}))} >= {"attribute"}
