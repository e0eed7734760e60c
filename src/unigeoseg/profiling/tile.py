"""Profiling of one tile: the first prompt and further ones, stage by stage."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

from unigeoseg.model.base.chat import SEG_TOKEN, ChatProcessor, for_tokenizer
from unigeoseg.model.config import CausalLanguageConfig, ModelConfig
from unigeoseg.model.device import device_of
from unigeoseg.model.io import checkpoint
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.optimize import optimize_for_inference
from unigeoseg.model.precision import DtypeSetting, inference_dtype
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.predict.session import Session
from unigeoseg.profiling.released_modules import ReleasedWay
from unigeoseg.prompt import Prompt
from unigeoseg.report.document import Bold, Table

FIRST, SECOND, THIRD = "a tile by text", "a second text on it", "a question on it"
_PROMPT_TEXTS = {
    FIRST: "the storage tanks beside the river",
    SECOND: "the road in the upper left",
    THIRD: "where would aircraft wait before boarding?",
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Median seconds of one prompt.

    Attributes:
        total: All of it.
        stages: Of each part of the network, in order; preparing and restoring remain.
    """

    total: float
    stages: dict[str, float]


def time_tile(segmenter: Segmenter, *, size: int, rounds: int) -> dict[str, Timing]:
    """Time one tile by text, and further prompts on the same tile.

    Args:
        segmenter: What is timed.
        size: Side of the square tile in pixels.
        rounds: Repetitions, after one that warms up.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    rounds_of: dict[str, list[Timing]] = {kind: [] for kind in _PROMPT_TEXTS}
    for _ in range(rounds + 1):
        with segmenter.open(pixels) as session:
            for kind, text in _PROMPT_TEXTS.items():
                rounds_of[kind].append(_time(segmenter.network, session, text))
    return {kind: _median(timings[1:]) for kind, timings in rounds_of.items()}


def time_beside_released(segmenter: Segmenter, *, rounds: int) -> list[tuple[float, float]]:
    """Seconds of a first prompt on a tile, of this package and of the released way, interleaved.

    Args:
        segmenter: Of Base's kind.
        rounds: Of both, after one that warms up.
    """
    config = segmenter.network.config
    side = config.image_size
    released = ReleasedWay(config).to(segmenter.device, segmenter.dtype)
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    inputs = segmenter.processor.prompts(
        [Prompt.from_text(_PROMPT_TEXTS[FIRST])], [0], (side, side)
    )
    shapes = (1, 3, side, side), (*inputs.token_ids.shape, config.language.width)
    values, text = (torch.randn(shape).to(segmenter.device, segmenter.dtype) for shape in shapes)
    pairs = []
    for _ in range(rounds + 1):
        began = _synchronized_clock()
        with segmenter.open(pixels) as session:
            session.segment([_PROMPT_TEXTS[FIRST]])
        between = _synchronized_clock()
        with torch.inference_mode():
            released(values, text)
        pairs.append((between - began, _synchronized_clock() - between))
    return pairs[1:]


def timing_table(timings: dict[str, Timing]) -> Table:
    """Milliseconds, a row per stage and a column per prompt."""
    stages = list(dict.fromkeys(stage for timing in timings.values() for stage in timing.stages))
    rows = [
        _row(stage, [timing.stages.get(stage) for timing in timings.values()]) for stage in stages
    ]
    remaining = [timing.total - sum(timing.stages.values()) for timing in timings.values()]
    rows.append(_row("preparing, restoring, the rest", remaining))
    rows.append(_row(Bold("all"), [timing.total for timing in timings.values()]))
    return Table(("ms", *timings), rows)


def random_base(
    dtype: DtypeSetting = None,
    device: str | None = None,
    bits: Literal[8, 4] | None = None,
) -> Segmenter:
    """Base at full size with random weights: as fast as the real one, and as large.

    Arguments and errors are those of `Segmenter.from_pretrained`.
    """
    place = device_of(device)
    tokenizer = _word_tokenizer()
    config = for_tokenizer(ModelConfig.base(), tokenizer)
    kind = inference_dtype(dtype, config, place, bits)
    network = checkpoint.empty_network(config, device="cpu")
    for parameter in network.parameters():
        parameter.requires_grad_(False).uniform_(-0.02, 0.02)
    network = optimize_for_inference(checkpoint.to_evaluation(network.to(kind), place, bits))
    return Segmenter(network, ChatProcessor(tokenizer, config))


def _word_tokenizer() -> Tokenizer:
    """One token per word and mark, so that sentences are about as long as in real tokens."""
    vocabulary = {"[UNK]": 0, SEG_TOKEN: 1, CausalLanguageConfig().end: 2}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(vocabulary))
    return tokenizer


def _time(network: UniGeoSegNetwork, session: Session, text: str) -> Timing:
    stages: dict[str, float] = {}
    with _watched(network, stages):
        began = _synchronized_clock()
        session.segment([text])
        return Timing(_synchronized_clock() - began, stages)


def _synchronized_clock() -> float:
    """The clock, once a GPU has finished its work."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter()


@contextmanager
def _watched(network: UniGeoSegNetwork, stages: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of each part while it runs."""
    with ExitStack() as stack:
        for name, part in network.named_children():
            # a language model that remembers is called below its own forward
            inner = getattr(part, "model", part) if name == "language" else part
            for hook in _stopwatch(inner, name, stages):
                stack.callback(hook)
        yield


def _stopwatch(
    part: nn.Module, name: str, stages: dict[str, float]
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Time every call of a part by hooks; returns the functions that remove them."""
    began: list[float] = []

    def start(*_: object) -> None:
        began.append(_synchronized_clock())

    def stop(*_: object) -> None:
        stages[name] = stages.get(name, 0.0) + _synchronized_clock() - began.pop()

    pre_hook = part.register_forward_pre_hook(start)
    hook = part.register_forward_hook(stop)
    return pre_hook.remove, hook.remove


def _median(timings: list[Timing]) -> Timing:
    total = statistics.median(timing.total for timing in timings)
    names = timings[0].stages
    stages = {name: statistics.median(timing.stages[name] for timing in timings) for name in names}
    return Timing(total, stages)


def _row(name: str, seconds: Iterable[float | None]) -> list[str]:
    return [name, *("" if value is None else f"{value * 1000:.0f}" for value in seconds)]
