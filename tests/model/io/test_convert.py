"""Released names and directories."""

import json
import pickle
import subprocess
import sys

import pytest
import tiny_base
import torch
from places import GOLDENS
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from unigeoseg.errors import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    OutputExistsError,
)
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.convert import convert_released
from unigeoseg.model.io.key_map import loading_report, our_names
from unigeoseg.model.network import UniGeoSegNetwork

pytest.importorskip("transformers", reason="Base needs the extra 'base'")


@pytest.fixture(scope="module")
def network() -> UniGeoSegNetwork:
    torch.manual_seed(0)
    return UniGeoSegNetwork(tiny_base.config()).eval()


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "released"
    directory.mkdir()
    settings = tiny_base.SETTINGS | {"mm_projector_type": "SparseConv_1"}
    (directory / "config.json").write_text(json.dumps(settings))
    tiny_base.tokenizer().save(str(directory / "tokenizer.json"))
    return directory


def write_parts(directory, state, *, suffix):
    """Two parts and their index."""
    stem = "pytorch_model" if suffix == "bin" else "model"
    keys, index = sorted(state), {}
    for part, chosen in enumerate((keys[::2], keys[1::2])):
        name = f"{stem}-{part}.{suffix}"
        index |= dict.fromkeys(chosen, name)
        values = {key: state[key].contiguous().clone() for key in chosen}
        if suffix == "bin":
            torch.save(values, directory / name)
        else:
            save_file(values, directory / name)
    path = directory / f"{stem}.{suffix}.index.json"
    path.write_text(json.dumps({"weight_map": index}))


@pytest.mark.parametrize("fused", [True, False])
def test_the_table_covers_every_key(network, fused):
    released = tiny_base.released_names(fused=fused)
    assert len(set(released)) == len(released)
    became = loading_report(released, network.state_dict())
    assert not became.unknown
    assert not became.missing
    assert sorted((*became.loaded, *became.unused)) == sorted(released)
    brought = [name for key in became.loaded for name in our_names(key)]
    assert sorted(brought) == sorted(network.state_dict())


def test_unknown_and_missing_keys_are_told(network):
    released = set(tiny_base.released_names(fused=True))
    became = loading_report(
        released - {"global_latents"} | {"model.new.weight"}, network.state_dict()
    )
    assert became.unknown == ("model.new.weight",)
    assert became.missing == ("memory.slots_MD",)
    with pytest.raises(CheckpointDamagedError, match=r"memory\.slots_MD.*model\.new\.weight"):
        became.check("here")


@pytest.mark.usefixtures("processor_kind")
@pytest.mark.parametrize(("suffix", "fused"), [("safetensors", True), ("bin", False)])
def test_convert_parts(network, source, tmp_path, suffix, fused):
    ours = network.state_dict()
    write_parts(source, tiny_base.released_state(ours, fused=fused), suffix=suffix)
    became = convert_released(source, tmp_path / "model")
    assert "seg_query" in became.unused
    assert not became.unknown
    again, _ = checkpoint.load_model(tmp_path / "model")
    assert again.config == network.config
    found = again.state_dict()
    assert found.keys() == ours.keys()
    assert all(torch.equal(found[key], ours[key]) for key in ours)


def test_convert_replaces_nothing(network, source, tmp_path):
    state = tiny_base.released_state(network.state_dict(), fused=True)
    save_file(state, source / "model.safetensors")
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    with pytest.raises(OutputExistsError, match="is there and is not empty"):
        convert_released(source, source)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    (tmp_path / "empty").mkdir()
    convert_released(source, tmp_path / "empty")
    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == sorted(checkpoint.FILES)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_convert_keeps_the_precision(network, source, tmp_path, dtype, processor_kind):
    state = tiny_base.released_state(network.state_dict(), fused=True)
    save_file({key: value.to(dtype) for key, value in state.items()}, source / "model.safetensors")
    convert_released(source, tmp_path / "model")
    converted = load_file(tmp_path / "model" / "model.safetensors")
    assert {value.dtype for value in converted.values()} == {dtype}
    again, _ = checkpoint.load_model(tmp_path / "model", dtype=None)
    key = "memory.slots_MD"
    assert torch.equal(again.state_dict()[key], network.state_dict()[key].to(dtype))


def test_a_missing_weight_is_refused(network, source, tmp_path):
    state = tiny_base.released_state(network.state_dict(), fused=True)
    del state["intera_fuse.bias"]
    save_file(state, source / "model.safetensors")
    with pytest.raises(CheckpointDamagedError, match=r"1 weights are missing.*join\.bias"):
        convert_released(source, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_weight_of_another_shape_is_refused(network, source, tmp_path):
    state = tiny_base.released_state(network.state_dict(), fused=True)
    state["intera_fuse.bias"] = torch.zeros(3)
    save_file(state, source / "model.safetensors")
    with pytest.raises(CheckpointDamagedError, match="another shape"):
        convert_released(source, tmp_path / "model")


def test_heads_that_do_not_fit_are_refused(network, source, tmp_path):
    state = tiny_base.released_state(network.state_dict(), fused=True)
    save_file(state, source / "model.safetensors")
    settings = tiny_base.SETTINGS | {"hidden_size": 35, "num_attention_heads": 5}
    (source / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointDamagedError):
        convert_released(source, tmp_path / "model")


def test_a_weight_that_comes_twice_is_refused(network, source, tmp_path):
    state = tiny_base.released_state(network.state_dict(), fused=True)
    key = "model.layers.0.self_attn.q_proj.weight"
    state[key] = network.state_dict()[f"language.{key}"].clone()
    save_file(state, source / "model.safetensors")
    with pytest.raises(CheckpointDamagedError, match="again"):
        convert_released(source, tmp_path / "model")


def test_an_incomplete_directory_is_refused(network, source, tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="neither"):
        convert_released(source, tmp_path / "model")
    write_parts(source, tiny_base.released_state(network.state_dict(), fused=True), suffix="bin")
    (source / "pytorch_model-1.bin").unlink()
    with pytest.raises(CheckpointNotFoundError, match="pytorch_model-1"):
        convert_released(source, tmp_path / "model")
    (source / "tokenizer.json").unlink()
    with pytest.raises(CheckpointNotFoundError, match=r"tokenizer\.json"):
        convert_released(source, tmp_path / "model")


def test_a_file_without_weights_is_refused(source, tmp_path):
    torch.save({"epoch": 3}, source / "pytorch_model.bin")
    with pytest.raises(CheckpointDamagedError, match="named weights"):
        convert_released(source, tmp_path / "model")
    (source / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointDamagedError, match="cannot be read"):
        convert_released(source, tmp_path / "model")
    (source / "pytorch_model.bin").unlink()
    (source / "model.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointDamagedError, match="cannot be read"):
        convert_released(source, tmp_path / "model")
    (source / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(CheckpointDamagedError, match="named values"):
        convert_released(source, tmp_path / "model")
    (source / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(CheckpointNotFoundError, match="no file"):
        convert_released(source, tmp_path / "model")


def write_slow(directory, **settings):
    """A tokenizer as it was before tokenizer.json."""
    (directory / "tokenizer.json").unlink()
    vocabulary = tiny_base.tokenizer().get_vocab(with_added_tokens=False)
    values = {
        "vocab.json": vocabulary,
        "tokenizer_config.json": {"tokenizer_class": "CodeGenTokenizer"} | settings,
        "added_tokens.json": {"<|endoftext|>": 257, "[SEG]": 256},
    }
    for name, value in values.items():
        (directory / name).write_text(json.dumps(value))
    (directory / "merges.txt").write_text("#version: 0.2\n")


def test_a_slow_tokenizer_reads_the_same(network, source, tmp_path):
    write_slow(source)
    state = tiny_base.released_state(network.state_dict(), fused=True)
    save_file(state, source / "model.safetensors")
    convert_released(source, tmp_path / "model")
    tokenizer = checkpoint.load_model(tmp_path / "model")[1].tokenizer
    for text in (" the roof[SEG]", "[INST] \n\n It is [SEG] . <|endoftext|>", "h\u00f4tel"):
        expected = tiny_base.tokenizer().encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text, add_special_tokens=False).ids == expected


def test_code_of_a_tokenizer_is_not_run(network, source, tmp_path):
    write_slow(source, tokenizer_class="Other", auto_map={"AutoTokenizer": ["harm.Harm", None]})
    (source / "harm.py").write_text("raise SystemExit('code of a tokenizer ran')")
    state = tiny_base.released_state(network.state_dict(), fused=True)
    save_file(state, source / "model.safetensors")
    with pytest.raises(CheckpointDamagedError, match=r"tokenizer of .* cannot be read"):
        convert_released(source, tmp_path / "model")


def test_added_tokens_get_their_ids(network, source, tmp_path):
    state = tiny_base.released_state(network.state_dict(), fused=True)
    save_file(state, source / "model.safetensors")
    (source / "added_tokens.json").write_text(json.dumps({"[MORE]": 258, "[SEG]": 256}))
    convert_released(source, tmp_path / "model")
    tokenizer = checkpoint.load_model(tmp_path / "model")[1].tokenizer
    assert tokenizer.encode("a[MORE]", add_special_tokens=False).ids[-1] == 258


@pytest.mark.parametrize("added", [{"[SEG]": 7}, {"[MORE]": 299}, {"[MORE]": "x", "[SEG]": 256}])
def test_added_tokens_that_do_not_fit_are_refused(source, tmp_path, added):
    (source / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(CheckpointDamagedError, match=r"added_tokens\.json"):
        convert_released(source, tmp_path / "model")


class Harm:
    """Runs code when it is unpickled without care."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of a pickle ran')",)


def test_a_pickle_that_would_run_code_is_refused(source, tmp_path):
    torch.save({"global_latents": Harm()}, source / "pytorch_model.bin")
    with pytest.raises(CheckpointDamagedError, match="cannot be read"):
        convert_released(source, tmp_path / "model")
    (source / "pytorch_model.bin").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(CheckpointDamagedError, match="cannot be read"):
        convert_released(source, tmp_path / "model")


_FULL_SIZE = """
import resource, sys
from pathlib import Path
from unigeoseg.model.io.convert import convert_released
became = convert_released(Path(sys.argv[1]), Path(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(became.loaded), len(became.unused), len(became.unknown), peak // 1024)
"""


@pytest.mark.slow
def test_the_full_size_is_converted_in_little_memory(tmp_path):
    """A synthetic checkpoint with the 958 published names and shapes, in two bfloat16 shards."""
    described = json.loads((GOLDENS / "full_state_dict_keys.json").read_text())["keys"]
    source = tmp_path / "released"
    source.mkdir()
    (source / "config.json").write_text("{}")
    tiny_base.tokenizer().save(str(source / "tokenizer.json"))
    index, keys = {}, sorted(described)
    for part, chosen in enumerate((keys[::2], keys[1::2])):
        name = f"model-{part}.safetensors"
        index |= dict.fromkeys(chosen, name)
        values = {
            key: torch.full(described[key]["shape"], at / 1000, dtype=torch.bfloat16)
            for at, key in enumerate(chosen)
        }
        save_file(values, source / name)
        del values
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    ran = subprocess.run(
        [sys.executable, "-c", _FULL_SIZE, source, tmp_path / "model"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, unused, unknown, peak_mb = map(int, ran.stdout.split())
    assert (loaded, unused, unknown) == (911, 47, 0)
    assert peak_mb < 12_000
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as file:
        found = file.get_tensor("memory.slots_MD")
    half = keys[::2] if "global_latents" in keys[::2] else keys[1::2]
    assert found.dtype == torch.bfloat16
    assert (found == torch.tensor(half.index("global_latents") / 1000, dtype=found.dtype)).all()
