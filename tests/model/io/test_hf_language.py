"""Language models of three families in the place of Base's: built, loaded, saved."""

import json
from dataclasses import replace

import pytest
import tiny_base
import torch
from tokenizers import processors
from torch import nn

pytest.importorskip("transformers", reason="Base needs the extra 'base'")

from families import FAMILIES, base_of, write_language
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from unigeoseg.errors import CheckpointDamagedError, CheckpointNotFoundError, OptionError
from unigeoseg.model.base.causal_lm import CausalLanguage
from unigeoseg.model.base.chat import PREFIX
from unigeoseg.model.config import CausalLanguageConfig, ModelConfig
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.hf_language import causal_config, load_language, read_language
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.prompt import Box, Prompt, Task

PROMPTS = [
    Prompt.from_text("the lake"),
    Prompt.from_text("where could a boat land?", Task.REASONING),
    Prompt.from_box(Box(4, 8, 40, 60)),
]
ANSWERS = ["", "The target region belongs to water", ""]


@pytest.fixture(params=sorted(FAMILIES))
def folder(request, tmp_path):
    return write_language(tmp_path / "language", FAMILIES[request.param])


@pytest.fixture
def phi(tmp_path):
    return write_language(tmp_path / "language", FAMILIES["phi"])


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_every_family_goes_forward_and_backward(folder, variant):
    network, processor = base_of(folder, variant)
    inputs, labels = processor.training_inputs(PROMPTS, ANSWERS, [0, 1, 1], (64, 64))
    output = network(torch.randn(2, 3, 64, 64), inputs)
    words = network.language.head(output.hidden)
    loss = output.logits.square().mean() + words[labels >= 0].square().mean()
    loss.backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert not without
    norms = [
        weight.grad.norm()
        for name, weight in network.language.named_parameters()
        # softmax does not see what is added to every key
        if "k_proj.bias" not in name
    ]
    assert min(norms) > 0


@pytest.mark.usefixtures("processor_kind")
def test_every_family_comes_back_from_our_format(folder, tmp_path):
    network, processor = base_of(folder)
    load_language(network, folder)
    checkpoint.save_model(tmp_path / "model", network, processor)
    again, reader = checkpoint.load_model(tmp_path / "model")
    assert again.config == network.config
    pixels, inputs = torch.randn(1, 3, 64, 64), reader.prompts(PROMPTS, [0] * 3, (64, 64))
    with torch.no_grad():
        expected = network.eval()(pixels, inputs)
        found = again(pixels, inputs)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.hidden, expected.hidden, atol=1e-5, rtol=0)


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
def test_pretrained_weights_say_what_they_said(folder, safe):
    source = AutoModelForCausalLM.from_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").unlink()
        torch.save(source.state_dict(), folder / "pytorch_model.bin")
    network, _ = base_of(folder)
    report = load_language(network, folder)
    assert not report.missing and not report.unknown
    assert set(report.loaded) | set(report.unused) == set(source.state_dict())
    assert report.unused == (("lm_head.bias",) if source.config.model_type == "phi" else ())
    ids = torch.randint(0, 250, (1, 9))
    language = network.language.eval()
    with torch.no_grad():
        hidden = language.model(inputs_embeds=language.embed(ids)).last_hidden_state
        expected = source(ids).logits - (source.state_dict().get("lm_head.bias", 0))
        torch.testing.assert_close(language.head(hidden), expected, atol=1e-5, rtol=0)


def test_head_and_words_are_two_weights():
    network = UniGeoSegNetwork(tiny_base.config())
    assert isinstance(network.language, CausalLanguage)
    words = network.language.model.get_input_embeddings().weight
    assert words.data_ptr() != network.language.head.weight.data_ptr()


def test_a_tied_head_is_untied(tmp_path):
    folder = write_language(tmp_path / "language", FAMILIES["qwen2"])
    network, _ = base_of(folder)
    load_language(network, folder)
    words, head = network.language.embed.__self__.model.embed_tokens, network.language.head
    assert torch.equal(words.weight, head.weight)
    assert words.weight.data_ptr() != head.weight.data_ptr()


def test_end_and_start_come_from_the_tokenizer(phi):
    tokenizer = tiny_base.tokenizer()
    tokenizer.add_special_tokens(["<start>", "<stop>"])
    start = tokenizer.token_to_id("<start>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <stop>",
        special_tokens=[("<start>", start), ("<stop>", tokenizer.token_to_id("<stop>"))],
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<stop>").save_pretrained(phi)
    language, read = read_language(phi)
    assert language.end == "<stop>"
    plain = read.encode(PREFIX, add_special_tokens=False).ids
    assert language.prefix == (start, *plain)
    _, processor = base_of(phi)
    _, labels = processor.training_inputs(PROMPTS, ANSWERS, [0] * 3, (64, 64))
    assert read.token_to_id("<stop>") in labels[1]
    assert start not in labels


def test_a_full_vocabulary_grows(tmp_path):
    settings = FAMILIES["llama"].__class__(**FAMILIES["llama"].to_dict() | {"vocab_size": 257})
    folder = write_language(tmp_path / "language", settings)
    network, _ = base_of(folder)
    assert network.language.config.vocabulary == 258
    load_language(network, folder)
    source = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(network.language.head.weight[:257], source.lm_head.weight)
    assert network.language.head.weight[257].norm() > 0


def test_seg_is_added_where_it_is_missing():
    tokenizer = tiny_base.tokenizer()
    bare = type(tokenizer)(tokenizer.model)
    bare.pre_tokenizer = tokenizer.pre_tokenizer
    config = causal_config(FAMILIES["phi"], bare, "<|endoftext|>")
    assert len(bare.encode("[SEG]").ids) == 1
    assert config.width == 32 and config.vocabulary == 300


def test_a_directory_that_is_not_there_is_said(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"config\.json"):
        read_language(tmp_path / "nothing")
    with pytest.raises(CheckpointNotFoundError, match=r"config\.json"):
        load_language(UniGeoSegNetwork(tiny_base.config()), tmp_path)


def test_a_missing_weight_is_refused(phi):
    network, _ = base_of(phi)
    state = AutoModelForCausalLM.from_pretrained(phi).state_dict()
    del state["model.layers.1.mlp.fc1.weight"]
    (phi / "model.safetensors").unlink()
    torch.save(state, phi / "pytorch_model.bin")
    with pytest.raises(CheckpointDamagedError, match=r"1 weights are missing.*mlp\.fc1"):
        load_language(network, phi)


def test_damaged_files_are_refused(phi):
    network, _ = base_of(phi)
    (phi / "model.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointDamagedError, match="cannot be read"):
        load_language(network, phi)
    (phi / "config.json").write_text("{}")
    with pytest.raises(CheckpointDamagedError, match="cannot be read"):
        read_language(phi)


class Harm:
    """Runs code when it is unpickled without care."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of a pickle ran')",)


def test_a_pickle_that_would_run_code_is_refused(phi):
    network, _ = base_of(phi)
    (phi / "model.safetensors").unlink()
    torch.save({"model.embed_tokens.weight": Harm()}, phi / "pytorch_model.bin")
    with pytest.raises(CheckpointDamagedError, match="cannot be read"):
        load_language(network, phi)


@pytest.mark.parametrize(
    ("name", "value"), [("num_attention_heads", 2), ("rope_parameters", {"rope_theta": 3.0})]
)
def test_settings_that_no_shape_shows_are_compared(phi, name, value):
    network, _ = base_of(phi)
    settings = json.loads((phi / "config.json").read_text())
    settings[name] = {**settings[name], **value} if isinstance(value, dict) else value
    if name == "num_attention_heads":
        settings["num_key_value_heads"] = value
    (phi / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointDamagedError, match=rf"another language model.*{name}"):
        load_language(network, phi)


def test_a_tokenizer_without_an_end_is_refused(phi):
    PreTrainedTokenizerFast(tokenizer_object=tiny_base.tokenizer()).save_pretrained(phi)
    with pytest.raises(OptionError, match="ends a text"):
        read_language(phi)


def test_what_is_not_stored_is_not_taken():
    language = tiny_base.config().language
    assert isinstance(language, CausalLanguageConfig)
    with torch.device("meta"):
        part = CausalLanguage(language)
    part.settle()
    assert not any(value.is_meta for value in part.model.buffers())
    part.model.register_buffer("kept", torch.zeros(2, device="meta"), persistent=False)
    with pytest.raises(OptionError, match=r"phi.*kept"):
        part.settle()


def test_a_network_round_deepseek_has_seven_billion_weights():
    """DeepSeek-7B (Bi et al., arXiv 2401.02954), of the paper's supplement."""
    settings = {
        "vocab_size": 102400,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 30,
        "num_attention_heads": 32,
        "max_position_embeddings": 4096,
    }
    language = CausalLanguageConfig(architecture="llama", settings=settings)
    config = replace(ModelConfig.base(), variant="paper", language=language)
    network = checkpoint.empty_network(config)
    count = sum(weight.numel() for weight in network.language.parameters())
    assert count == 6_910_365_696
    assert isinstance(network.language.model.layers[0].mlp.gate_proj, nn.Linear)
