"""Base against the golden tensors that are kept here; see tests/goldens/README.md."""

import json
import math

import pytest
import torch
from places import GOLDENS
from safetensors.torch import load_file
from tokenizers import Tokenizer

from unigeoseg.model.base.chat import ChatProcessor, for_tokenizer
from unigeoseg.model.io import convert
from unigeoseg.model.io.checkpoint import empty_network
from unigeoseg.model.io.key_map import loading_report
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.parity.fragments import connector_rows, metric_rows, wording_rows
from unigeoseg.prompt import Task

pytest.importorskip("transformers", reason="Base needs the extra 'base'")

FOLDER = GOLDENS
CASES = {
    "tiny_ref": Task.REFERRING,
    "tiny_reason": Task.REASONING,
    "tiny_intera_box": Task.INTERACTIVE,
    "tiny_intera_points": Task.INTERACTIVE,
}


@pytest.fixture(scope="module")
def network_and_processor() -> tuple[UniGeoSegNetwork, ChatProcessor]:
    """The network of the goldens, with their weights where they are kept."""
    described = json.loads((FOLDER / "config.json").read_text())
    shapes = {key: tuple(shape) for key, shape in described["shapes"].items()}
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer" / "tokenizer.json"))
    config = for_tokenizer(convert.config_of(shapes, described["phi"]), tokenizer)
    network = UniGeoSegNetwork(config).eval()
    state = network.state_dict()
    kept = load_file(FOLDER / "weights.safetensors")
    zeros = {key: torch.zeros(shape) for key, shape in shapes.items()}
    ours, became = convert.rename_all((zeros | kept).items(), config, "goldens")
    assert not became.missing
    assert ours.keys() == state.keys()
    network.load_state_dict(ours)
    return network, ChatProcessor(tokenizer, config)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("remembered", [False, True])
def test_language_half(network_and_processor, case, remembered):
    """Tokens and coordinates through TATE, the language model, the pooling and LKM."""
    network, processor = network_and_processor
    golden = load_file(FOLDER / f"{case}.safetensors")
    texts = [
        processor.tokenizer.decode(golden[f"input.token_refer_id.{index}"].tolist()[:-1])
        for index in range(2)
    ]
    rows = [golden.get(f"input.intera_coords.{index}", torch.zeros(1, 4)) for index in range(2)]
    drawn = torch.zeros(2, max(map(len, rows)), 5)
    present = torch.zeros(drawn.shape[:2], dtype=torch.bool)
    for index, row in enumerate(rows):
        corners = row if row.shape[1] == 4 else torch.cat([row, row], dim=1)
        drawn[index, : len(row), :4], present[index, : len(row)] = corners, True
    tasks = [CASES[case]] * 2
    texts = [text.removeprefix(" ") for text in texts]
    inputs, _ = processor.pack(texts, tasks, (drawn, present), [0, 1])
    image = golden["mm_projector.out"]
    with torch.no_grad():
        text = network._enhanced(inputs)
        context = None
        if remembered:
            _, _, context = network.language(text, inputs.attention_mask, image)
        hidden, _, _ = network.language(text, inputs.attention_mask, image, context)
        pool = network.target.pool
        before = pool(hidden, inputs.instruction)[:, 0]
        after, _ = network.memory.gather(hidden, inputs.instruction, inputs.task, pool)
    first = len(processor.config.language.prefix) + image.shape[1]
    for index in range(2):
        length = int(inputs.attention_mask[index].sum())
        states = golden["phi.last_hidden_state"][index, first : first + length]
        near(hidden[index, :length], states)
        near(before[index], golden[f"seg.pooled_before_lkm.{index}"])
        near(after[index, 0], golden[f"seg.pooled_after_lkm.{index}"])
        interactive = CASES[case] is Task.INTERACTIVE
        assert torch.equal(before[index], after[index, 0]) == interactive


def test_mask_decoder(network_and_processor):
    network, _ = network_and_processor
    golden = load_file(FOLDER / "tiny_ref.safetensors")
    maps = tuple(golden[f"pixel_decoder.multi_scale.{level}"] for level in range(3))
    real = torch.ones(1, 1, dtype=torch.bool)
    with torch.no_grad():
        logits, _ = network.decoder(
            golden["predictor.in.SEG_embedding"],
            real,
            (golden["pixel_decoder.mask_features"], *maps),
        )
    near(logits[-1], golden["predictor.pred_masks"][:, 0])


def test_scores_connector_and_wording(network_and_processor):
    rows = [
        *metric_rows(FOLDER / "metrics"),
        *connector_rows(FOLDER / "connectors"),
        *wording_rows(FOLDER / "preprocess.json", network_and_processor[1]),
    ]
    assert len(rows) > 20
    assert all(row.passed for row in rows), [row for row in rows if not row.passed]


def test_full_size_names_are_all_known():
    described = json.loads((FOLDER / "full_state_dict_keys.json").read_text())
    shapes = {key: tuple(value["shape"]) for key, value in described["keys"].items()}
    assert len(shapes) == 958
    ours = empty_network(convert.config_of(shapes, {})).state_dict()
    became = loading_report(shapes, ours)
    assert not became.missing
    assert not became.unknown
    weights = (key for key in became.unused if not key.endswith("relative_position_index"))
    unused = sum(math.prod(shapes[key]) for key in weights)
    assert sum(value.numel() for value in ours.values()) == described["param_count_total"] - unused


def near(found: torch.Tensor, golden: torch.Tensor) -> None:
    torch.testing.assert_close(found, golden, atol=1e-4, rtol=0)
