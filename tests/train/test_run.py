"""What a run refuses before anything is loaded, and what it may start from."""

from dataclasses import replace
from pathlib import Path

import pytest
from networks import save_tiny, tiny_config, tiny_processor

from unigeoseg.cli import main
from unigeoseg.errors import OptionError
from unigeoseg.model.config import ModelConfig
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.store import weights_directory
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.train.recipes import RECIPES, nano_recipe, smoke_recipe
from unigeoseg.train.run import check_start, run_training, run_training_in_processes
from unigeoseg.train.study.ablations import ABLATIONS, recipe_of

NOTHING = Path("no-such-data")


def test_validation_of_what_no_process_holds_whole_is_refused(tmp_path: Path):
    config = replace(smoke_recipe(), parallel="fsdp", average=0.0)
    for way in (run_training, lambda *of: run_training_in_processes(2, run_training, *of)):
        with pytest.raises(OptionError, match=r"'fsdp' .* set validation_batches to 0"):
            way(config, [NOTHING], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["paper", "dior-excluded", "paper/no-tate"])
def test_base_needs_something_to_start_from(tmp_path: Path, name):
    with pytest.raises(OptionError, match=r"trains base, .* name a model with --start: `base`"):
        run_training(recipe_of(name), [NOTHING], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_may_start_from_another_network(tmp_path: Path, name):
    model = RECIPES[name]().model
    check_start(save_tiny(tmp_path), model, model)
    check_start(weights_directory("nano"), model, model)


def test_a_change_of_the_network_that_the_start_lacks_is_refused(tmp_path: Path):
    usual, start = nano_recipe().model, save_tiny(tmp_path / "tiny")
    with pytest.raises(OptionError, match=r"model\.enhance\.branches is to be 'none', .* 'task'"):
        check_start(start, recipe_of("nano/no-tate").model, usual)
    with pytest.raises(OptionError, match=r"model\.image_grid is to be 16, .* it is 4"):
        check_start(start, replace(usual, image_grid=16), usual)


def test_a_start_that_was_made_so_is_taken(tmp_path: Path):
    made = ABLATIONS["no-tate"].change(replace(smoke_recipe(), model=tiny_config())).model
    checkpoint.save_model(tmp_path, UniGeoSegNetwork(made), tiny_processor())
    check_start(tmp_path, recipe_of("nano/no-tate").model, ModelConfig.nano())


def typed(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run `unigeoseg train WORDS`; its exit code."""
    monkeypatch.setattr("sys.argv", ["unigeoseg", "train", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    "words", [("fine-tune/no-tate",), ("smoke", "--set", "model.image_grid=3")]
)
def test_the_command_trains_what_was_said_or_nothing(tmp_path: Path, monkeypatch, capsys, words):
    start = ("--start", "nano", "--data", NOTHING, "-o", tmp_path / "run")
    assert typed(monkeypatch, *words, *start) == 2
    assert "which would be trained as it is" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_the_command_lists_the_recipes(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    assert typed(monkeypatch, "--help") == 0
    assert ", ".join(RECIPES) in capsys.readouterr().out
