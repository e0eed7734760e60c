"""Several processes: settings of the plugins, what a machine cannot do, two processes for real."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_base
import torch
from families import FAMILIES, base_of, write_language
from networks import tiny_processor
from places import SUPPORT, TESTS
from tiny_recipe import tiny_base_recipe

from unigeoseg.errors import MissingExtraError, OptionError
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.recipes import paper_recipe
from unigeoseg.train.scale.distributed import deepspeed_plugin, fsdp_plugin
from unigeoseg.train.trainer import Trainer

pytest.importorskip("accelerate", reason="several processes need the extra 'train'")
WORKER = TESTS / "support" / "models" / "train_worker.py"
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_fsdp_spreads_every_repeated_layer(tmp_path, family):
    network, _ = base_of(write_language(tmp_path / "language", FAMILIES[family]))
    plugin = fsdp_plugin(network)
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    wrapped = set(plugin.transformer_cls_names_to_wrap)
    assert {"SwinBlock", "DeformableLayer", "MaskedAttentionLayer"} < wrapped
    layers = network.language.model.layers
    assert {type(layer).__name__ for layer in layers} < wrapped
    plugin.set_auto_wrap_policy(network)  # every name is that of a class in the network


def test_deepspeed_is_zero_2():
    config = paper_recipe()
    settings = deepspeed_plugin(config, 8).deepspeed_config
    assert settings["zero_optimization"]["stage"] == 2
    assert settings["bf16"] == {"enabled": True}
    assert settings["gradient_clipping"] == config.clip
    assert settings["train_micro_batch_size_per_gpu"] == 2
    assert deepspeed_plugin(config, 8).zero_stage == 2


@no_gpu
@pytest.mark.parametrize("parallel", ["fsdp", "deepspeed"])
def test_without_gpus_it_is_said(parallel):
    config = replace(tiny_base_recipe(tiny_base.config()), parallel=parallel)
    with pytest.raises(OptionError, match=rf"'{parallel}', which needs CUDA GPUs"):
        Trainer(UniGeoSegNetwork(config.model), tiny_processor(), config)


def test_without_deepspeed_it_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("unigeoseg.train.scale.distributed.find_spec", lambda name: None)
    config = replace(tiny_base_recipe(tiny_base.config()), parallel="deepspeed")
    with pytest.raises(MissingExtraError, match=r"unigeoseg\[deepspeed\]"):
        Trainer(UniGeoSegNetwork(config.model), tiny_processor(), config)


def test_what_is_spread_is_not_averaged():
    config = replace(tiny_base_recipe(tiny_base.config()), parallel="fsdp", average=0.9)
    with pytest.raises(OptionError, match="set average to 0"):
        Trainer(UniGeoSegNetwork(config.model), tiny_processor(), config)


def test_images_that_cannot_be_shared_are_refused():
    config = tiny_base_recipe(tiny_base.config())
    nothing = TrainingSet(patches=[], instructions={})
    with pytest.raises(OptionError, match="2 images a step cannot be shared by 3"):
        BatchMaker(nothing, tiny_processor(), config.batch, steps=1, seed=0, part=(0, 3))


def run_worker(folder: Path, processes: int, *arguments: str) -> list[dict[str, float]]:
    """Run the worker in so many processes; the losses that the main one wrote."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    common = os.environ | place | {"PYTHONPATH": os.pathsep.join(SUPPORT), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(folder), *arguments],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    said = [process.communicate(timeout=600)[1] for process in started]
    assert [process.returncode for process in started] == [0] * processes, "\n".join(said)
    losses: list[dict[str, float]] = json.loads((folder / "losses.json").read_text())
    return losses


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path):
    one = run_worker(tmp_path / "one", 1, "none", "6")
    two = run_worker(tmp_path / "two", 2, "data", "6")
    assert len(one) == len(two) == 6
    assert any(step["answer"] for step in one)
    for step, (alone, shared) in enumerate(zip(one, two, strict=True)):
        assert shared == pytest.approx(alone, rel=1e-4, abs=1e-4), step
    # stopped in the middle and taken up again, two processes go on exactly
    run_worker(tmp_path / "cut", 2, "data", "3")
    rest = run_worker(tmp_path / "cut", 2, "data", "6")
    assert rest == two[3:]
    assert [path.name for path in (tmp_path / "cut" / "run").glob("parts-*")] == ["parts-6"]
