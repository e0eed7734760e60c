"""Tiny language models of three families, and networks of Base round them."""

from dataclasses import replace
from pathlib import Path

import tiny_base
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    PhiConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.config import ModelConfig
from unigeoseg.model.io.hf_language import read_language
from unigeoseg.model.network import UniGeoSegNetwork

_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 300,
    "max_position_embeddings": 2048,
}
FAMILIES: dict[str, PretrainedConfig] = {
    "phi": PhiConfig(**_SIZES, partial_rotary_factor=0.5),
    "llama": LlamaConfig(**_SIZES, num_key_value_heads=2, rope_theta=5000.0),
    "qwen2": Qwen2Config(**_SIZES, num_key_value_heads=2, tie_word_embeddings=True),
}


def write_language(folder: Path, settings: PretrainedConfig) -> Path:
    """Write a language model of random weights as `transformers` does."""
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(settings).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_base.tokenizer(), eos_token="<|endoftext|>"
    )
    tokenizer.save_pretrained(folder)
    return folder


def base_of(
    folder: Path, variant: str = "released", seed: int = 0
) -> tuple[UniGeoSegNetwork, ChatProcessor]:
    """A tiny Base for the language model in a folder; random weights."""
    language, tokenizer = read_language(folder)
    config: ModelConfig = replace(tiny_base.config(), language=language, variant=variant)
    torch.manual_seed(seed)
    return UniGeoSegNetwork(config), ChatProcessor(tokenizer, config)
