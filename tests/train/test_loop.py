"""Batches, the schedule of the rate, and a loop that resumes exactly."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from disk import space
from mixes import only
from networks import tiny_network, tiny_processor
from tiny_training import BATCH, CONFIG, make

from unigeoseg.errors import CheckpointError, DataError, OptionError, OutputUnwritableError
from unigeoseg.model.io import checkpoint
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.prompt import Task
from unigeoseg.train import run
from unigeoseg.train.input import batch_maker
from unigeoseg.train.input.batch_maker import BatchMaker, families_by_task
from unigeoseg.train.loop import run_training_loop
from unigeoseg.train.metrics_log import read_metrics_log
from unigeoseg.train.objective.validation import Validation
from unigeoseg.train.recipes import nano_recipe, paper_recipe
from unigeoseg.train.study.ablations import ABLATIONS, recipe_of
from unigeoseg.train.trainer import Trainer, learning_rate_factor


def test_a_batch_is_a_function_of_its_step(training_set):
    _, maker = make(training_set)
    first, again, other = maker.batch(3), maker.batch(3), maker.batch(4)
    assert torch.equal(first.pixel_values, again.pixel_values)
    assert torch.equal(first.truth, again.truth)
    assert not torch.equal(first.pixel_values, other.pixel_values)
    assert first.pixel_values.shape == (2, 3, 64, 64)
    assert first.truth.shape == first.valid.shape == (6, 64, 64)
    assert first.truth.dtype == first.valid.dtype == torch.bool


def test_objects_are_pasted_into_their_share_of_views_and_into_none_of_validation(
    training_set, monkeypatch
):
    config = replace(CONFIG, batch=replace(BATCH, pasted=0.5), validation_batches=2)
    scales = []

    class Rare:
        @classmethod
        def of(cls, patches):
            return cls()

        def paste(self, view, scale, rng):
            scales.append(scale)
            return view

    monkeypatch.setattr(batch_maker, "RareObjects", Rare)
    make(training_set)[1].batch(0)
    run.make_validation(config, training_set, tiny_processor())(tiny_network())
    assert not scales
    _, maker = make(training_set, config)
    for step in range(20):
        maker.batch(step)
    assert 10 < len(scales) < 40 and min(scales) > 0


def test_the_loss_falls(training_set):
    trainer, maker = make(training_set)
    batch = maker.batch(0)
    losses = [trainer.train_step(batch).total.item() for _ in range(25)]
    assert losses[-1] < 0.75 * losses[0]


def test_a_resumed_run_is_the_same_run(training_set, tmp_path: Path):
    whole, maker = make(training_set)
    run_training_loop(whole, maker, tmp_path / "whole")
    first, maker = make(training_set)
    for step in range(20):
        first.train_step(maker.batch(step))
    first.save(tmp_path / "cut")
    second, maker = make(training_set)
    second.resume(tmp_path / "cut")
    assert second.step == 20
    run_training_loop(second, maker, tmp_path / "cut")
    for key, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[key]), key
    for key, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[key]), key


def test_a_loss_that_is_not_finite_stops_the_run(training_set):
    trainer, maker = make(training_set)
    with torch.no_grad():
        next(iter(trainer.network.fusion.parameters())).fill_(float("nan"))
    with pytest.raises(CheckpointError, match="loss is nan at step 0"):
        trainer.train_step(maker.batch(0))


def test_what_is_frozen_stays(training_set):
    trainer, maker = make(training_set)
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    trainer.train_step(maker.batch(0))
    after = trainer.network.state_dict()
    same = {key for key in before if torch.equal(before[key], after[key])}
    names = ("encoder", "language.tokens", "language.text_layers")
    assert {key for key in before if key.startswith(names)} <= same
    for part in ("language.joint_layers", "pixels", "fusion", "choice"):
        assert any(key.startswith(part) for key in before.keys() - same)


def test_the_rate_rises_stays_and_falls():
    config = replace(CONFIG, steps=100, warmup=0.1, decay=0.3)
    rates = [learning_rate_factor(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[69] == 1.0
    assert rates[85] == pytest.approx(0.5) and rates[100] == 0.0


def test_the_recipes_are_whole():
    for config in (nano_recipe(), paper_recipe()):
        assert all(chances.size for _, chances in families_by_task(config.batch.families).values())


def test_a_run_that_is_asked_to_stop_keeps_its_state(training_set, tmp_path: Path):
    whole, maker = make(training_set)
    run_training_loop(whole, maker, tmp_path / "whole")
    first, maker = make(training_set)
    asked = first.train_step

    def step_and_ask(batch):
        if first.step == 6:
            signal.raise_signal(signal.SIGTERM)
        return asked(batch)

    first.train_step = step_and_ask
    run_training_loop(first, maker, tmp_path / "cut")
    assert first.step == 7
    second, maker = make(training_set)
    second.resume(tmp_path / "cut")
    run_training_loop(second, maker, tmp_path / "cut")
    for key, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[key]), key
    rows = [(tmp_path / run / "metrics.csv").read_text().split() for run in ("whole", "cut")]
    names = [[row.rsplit(",", 1)[0] for row in each if "per_s" not in row] for each in rows]
    assert names[0] == names[1]
    assert list((tmp_path / "cut" / "events").glob("events.out.tfevents.*"))


def test_the_best_weights_are_kept(training_set, tmp_path: Path):
    trainer, maker = make(training_set, replace(CONFIG, steps=8, validate_every=2))
    validation = Validation(maker, 2)
    run_training_loop(trainer, maker, tmp_path, validation)
    said = read_metrics_log(tmp_path)
    means = [value for _, name, value in said if name == "val/mean"]
    assert len(means) == 4 and max(means) == trainer.best_score
    best, _ = checkpoint.load_model(tmp_path / "best")
    # weights are kept in half precision
    assert validation(best)["mean"] == pytest.approx(trainer.best_score, abs=0.01)


def test_validation_tells_tasks_and_families_apart(training_set):
    batch = only(BATCH, box=0.3, point=0.3, category=0.2, question=0.2)
    _, maker = make(training_set, replace(CONFIG, batch=replace(batch, prompts=8)))
    scores = Validation(maker, 4)(tiny_network())
    assert set(scores) == {
        *("interactive", "referring", "reasoning", "mean"),
        *("family/box", "family/point", "family/category", "family/question"),
    }
    assert scores["referring"] == scores["family/category"]
    assert scores["reasoning"] == scores["family/question"]
    low, high = sorted((scores["family/box"], scores["family/point"]))
    assert low < scores["interactive"] < high
    assert scores["mean"] == pytest.approx(sum(scores[task] for task in Task) / 3)


def test_validation_wakes_nothing_that_is_frozen(training_set):
    trainer, maker = make(training_set, replace(CONFIG, average=0.0))
    assert trainer.average is trainer.network
    before = [part.training for part in trainer.network.modules()]
    assert {trainer.network.encoder.training, trainer.network.training} == {False, True}
    Validation(maker, 1)(trainer.average)
    assert [part.training for part in trainer.network.modules()] == before


def test_a_record_says_how_many_prompts_were_seen(training_set, tmp_path: Path):
    trainer, maker = make(training_set, replace(CONFIG, steps=20))
    run_training_loop(trainer, maker, tmp_path)
    seen = [(step, value) for step, name, value in read_metrics_log(tmp_path) if name == "prompts"]
    assert seen == [(10, 60), (20, 120)]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_full_disk_leaves_the_state_before(training_set, tmp_path: Path):
    trainer, maker = make(training_set)
    trainer.train_step(maker.batch(0))
    trainer.save(tmp_path / "run")
    before = contents(tmp_path / "run")
    trainer.train_step(maker.batch(1))
    # the state is many times as large as the weights
    size = len(before["state.pt"]) // 2
    assert len(before["model/model.safetensors"]) < size
    with (
        space(size),
        pytest.raises(
            OutputUnwritableError,
            match="the state before is still there",
        ),
    ):
        trainer.save(tmp_path / "run")
    after = contents(tmp_path / "run")
    assert after.keys() == before.keys() and after["state.pt"] == before["state.pt"]


def test_a_full_disk_leaves_the_weights_before(training_set, tmp_path: Path):
    trainer, maker = make(training_set)
    trainer.save(tmp_path / "run")
    before = contents(tmp_path / "run")
    trainer.train_step(maker.batch(0))
    size = len(before["model/model.safetensors"]) // 2
    with space(size), pytest.raises(OutputUnwritableError, match=r"safetensors was not writt"):
        trainer.save(tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_a_signal_amid_a_checkpoint_ends_the_run_after_it(
    training_set, tmp_path: Path, monkeypatch
):
    trainer, maker = make(training_set)
    save = torch.save

    def asked_amid(state, path):
        path.write_bytes(b"half")
        signal.raise_signal(signal.SIGTERM)
        save(state, path)

    monkeypatch.setattr(torch, "save", asked_amid)
    run_training_loop(trainer, maker, tmp_path)
    assert trainer.step == 20 < CONFIG.steps
    second, _ = make(training_set)
    second.resume(tmp_path)
    assert second.step == 20


def test_a_run_that_is_killed_amid_a_checkpoint_goes_on_from_the_one_before(
    training_set, tmp_path: Path, monkeypatch
):
    trainer, maker = make(training_set)
    trainer.train_step(maker.batch(0))
    trainer.save(tmp_path)
    before = (tmp_path / "state.pt").read_bytes()
    trainer.train_step(maker.batch(1))

    class Killed(BaseException):
        """Nothing that comes after it is done."""

    def killed_amid(_, path):
        path.write_bytes(b"half")
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(torch, "save", killed_amid)
        trainer.save(tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before
    second, _ = make(training_set)
    second.resume(tmp_path)
    assert second.step == 1
    second.train_step(maker.batch(1))
    second.save(tmp_path)  # over what the other left
    third, _ = make(training_set)
    third.resume(tmp_path)
    assert third.step == 2 and not list(tmp_path.glob(".*"))
    for key, value in trainer.network.state_dict().items():
        assert torch.equal(value, third.network.state_dict()[key]), key


def test_a_task_that_the_data_never_shows_is_named(training_set):
    bare = [replace(patch, categories={}) for patch in training_set.patches.patches]
    nothing = replace(training_set, patches=replace(training_set.patches, patches=bare))
    with pytest.raises(DataError, match="views allowed prompts of reasoning"):
        make(nothing, replace(CONFIG, batch=only(BATCH, context=1.0)))[1].batch(0)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_changes_the_recipe_and_trains(training_set, name):
    config = ABLATIONS[name].change(CONFIG)
    assert (config == CONFIG) == (name == "full")
    torch.manual_seed(0)
    trainer = Trainer(UniGeoSegNetwork(config.model), tiny_processor(), config)
    maker = BatchMaker(training_set, tiny_processor(), BATCH, steps=2, seed=0)
    assert trainer.train_step(maker.batch(0)).total.isfinite()


def test_recipes_have_names():
    assert recipe_of("nano/no-lkm").model.memory.weight == 0
    assert recipe_of("smoke").steps == 2
    with pytest.raises(OptionError, match=r"no recipe 'nano/no-such'; choose one of nano"):
        recipe_of("nano/no-such")
