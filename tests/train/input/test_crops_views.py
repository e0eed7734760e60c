"""Views of patches, what is asked about them, and the patches' cache."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sets

from unigeoseg.data.instructions import whole_category
from unigeoseg.data.patches.patch import UNKNOWN_REGION
from unigeoseg.data.programs.reference import reference_selection
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.taxonomy.categories import category_by_name, taxonomy
from unigeoseg.errors import DataError, OptionError, OutputUnwritableError
from unigeoseg.prompt import Task
from unigeoseg.train.input import crops, patch_cache
from unigeoseg.train.input.augment import augment_words
from unigeoseg.train.input.batch import OTHER_CATEGORIES, TARGET, rival_map
from unigeoseg.train.input.batch_maker import families_by_task
from unigeoseg.train.input.instruction_sampler import FAMILIES, InstructionSampler
from unigeoseg.train.input.training_set import TrainingSet

BUILDING = 25


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return sets.write_shards(tmp_path_factory.mktemp("views"), images=6)


@pytest.fixture(scope="module")
def patch(shards: Path):
    dataset = Dataset.open(shards)
    return dataset.patch(next(dataset.samples()).image)


@pytest.mark.parametrize("symmetry", range(8))
def test_a_view_turns_pixels_and_regions_alike(patch, symmetry):
    view = crops.crop_view(patch, (0, 4, 100, 100), 100, symmetry)
    bright = view.pixels.min(axis=2) > 160
    roofs = np.isin(view.regions, [r for r, c in view.categories.items() if c == BUILDING])
    assert (bright & roofs).sum() / (bright | roofs).sum() > 0.9


def test_eight_symmetries_are_eight_views(patch):
    views = {
        crops.crop_view(patch, (0, 4, 100, 100), 100, each).regions.tobytes() for each in range(8)
    }
    assert len(views) == 8


def test_a_view_knows_what_it_shows(patch):
    corner = crops.crop_view(patch, (60, 50, 60, 55), 64)
    assert len(corner.categories) < len(patch.categories)
    assert set(corner.categories) < set(np.unique(corner.regions).tolist())


def test_a_long_view_is_letterboxed(patch):
    view = crops.crop_view(patch, (0, 10, 128, 64), 64)
    dark = (view.pixels == 0).all(axis=2)
    assert dark.sum() == 64 * 32
    assert (view.regions[dark] == 0).all()


def test_windows_lie_inside(patch):
    rng = np.random.default_rng(0)
    for place in (crops.random_window, crops.object_window):
        for size in (32, 256):
            for _ in range(50):
                x, y, width, height = place(patch, size, rng)
                assert 0 <= x <= 128 - width and 0 <= y <= 128 - height and width == height >= 48


@pytest.fixture(scope="module")
def drafts_by_family(patch):
    """Many drafts of every family, each with the view that it was written for."""
    rng = np.random.default_rng(1)
    drafts: dict[str, list] = {family: [] for family in FAMILIES}
    for _ in range(60):
        place = (
            crops.full_window if rng.random() < 0.5 else lambda p: crops.object_window(p, 128, rng)
        )
        view = crops.crop_view(patch, place(patch), 128, int(rng.integers(8)))
        sampler = InstructionSampler(view, rng, never=(taxonomy()[32].id,))
        for family in FAMILIES:
            draft = sampler.sample(family)
            if draft is not None:
                drafts[family].append((view, draft))
    return drafts


def test_every_family_is_asked(drafts_by_family):
    missing = {family for family, drafts in drafts_by_family.items() if not drafts}
    assert missing <= {"context", "absent name", "absent question"}


def test_a_prompt_is_of_its_familys_task(drafts_by_family):
    for family, drafts in drafts_by_family.items():
        assert {draft.prompt.task for _, draft in drafts} <= {FAMILIES[family]}


def test_masks_are_those_of_the_regions(drafts_by_family):
    for family, drafts in drafts_by_family.items():
        for view, draft in drafts:
            regions = np.isin(view.regions, np.array(draft.regions, np.uint16))
            assert (draft.mask == regions).all()
            assert bool(draft.regions) == (not family.startswith("absent"))


def test_expressions_and_questions_single_out_their_region_in_the_view(drafts_by_family):
    for family in ("referring", "attribute", "context"):
        for view, draft in drafts_by_family[family]:
            assert reference_selection(draft.program, view) == set(draft.regions)


def test_clicks_beside_an_object_are_beside_it(drafts_by_family):
    beside = [
        (view, draft, point)
        for view, draft in drafts_by_family["point"]
        for point in draft.prompt.points
        if not point.positive
    ]
    assert beside
    for _, draft, point in beside:
        assert not draft.mask[int(point.y), int(point.x)]


def test_words_are_left_out_of_questions():
    rng = np.random.default_rng(0)
    words = "Where would a duck land to swim in summer?".split()
    thinned = [augment_words(" ".join(words), rng).split() for _ in range(200)]
    for kept in thinned:
        assert len(kept) >= 3
        places = [words.index(word) for word in kept]
        assert places == sorted(places)
    assert {word for kept in thinned for word in kept} == set(words)
    assert 0.15 < 1 - np.mean([len(kept) for kept in thinned]) / len(words) < 0.25
    assert augment_words("tall trees", rng) == "tall trees"


def test_some_questions_come_with_words_left_out(patch, drafts_by_family):
    rng = np.random.default_rng(0)
    kinds_here = set(patch.categories.values())
    questions = [
        whole_category.question_draft(patch, kind, rng, template_share=0.4)
        for kind in kinds_here
        for _ in range(500)
    ]
    whole = {draft.prompt.text for draft in questions if draft}
    said = [draft.prompt.text in whole for _, draft in drafts_by_family["question"]]
    assert 0.5 < np.mean(said) < 0.9


def test_absent_things_are_mostly_of_the_kinds_that_the_source_shows_elsewhere(patch):
    elsewhere, never = category_by_name("Bus").id, category_by_name("Ship").id
    known = replace(patch, regions=np.where(patch.regions == UNKNOWN_REGION, 0, patch.regions))

    def absent(view) -> list[int]:
        sampler = InstructionSampler(view, np.random.default_rng(0), never=(never,))
        return [sampler.absent_name().category for _ in range(200)]

    assert set(absent(known)) == {never}
    drawn = absent(replace(known, labelled=known.labelled | {elsewhere}))
    assert set(drawn) == {elsewhere, never}
    assert 0.7 < np.mean([kind == elsewhere for kind in drawn]) < 0.9


def test_an_unknown_family_is_refused():
    with pytest.raises(OptionError, match="no family 'boxes'"):
        families_by_task({"boxes": 1.0})
    assert families_by_task({"box": 1.0})[Task.REFERRING][0] == []


def test_cached_patches_are_those_of_the_dataset(shards, tmp_path):
    first = TrainingSet.of([shards], "train", tmp_path / "cache")
    second = TrainingSet.of([shards], "train", tmp_path / "cache")  # what is there is opened
    dataset = Dataset.open(shards)
    for number, image in enumerate(first.patches.ids):
        stored, cached = dataset.patch(image), second.patches[number]
        assert (cached.pixels == stored.pixels).all()
        assert (cached.regions == stored.regions).all()
        assert (cached.categories, cached.labelled) == (stored.categories, stored.labelled)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_split_without_images_is_said(tmp_path):
    shards = sets.write_shards(tmp_path, images=2)
    with pytest.raises(DataError, match="no image of the split val"):
        TrainingSet.of([shards], "val", tmp_path / "cache")


def test_a_full_disk_is_said_before_anything_is_written(shards, tmp_path, monkeypatch):
    usage = patch_cache.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(patch_cache.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputUnwritableError, match="are free; make room"):
        TrainingSet.of([shards], "train", tmp_path / "cache")
    assert not any((tmp_path / "cache").iterdir())


def test_sources_without_a_chance_are_named(shards, tmp_path):
    training_set = TrainingSet.of([shards], "train", tmp_path / "cache")
    with pytest.raises(OptionError, match=r"no weight for \['roofs'\]"):
        training_set.patch_weights({"harbours": 1.0})
    assert training_set.patch_weights({"roofs": 3.0}).sum() == pytest.approx(1)


def test_patches_with_a_rare_category_count_more(shards, tmp_path):
    training_set = TrainingSet.of([shards], "train", tmp_path / "cache")
    weights = training_set.patch_weights({})
    assert np.allclose(weights, weights[0])  # of one size, and all show the same
    common = [replace(item, categories={1: BUILDING}) for item in training_set.patches.patches]
    rare = [replace(common[0], categories={1: BUILDING, 2: 41}), *common[1:] * 5]
    cached = replace(training_set.patches, patches=rare, shapes=[(128, 128)] * len(rare))
    weights = replace(training_set, patches=cached).patch_weights({})
    assert weights[0] / weights[1] == pytest.approx((0.25 * len(rare)) ** 0.5)
    assert np.allclose(weights[1:], weights[1])


def test_rivals_are_the_other_regions_of_what_is_meant(patch):
    sampler = InstructionSampler(patch, np.random.default_rng(0))
    draft = sampler.next_written("referring")
    numbers = rival_map(patch, draft)
    (meant,) = draft.regions
    assert ((numbers == TARGET) == (patch.regions == meant)).all()
    kinds = {r: c for r, c in patch.categories.items() if r != meant}
    alike = [r for r, c in kinds.items() if c == draft.category]
    other = [r for r, c in kinds.items() if c != draft.category]
    assert (
        ((numbers > TARGET) & (numbers < OTHER_CATEGORIES)) == np.isin(patch.regions, alike)
    ).all()
    assert ((numbers >= OTHER_CATEGORIES) == np.isin(patch.regions, other)).all()
    assert len(np.unique(numbers[numbers > 0])) == 1 + len(kinds)


def test_what_means_all_or_was_pointed_at_has_no_rivals(patch):
    sampler = InstructionSampler(patch, np.random.default_rng(0))
    assert not rival_map(patch, sampler.category()).any()
    assert not rival_map(patch, sampler.box()).any()


def test_what_others_wrote_is_shown_on_the_whole_patch(shards, tmp_path):
    training_set = TrainingSet.of([shards], "train", tmp_path / "cache")
    assert training_set.instructions == {}  # all of it is the engine's own
    sample = next(Dataset.open(shards).samples(split="train", family="box"))
    number = list(training_set.patches.ids).index(sample.image)
    told = replace(training_set, instructions={number: [replace(sample, writer="published")]})
    (draft,) = told.drafts(number, {Task.INTERACTIVE: 2}, 64, np.random.default_rng(0))
    assert draft.mask.shape == (64, 64)
    rows, columns = np.nonzero(draft.mask)
    box = draft.prompt.box
    assert abs(box.x0 - columns.min()) <= 1 and abs(box.y1 - rows.max() - 1) <= 1
