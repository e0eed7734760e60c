"""Ablations as one study: runs that go on, that can be compared, and the table."""

from dataclasses import replace
from pathlib import Path

import pytest
import sets
import torch
from command_line import typed
from mixes import only
from networks import tiny_config, tiny_network, tiny_start

from unigeoseg.errors import DataError, OptionError
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.tate import ReasoningEnhance
from unigeoseg.prompt import Task
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch import BatchConfig
from unigeoseg.train.pretrained_init import scale_reasoning
from unigeoseg.train.recipes import ablation_recipe
from unigeoseg.train.study.ablations import ABLATIONS
from unigeoseg.train.study.study import (
    RESULTS,
    ROWS,
    Run,
    Score,
    Study,
    _initial_network,
    read_results,
    write_results,
)
from unigeoseg.train.study.table import ablation_table

FAMILIES = {"box": 1.0, "category": 1.0, "question": 1.0}
RECIPE = TrainConfig(
    model=tiny_config(),
    batch=BatchConfig(sizes=(64,), images=2, prompts=3, families=FAMILIES),
    steps=3,
    lr=3e-3,
    frozen=("encoder",),
    validation_batches=2,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return sets.write_shards(tmp_path_factory.mktemp("study"), images=12)


def study_of(shards: Path, output: Path, recipe: TrainConfig = RECIPE) -> Study:
    return Study(recipe=recipe, data=(shards,), output=output, start=tiny_start)


def done(study: Study, *rows: str, seeds: int = 1, workers: int = 1) -> list[list[Score]]:
    return [scores for scores, _ in study.run(rows, seeds=seeds, workers=workers)]


def reached(scores: list[Score]) -> dict[tuple[Run, Task], float]:
    return {(score.run, score.task): score.giou for score in scores}


def test_a_stopped_study_goes_on_and_workers_change_nothing(shards, tmp_path: Path):
    study = study_of(shards, tmp_path / "one")
    rows = study.run(("full", "no-tate"), seeds=2, workers=1)
    assert next(rows) == ([], 4)
    first, left = next(rows)
    rows.close()
    assert left == 3 and {score.run for score in first} == {Run("full", 0)}
    assert [score.task for score in first] == list(Task)
    *_, whole = done(study, "full", "no-tate", seeds=2)
    assert whole[:3] == read_results(study.output / RESULTS)[:3] and len(whole) == 12
    assert [score.giou for score in whole[:3]] == [score.giou for score in first]
    assert done(study, "full", "no-tate", seeds=2) == [whole]
    beside = study_of(shards, tmp_path / "two")
    assert reached(done(beside, "no-tate", "full", seeds=2, workers=2)[-1]) == reached(whole)
    assert not list(study.output.rglob("*.safetensors")) + list(study.output.rglob("*.pt"))


def test_seeds_and_rows_differ(shards, tmp_path: Path):
    scores = reached(done(study_of(shards, tmp_path), "full", "no-lkm", seeds=2)[-1])
    runs = [
        tuple(scores[Run(row, seed), task] for task in Task)
        for row in ("full", "no-lkm")
        for seed in range(2)
    ]
    assert len(set(runs)) == 4


def test_results_of_another_configuration_are_refused(shards, tmp_path: Path):
    done(study_of(shards, tmp_path), "full")
    with pytest.raises(DataError, match=r"written with other recipe; name a new folder"):
        done(study_of(shards, tmp_path, replace(RECIPE, steps=4)), "full")
    mixed = replace(RECIPE, batch=only(RECIPE.batch, **FAMILIES))
    with pytest.raises(DataError, match="written with other recipe"):
        done(study_of(shards, tmp_path, mixed), "full")
    others = sets.write_shards(tmp_path / "others", images=9)
    with pytest.raises(DataError, match="written with other data"):
        done(study_of(others, tmp_path), "full")
    (tmp_path / RESULTS).write_text("row,seed\nfull,none\n")
    with pytest.raises(DataError, match="is not the results of a study"):
        done(study_of(shards, tmp_path), "full")


@pytest.mark.parametrize(
    ("rows", "numbers", "said"),
    [
        (("full", "no-such"), {}, r"there is no row 'no-such'; choose of full"),
        (("full",), {"seeds": 0}, "must be >= 1, got 0 and 1"),
        (("full",), {"workers": 0}, "must be >= 1, got 1 and 0"),
    ],
)
def test_what_cannot_be_is_refused(shards, tmp_path: Path, rows, numbers, said):
    with pytest.raises(OptionError, match=said):
        done(study_of(shards, tmp_path / "new"), *rows, **numbers)
    assert not (tmp_path / "new").exists()


def test_without_validation_there_is_nothing_to_compare(shards, tmp_path: Path):
    with pytest.raises(OptionError, match="nothing would be scored"):
        done(study_of(shards, tmp_path, replace(RECIPE, validation_batches=0)), "full")


def test_what_rows_have_in_common_starts_alike(shards, tmp_path: Path):
    study = study_of(shards, tmp_path)
    full, _ = _initial_network(study, RECIPE)
    for name in ROWS:
        row, _ = _initial_network(study, ABLATIONS[name].change(RECIPE))
        common = full.state_dict()
        for part, weight in row.decoder.state_dict().items():
            assert torch.equal(common[f"decoder.{part}"], weight), (name, part)


@pytest.mark.parametrize("name", ROWS)
def test_every_row_can_start_at_the_scale_of_words(name):
    network = UniGeoSegNetwork(ABLATIONS[name].change(RECIPE).model)
    scale_reasoning(network, torch.tensor(0.25))
    norms = [part.norm for part in network.enhance.modules() if isinstance(part, ReasoningEnhance)]
    assert len(norms) == (name not in ("no-tate", "neither", "all-referring"))
    assert all((norm.weight == 0.25).all() for norm in norms)
    assert tiny_network().connector is not None


def scores_of(row: str, *by_seed: tuple[float, float, float]) -> list[Score]:
    return [
        Score(Run(row, seed), task, giou / 100, 1.0)
        for seed, values in enumerate(by_seed)
        for task, giou in zip(Task, values, strict=True)
    ]


def test_the_table_compares_seed_by_seed():
    scores = [
        *scores_of("even", (50, 40, 31), (60, 41, 30), (70, 42, 29)),
        *scores_of("full", (52, 40, 30), (62, 40, 30), (72, 40, 30)),
        *scores_of("no-maps", (42, 41, 30), (53, 41, 31)),
        *scores_of("no-lkm", (40, 40, 36)),
    ]
    rows = [row[:1] + row[2:] for row in ablation_table(scores).rows]
    assert rows == [
        ("full", "3", "62.0 ± 10.0", "-", "-", "-"),
        ("full", "3", "40.0 ± 0.0", "-", "-", "-"),
        ("full", "3", "30.0 ± 0.0", "-", "-", "-"),
        ("no-lkm", "1", "40.0", "-12.0", "-0.23", "-"),
        ("no-lkm", "1", "40.0", "+0.0", "-1.67", "-"),
        ("no-lkm", "1", "36.0", "+6.0", "-1.42", "-"),
        ("even", "3", "60.0 ± 10.0", "-2.0 ± 0.0", "-0.01", "agrees"),
        ("even", "3", "41.0 ± 1.0", "+1.0 ± 1.0", "-0.07", "within noise"),
        ("even", "3", "30.0 ± 1.0", "+0.0 ± 1.0", "-0.31", "within noise"),
        ("no-maps", "2", "47.5 ± 7.8", "-9.5 ± 0.7", "-", "lower"),
        ("no-maps", "2", "41.0 ± 0.0", "+1.0 ± 0.0", "-", "higher"),
        ("no-maps", "2", "30.5 ± 0.7", "+0.5 ± 0.7", "-", "within noise"),
    ]
    better = ablation_table([*scores, *scores_of("no-tate", (90, 90, 90), (90, 90, 90))]).rows
    assert [row[-1] for row in better if row[0] == "no-tate"] == ["opposite"] * 3


def test_the_command_shows_what_is_there(shards, tmp_path: Path, monkeypatch, capsys):
    recipe = replace(ablation_recipe(), batch=replace(ablation_recipe().batch, prompts=5))
    study = Study(recipe=recipe, data=(shards,), output=tmp_path)
    next(study.run((), seeds=1, workers=1))
    write_results(tmp_path / RESULTS, scores_of("full", (1, 2, 3)) + scores_of("even", (2, 3, 4)))
    words = ("ablations", "--data", shards, "-o", tmp_path, "--row", "even", "--seeds", 1)
    assert typed(monkeypatch, *words, "--set", "batch.prompts=5") == 0
    said = capsys.readouterr()
    assert "| even | reasoning | 1 | 4.0 | +1.0 | -0.31 | - |" in said.out
    assert said.out.strip() == (tmp_path / "table.md").read_text().strip()
    assert typed(monkeypatch, *words) == 2
    assert "written with other recipe" in capsys.readouterr().err
    assert typed(monkeypatch, *words, "--row", "no-such") == 2
    assert "there is no row 'no-such'" in capsys.readouterr().err
