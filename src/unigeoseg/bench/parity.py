"""Is Base what was released? Our network against golden tensors recorded of the released code.

    python -m unigeoseg.bench.parity DIR [--weights FILE]

Each case runs from raw images, instructions and coordinates through our own preprocessing,
tokenisation and network; whatever a golden folder records is compared.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from unigeoseg.bench.metrics import Scores, overlap
from unigeoseg.bench.recorder import Recorder, outcomes, spans
from unigeoseg.errors import CheckpointError, CheckpointNotFoundError, UniGeoSegError
from unigeoseg.model import released
from unigeoseg.model.chat import ChatProcessor, for_tokenizer
from unigeoseg.model.connector import CompressionConnector
from unigeoseg.model.network import PromptInputs, UniGeoSegNetwork
from unigeoseg.model.point_loss import PointLossConfig, answer_loss, point_losses
from unigeoseg.model.processor import letterbox
from unigeoseg.prompt import Task

TENSOR, LOSS, GRADIENT, EXACT, METRIC = 1e-4, 1e-4, 1e-3, 0.0, 1e-6
_TASKS = {"ref": Task.REFERRING, "reason": Task.REASONING, "intera": Task.INTERACTIVE}
log = logging.getLogger(__name__)

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Attributes:
        case: Folder it belongs to.
        name: What was compared.
        difference: Largest absolute difference, relative for a gradient's norm; infinite where
            there is nothing of ours or the shapes differ.
        tolerance: The most that passes.
    """

    case: str
    name: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the difference is tolerable; not a number is not."""
        return self.difference <= self.tolerance


@dataclass(frozen=True, slots=True)
class ParityReport:
    """All comparisons, and remarks on what differs by design."""

    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there was something to compare and all of it is within tolerance."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    def worst(self) -> dict[str, Row]:
        """The worst row of each name, sample indices and gradients taken together."""
        worst: dict[str, Row] = {}
        for row in self.rows:
            name = row.name.rstrip("0123456789").removesuffix(".")
            if name not in worst or not row.difference <= worst[name].difference:
                worst[name] = row
        return worst

    def table(self) -> str:
        """The worst difference of each name, as text."""
        lines = [f"{'compared':44} {'difference':>10} {'tolerance':>10}  worst in"]
        for name, row in sorted(self.worst().items()):
            verdict = "" if row.passed else "  FAILED"
            lines.append(
                f"{name:44} {row.difference:10.2e} {row.tolerance:10.1e}  {row.case}{verdict}"
            )
        failed = sum(not row.passed for row in self.rows)
        lines += [*self.remarks, f"{len(self.rows)} comparisons, {failed} failed"]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Goldens:
    """A golden folder, and the network that its configuration and weights make."""

    directory: Path
    settings: dict[str, Any]
    network: UniGeoSegNetwork
    processor: ChatProcessor
    heads: int = field(default=0)

    @classmethod
    def open(cls, directory: Path, weights: Path | None = None) -> "Goldens":
        """Build the network of a golden folder.

        Args:
            directory: Holds config.json, tokenizer/ and a folder per case.
            weights: Released weights; state_dict.safetensors of the folder if None.

        Raises:
            CheckpointNotFoundError: If the folder or the weights are missing.
            CheckpointDamagedError: If weights and configuration do not fit.
        """
        for path in (directory / "config.json", directory / "tokenizer" / "tokenizer.json"):
            if not path.is_file():
                raise CheckpointNotFoundError(
                    f"{path} is missing; give a folder of golden tensors, with config.json, "
                    "tokenizer/ and a folder per case"
                )
        weights = weights or directory / "state_dict.safetensors"
        if not weights.is_file():
            raise CheckpointNotFoundError(f"{weights} is missing; give the weights' file")
        settings = json.loads((directory / "config.json").read_text())
        state = load_file(weights)
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer" / "tokenizer.json"))
        shapes = {key: tuple(value.shape) for key, value in state.items()}
        config = for_tokenizer(released.config_of(shapes, settings["phi"]), tokenizer)
        network, heads = UniGeoSegNetwork(config).eval(), settings["phi"]["num_attention_heads"]
        report = released.report(state, network.state_dict())
        report.check(str(weights))
        if report.unknown:
            raise CheckpointError(f"{weights}: unknown keys {report.unknown[:3]}")
        network.load_state_dict(
            {
                name: tensor.float()
                for key in report.loaded
                for name, tensor in released.renamed(key, state[key], heads)
            }
        )
        return cls(directory, settings, network, ChatProcessor(tokenizer, config), heads)

    def cases(self) -> list[Path]:
        """Folders of the cases."""
        return sorted(path.parent for path in self.directory.glob("*/outputs.safetensors"))


def parity(directory: Path, weights: Path | None = None) -> ParityReport:
    """Compare our network with every golden tensor of a folder.

    Args:
        directory: Golden folder: config.json, tokenizer/, a folder per case, and what else it has
            of metrics/, connectors/ and preprocess.json.
        weights: Released weights (safetensors); state_dict.safetensors of the folder if None.

    Raises:
        CheckpointNotFoundError: If the folder or the weights are missing.
        CheckpointDamagedError: If weights and configuration do not fit.
        MissingExtraError: If `transformers` is not installed.
    """
    goldens = Goldens.open(directory, weights)
    rows: list[Row] = []
    remarks: list[str] = []
    for case in goldens.cases():
        rows += _case(goldens, case, remarks)
    rows += _metrics(directory / "metrics")
    rows += _connector(directory / "connectors")
    rows += _conversation(directory / "preprocess.json", goldens.processor)
    return ParityReport(tuple(rows), tuple(remarks))


def _case(goldens: Goldens, case: Path, remarks: list[str]) -> Iterator[Row]:
    """Compare one case: inputs, tensors on the way, masks, losses and gradient norms."""
    inputs, golden = load_file(case / "inputs.safetensors"), load_file(case / "outputs.safetensors")
    manifest = json.loads((case / "manifest.json").read_text())
    network, types = goldens.network, list(manifest["prompt_type"])
    pixel_values, truth = _images(goldens.processor, inputs)
    yield _compare(case.name, "images", pixel_values, inputs["images"])
    yield _compare(case.name, "masks", truth, inputs["masks"][:, 0], EXACT)
    prompts, labels = _prompts(goldens.processor, inputs, types)
    network.zero_grad(set_to_none=True)
    hook = None
    if len({name == "intera" for name in types}) > 1:
        remarks.append(
            f"{case.name}: compared with the first prompt's memory weight given to all, as the "
            "released code does; our network gives each prompt the weight of its own task"
        )
        hook = network.memory.register_forward_pre_hook(_first_rules)
    try:
        with Recorder(network) as recorder:
            output = network(pixel_values, prompts)
    finally:
        if hook:
            hook.remove()
    size = (pixel_values.shape[-2], pixel_values.shape[-1])
    ours = recorder.tensors | outcomes(output, size)
    hidden = recorder.tensors["phi.last_hidden_state"]
    before = hidden.shape[1] - labels.shape[1]
    ours |= spans(prompts, labels, before)
    ours["train.logits"] = network.language.head(hidden).detach()
    losses = _losses(goldens, output.logits, output.earlier, truth, golden)
    losses["llm"] = answer_loss(network.language.head(output.hidden), labels)
    losses["loss"] = sum(losses.values(), torch.zeros(()))
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    yield from _tensors(case.name, golden, ours)
    yield from _losses_rows(case.name, golden, losses)
    yield from _gradients(goldens, case)


def _images(processor: ChatProcessor, inputs: Tensors) -> tuple[Tensor, Tensor]:
    """Our pixel values (B, 3, S, S) and masks (B, S, S), from raw images where they are recorded."""
    given, side = inputs["images"], inputs["images"].shape[-1]
    if "raw_image_rgb.0" not in inputs:
        return given, inputs["masks"][:, 0]
    squares, masks = [], []
    for index in range(len(given)):
        squares.append(letterbox(inputs[f"raw_image_rgb.{index}"].numpy(), side))
        raw = inputs[f"raw_mask.{index}"].numpy()
        fitted = letterbox(raw, side, interpolation=cv2.INTER_NEAREST)
        masks.append(torch.from_numpy(np.where(fitted == 255, 1, fitted)))
    pixels = processor.pixel_values(np.stack(squares).transpose(0, 3, 1, 2))
    return pixels, torch.stack(masks)


def _prompts(
    processor: ChatProcessor, inputs: Tensors, types: Sequence[str]
) -> tuple[PromptInputs, Tensor]:
    """Our tokens of the recorded instructions and answers, and their labels."""

    def text(name: str) -> str:
        said: str = processor.tokenizer.decode(inputs[name].tolist()[:-1])
        return said

    count = range(len(types))
    texts = [text(f"token_refer_id.{index}").removeprefix(" ") for index in count]
    answers = [text(f"token_answer_id.{index}") for index in count]
    rows = [_rows(inputs.get(f"intera_coords.{index}")) for index in count]
    drawn = torch.zeros(len(types), max(map(len, rows)), 5)
    present = torch.zeros(drawn.shape[:2], dtype=torch.bool)
    for index, row in enumerate(rows):
        drawn[index, : len(row)], present[index, : len(row)] = row, True
    tasks = [_TASKS[name] for name in types]
    return processor.pack(texts, tasks, (drawn, present), list(count), answers=answers)


def _rows(given: Tensor | None) -> Tensor:
    """Coordinate rows (M, 5); the released code gives a prompt without any a row of zeros."""
    if given is None:
        return torch.zeros(1, 5)
    corners = given if given.shape[1] == 4 else torch.cat([given, given], dim=1)
    return torch.cat([corners, torch.ones(len(given), 1)], dim=1)


def _first_rules(_module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    hidden, said, task, pool = args
    return hidden, said, task[:1].expand_as(task), pool


def _losses(
    goldens: Goldens,
    logits: Tensor,
    earlier: tuple[Tensor, ...],
    truth: Tensor,
    golden: Tensors,
) -> dict[str, Tensor]:
    """Our losses at the recorded random points."""
    recorded = (golden[name] for name in sorted(golden) if name.startswith("train.rand."))

    def draw(prompts: int, points: int) -> Tensor:
        # the matching draws points for each prompt apart, which one query has no use for
        drawn = next(given for given in recorded if len(given) == prompts or prompts == 1)
        assert drawn.shape[:2] == (prompts, points)
        return drawn

    config = PointLossConfig(points=goldens.settings["mask_decoder"]["TRAIN_NUM_POINTS"])
    layers = (logits, *earlier)
    if len(logits) == 1:
        draw_one = draw

        def draw(prompts: int, points: int) -> Tensor:
            if points > config.points:
                draw_one(1, config.points)
            return draw_one(prompts, points)

    bce, dice = point_losses(layers, truth.float(), config, draw)
    return {"mask": bce, "dice": dice}
