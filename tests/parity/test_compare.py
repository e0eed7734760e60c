"""Base against the golden tensors of the released code, where a folder of them is at hand."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from unigeoseg.errors import CheckpointDamagedError, CheckpointNotFoundError
from unigeoseg.parity.compare import Goldens, case_inputs, compare_with_goldens
from unigeoseg.parity.comparison import Comparison, ParityReport, compare_tensors
from unigeoseg.prompt import Prompt

pytest.importorskip("transformers", reason="Base needs the extra 'base'")
GOLDENS = os.environ.get("UNIGEOSEG_GOLDENS")
needs_goldens = pytest.mark.skipif(
    not GOLDENS, reason="UNIGEOSEG_GOLDENS is unset: it names the folder of golden tensors"
)
FOUR = ("tiny_ref", "tiny_reason", "tiny_intera_box", "tiny_intera_points")
MIXED = "tiny_mixed_ref_then_intera"


@pytest.fixture(scope="module")
def exact() -> ParityReport:
    return compare_with_goldens(Path(GOLDENS or ""))


@pytest.fixture(scope="module")
def single() -> ParityReport:
    return compare_with_goldens(Path(GOLDENS or ""), dtype=torch.float32)


def failures(rows: list[Comparison]) -> list[str]:
    return [f"{row.case} {row.name}: {row.difference:.2e}" for row in rows if not row.passed]


def recorded(case: str) -> set[str]:
    golden = load_file(Path(GOLDENS or "") / case / "outputs.safetensors")
    return {name for name in golden if not name.startswith("train.rand.")}


@needs_goldens
@pytest.mark.parametrize("case", FOUR)
def test_every_recorded_value_agrees(exact, case):
    rows = [row for row in exact.rows if row.case == case]
    assert recorded(case) <= {row.name for row in rows}
    assert not failures(rows)
    assert not any(row.intended for row in rows)


@needs_goldens
@pytest.mark.parametrize("case", FOUR)
def test_every_gradient_norm_agrees(exact, case):
    norms = json.loads((Path(GOLDENS or "") / case / "grad_norms.json").read_text())
    rows = [row for row in exact.rows if row.case == case and row.name.startswith("gradient")]
    named = {row.name.partition(": ")[2] for row in rows}
    assert {key for key, norm in norms.items() if norm is not None} <= named
    assert not failures(rows)


@needs_goldens
def test_float32_agrees_too(single):
    # norms are left out: rounding may move a value across a ReLU's corner
    rows = [row for row in single.rows if not row.name.startswith("gradient")]
    assert not failures(rows)


@needs_goldens
def test_mixed_batch_keeps_each_prompts_own_weight(exact):
    rows = [row for row in exact.rows if row.case == MIXED]
    assert recorded(MIXED) <= {row.name for row in rows}
    assert not failures(rows)
    pooled = {row.name: row for row in rows if "lkm" in row.name}
    assert not pooled["seg.pooled_after_lkm.0"].intended
    assert pooled["seg.pooled_after_lkm.1"].intended
    assert pooled["seg.pooled_after_lkm.1"].difference > 0.1
    assert pooled["seg.pooled_after_lkm at the first prompt's weight.1"].difference < 1e-6
    intended = [row.name for row in rows if row.intended and not row.name.startswith("gradient")]
    assert all(name.startswith(("seg.", "predictor.", "eval_seg.", "train.")) for name in intended)
    assert "train.loss_llm" not in intended
    assert any(MIXED in remark for remark in exact.remarks)


@needs_goldens
def test_mixed_batch_gives_what_the_prompt_gets_among_its_own_kind():
    folder = Path(GOLDENS or "")
    goldens = Goldens.open(folder)
    inputs = load_file(folder / MIXED / "inputs.safetensors")
    among = load_file(folder / "tiny_intera_box" / "inputs.safetensors")
    assert torch.equal(inputs["images"][1], among["images"][0])
    assert torch.equal(inputs["intera_coords.1"], among["intera_coords.0"])
    asked = case_inputs(goldens, inputs, ["ref", "intera"])
    with torch.no_grad():
        found = goldens.network(asked.pixel_values, asked.prompts).logits[1]
    golden = load_file(folder / "tiny_intera_box" / "outputs.safetensors")
    expected = golden["predictor.pred_masks"][0, 0].double()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.usefixtures("processor_kind")
@needs_goldens
def test_convert_brings_the_same_network(tmp_path):
    from unigeoseg.model.io import checkpoint
    from unigeoseg.model.io.convert import convert_released

    folder, source = Path(GOLDENS or ""), tmp_path / "released"
    source.mkdir()
    settings = json.loads((folder / "config.json").read_text())["phi"]
    (source / "config.json").write_text(json.dumps(settings))
    shutil.copy(folder / "tokenizer" / "tokenizer.json", source)
    shutil.copy(folder / "state_dict.safetensors", source / "model.safetensors")
    became = convert_released(source, tmp_path / "model")
    never = json.loads((folder / "unused_params_tiny.json").read_text())["no_grad_in_any_task"]
    held = {key for key in became.unused if not key.endswith("relative_position_index")}
    assert held == set(never)
    network, processor = checkpoint.load_model(tmp_path / "model")
    goldens = Goldens.open(folder, dtype=torch.float32)
    expected = goldens.network.state_dict()
    assert network.config == goldens.network.config
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())
    prompts = processor.prompts([Prompt.from_text("the lake")], [0], (128, 128))
    pixels = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        logits = network(pixels, prompts).logits
        found = goldens.network(pixels, prompts).logits
    torch.testing.assert_close(logits, found, atol=1e-5, rtol=0)


@needs_goldens
def test_a_changed_weight_fails(tmp_path):
    weights = load_file(Path(GOLDENS or "") / "state_dict.safetensors")
    weights["model.norm.unheard_of"] = torch.zeros(1)
    save_file(weights, tmp_path / "unknown.safetensors")
    with pytest.raises(CheckpointDamagedError, match="unheard_of"):
        compare_with_goldens(Path(GOLDENS or ""), tmp_path / "unknown.safetensors")
    del weights["model.norm.unheard_of"]
    weights["global_latents"] = weights["global_latents"] * 1.1
    save_file(weights, tmp_path / "changed.safetensors")
    changed = compare_with_goldens(Path(GOLDENS or ""), tmp_path / "changed.safetensors")
    assert not changed.passed
    assert "FAILED tiny_ref seg.pooled_after_lkm.0" in changed.table()


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"config\.json is missing"):
        compare_with_goldens(tmp_path)


def test_compare_is_strict():
    golden = torch.zeros(2, 1, 3)
    assert compare_tensors("case", "x", torch.zeros(2, 3), golden).passed
    assert not compare_tensors("case", "x", None, golden).passed
    assert not compare_tensors("case", "x", torch.zeros(3, 2), golden).passed
    assert not compare_tensors("case", "x", torch.full((2, 3), torch.nan), golden).passed
    assert not compare_tensors("case", "x", torch.full((2, 3), 2e-4), golden).passed
    assert not compare_tensors("case", "eval_seg.pred_masks.0", golden + 1e-6, golden).passed
    assert not compare_tensors("case", "x", None, golden, intended=True).passed
    assert compare_tensors("case", "x", golden + 1, golden, intended=True).passed
    assert not ParityReport(()).passed
