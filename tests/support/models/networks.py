"""Tiny real networks: random weights, a tokenizer of a few words."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from unigeoseg.model.config import ModelConfig
from unigeoseg.model.io import checkpoint
from unigeoseg.model.network import UniGeoSegNetwork, channels_last
from unigeoseg.model.processor import Processor
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.predict.views import ViewConfig

WORDS = "[PAD] [UNK] the a roof roofs building road water where could boats float ? .".split()


def tiny_config() -> ModelConfig:
    """The configuration of the tiny networks."""
    return ModelConfig.tiny(len(WORDS))


def tiny_processor() -> Processor:
    """A processor whose tokenizer knows `WORDS`."""
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return Processor(tokenizer, tiny_config())


def tiny_network(seed: int = 0) -> UniGeoSegNetwork:
    """A tiny network with random weights."""
    torch.manual_seed(seed)
    return channels_last(UniGeoSegNetwork(tiny_config()).eval())


def tiny_segmenter(views: ViewConfig | None = None) -> Segmenter:
    """A segmenter with a tiny network."""
    return Segmenter(tiny_network(), tiny_processor(), views)


def save_tiny(folder: Path) -> Path:
    """Write a tiny network as a model directory."""
    checkpoint.save_model(folder, tiny_network(), tiny_processor())
    return folder


def tiny_start(config: ModelConfig) -> tuple[UniGeoSegNetwork, Processor]:
    """What a training of a tiny network starts from."""
    return UniGeoSegNetwork(config), tiny_processor()
