"""Parity of parts that are recorded alone: scores, a connector, the wording.

Legend: H W mask.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from unigeoseg.evaluate.metrics import Overlap, Scores, largest_box, overlap, overlap_of_boxes
from unigeoseg.model.base.chat import IGNORED, SEG_TOKEN, ChatProcessor, wording
from unigeoseg.model.config import CausalLanguageConfig
from unigeoseg.model.connector import CompressionConnector
from unigeoseg.model.io.key_map import our_names
from unigeoseg.parity.comparison import EXACT, METRIC, Comparison, compare_tensors
from unigeoseg.prompt import Task


def metric_rows(directory: Path) -> Iterator[Comparison]:
    """Compare the scores of recorded masks: as masks, and as boxes of their largest regions."""
    if not (directory / "metrics.json").is_file():
        return
    masks = load_file(directory / "masks.safetensors")
    pairs = list(zip(masks["pred"].bool().numpy(), masks["gt"].bool().numpy(), strict=True))
    boxes = [overlap_of_boxes(largest_box(mask), largest_box(truth)) for mask, truth in pairs]
    masks_overlap = [overlap(mask, truth) for mask, truth in pairs]
    golden = json.loads((directory / "metrics.json").read_text())
    for key, overlaps in (("rsvg=False", masks_overlap), ("rsvg=True", boxes)):
        if key in golden:
            yield from _score_rows(f"{directory.name} {key}", overlaps, golden[key])


def _score_rows(case: str, overlaps: list[Overlap], golden: dict[str, Any]) -> Iterator[Comparison]:
    for computed, recorded in zip(overlaps, golden["per_sample"], strict=True):
        for name in ("intersection", "union"):
            # recorded for the background, then for the target
            yield Comparison(
                case, f"metric {name}", abs(getattr(computed, name) - recorded[name][1]), EXACT
            )
        yield Comparison(case, "metric iou", abs(computed.iou - recorded["iou"][1]), METRIC)
    scores = Scores.of(overlaps)
    yield Comparison(case, "metric ciou", abs(scores.ciou - golden["ciou"]), METRIC)
    yield Comparison(case, "metric giou", abs(scores.giou - golden["giou"]), METRIC)
    for threshold, share in golden["pr"].items():
        difference = abs(scores.precision_at(float(threshold)) - share)
        yield Comparison(case, f"metric Pr@{threshold}", difference, METRIC)


def connector_rows(directory: Path) -> Iterator[Comparison]:
    """Compare the connector alone."""
    path = directory / "SparseConv_1.safetensors"
    if not path.is_file():
        return
    golden = load_file(path)
    maps, tokens = golden["input"], golden["output"]
    part = CompressionConnector(maps.shape[1], tokens.shape[2], maps.shape[2])
    state = {}
    for key, value in golden.items():
        if key.startswith("state."):
            (name,) = our_names(key.replace("state.", "model.mm_projector."))
            state[name.removeprefix("connector.")] = value
    part.load_state_dict(state)
    with torch.no_grad():
        yield compare_tensors(directory.name, "SparseConv_1", part(maps), tokens)


def wording_rows(path: Path, processor: ChatProcessor) -> Iterator[Comparison]:
    """Compare the wording of the conversation, its tokens, and which of them are learnt."""
    language = processor.config.language
    if not path.is_file() or not isinstance(language, CausalLanguageConfig):
        return
    recorded = json.loads(path.read_text())
    differs = wording(language.end) != recorded["prompts"]["RSRS"]
    yield Comparison(path.name, "wording", float(differs), EXACT)
    # where padding ends the text too, the released code loses the template's labels
    golden = recorded["tokenized"]["RSRS|pad_is_eos=False"]
    coordinates = (torch.zeros(1, 1, 5), torch.zeros(1, 1, dtype=torch.bool))
    line, labels = processor.pack([""], [Task.REFERRING], coordinates, [0], answers=[""])
    seg = processor.tokenizer.encode(SEG_TOKEN, add_special_tokens=False).ids[0]
    is_template = ~line.instruction & (line.token_ids != seg)
    prefix = torch.tensor(language.prefix)
    ids, expected = torch.tensor(golden["input_ids"]), torch.tensor(golden["labels"])
    words = ids >= 0
    computed = torch.cat([prefix, line.token_ids[is_template]])
    yield compare_tensors(path.name, "tokens", computed, ids[words])
    computed = torch.cat([torch.full_like(prefix, IGNORED), labels[is_template]])
    yield compare_tensors(path.name, "labels", computed, expected[words])
