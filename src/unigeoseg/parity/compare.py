"""Numerical parity: Base against golden tensors recorded of the released code.

    unigeoseg bench parity --goldens DIR [--weights FILE]

Legend: B images, P prompts, one on each image, M coordinate rows, S side of the square image.
Each case runs from raw images, instructions and coordinates through our own preprocessing,
tokenisation and network; whatever a golden folder records is compared. The network computes in
float64 unless told otherwise, so that the only rounding is the recorded one: in float32 a value
within 1e-6 of a ReLU's corner may lie on its other side, which moves a gradient by 1e-3.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from unigeoseg.errors import CheckpointDamagedError, CheckpointNotFoundError
from unigeoseg.model.base.chat import ChatProcessor, for_tokenizer
from unigeoseg.model.io import convert
from unigeoseg.model.io.key_map import our_names
from unigeoseg.model.lkm import PooledKnowledgeMemory
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.point_loss import PointLossConfig, answer_loss, point_losses
from unigeoseg.model.processor import letterbox
from unigeoseg.model.tate import COORDINATES
from unigeoseg.model.values import PromptInputs, SegmentationOutput
from unigeoseg.parity import mixed
from unigeoseg.parity.comparison import GRADIENT, Comparison, ParityReport, compare_tensors
from unigeoseg.parity.fragments import connector_rows, metric_rows, wording_rows
from unigeoseg.parity.recorder import Recorder, outcomes, spans
from unigeoseg.prompt import Task

_TASKS = {"ref": Task.REFERRING, "reason": Task.REASONING, "intera": Task.INTERACTIVE}
_LEAST_NORM = 1e-6  # smaller norms are compared with this

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Goldens:
    """A golden folder, and the network that its configuration and weights make."""

    directory: Path
    network: UniGeoSegNetwork
    processor: ChatProcessor
    dtype: torch.dtype

    @classmethod
    def open(
        cls, directory: Path, weights: Path | None = None, dtype: torch.dtype = torch.float64
    ) -> "Goldens":
        """Build the network of a golden folder.

        Args:
            directory: Holds config.json, tokenizer/ and a folder per case.
            weights: Released weights; state_dict.safetensors of the folder if None.
            dtype: What the network computes in.

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
        config = for_tokenizer(convert.config_of(shapes, settings["phi"]), tokenizer)
        renamed, became = convert.rename_all(state.items(), config, str(weights))
        if became.unknown:
            raise CheckpointDamagedError(f"{weights}: unknown keys {became.unknown[:3]}")
        network = UniGeoSegNetwork(config).eval()
        network.load_state_dict(renamed)
        return cls(directory, network.to(dtype), ChatProcessor(tokenizer, config), dtype)

    def cases(self) -> list[Path]:
        """Folders of the cases."""
        return sorted(path.parent for path in self.directory.glob("*/outputs.safetensors"))


def compare_with_goldens(
    directory: Path, weights: Path | None = None, dtype: torch.dtype = torch.float64
) -> ParityReport:
    """Compare our network with every golden tensor of a folder.

    Args:
        directory: Golden folder: config.json, tokenizer/, a folder per case, and what else it has
            of metrics/, connectors/ and preprocess.json.
        weights: Released weights (safetensors); state_dict.safetensors of the folder if None.
        dtype: What the network computes in.

    Raises:
        CheckpointNotFoundError: If the folder or the weights are missing.
        CheckpointDamagedError: If weights and configuration do not fit.
        MissingExtraError: If `transformers` is not installed.
    """
    goldens = Goldens.open(directory, weights, dtype)
    rows: list[Comparison] = []
    remarks: list[str] = []
    for case in goldens.cases():
        rows += _case(goldens, case, remarks)
    if not rows:
        raise CheckpointNotFoundError(
            f"{directory} holds no case, a folder with outputs.safetensors; give a folder of "
            "golden tensors"
        )
    rows += metric_rows(directory / "metrics")
    rows += connector_rows(directory / "connectors")
    rows += wording_rows(directory / "preprocess.json", goldens.processor)
    return ParityReport(tuple(rows), tuple(remarks))


@dataclass(frozen=True, slots=True)
class CaseInputs:
    """One case as our network gets it; P prompts, each on an image of its own."""

    pixel_values: Tensor
    truth: Tensor
    prompts: PromptInputs
    labels: Tensor


def case_inputs(goldens: Goldens, inputs: Tensors, types: Sequence[str]) -> CaseInputs:
    """Process a case's recorded raw inputs, of the tasks `types`, for our network."""
    pixel_values, truth = _images(goldens.processor, inputs)
    prompts, labels = _prompts(goldens.processor, inputs, types)
    return CaseInputs(pixel_values.to(goldens.dtype), truth, prompts, labels)


def _case(goldens: Goldens, case: Path, remarks: list[str]) -> Iterator[Comparison]:
    """Compare one case: inputs, tensors on the way, masks, losses and gradient norms."""
    inputs, golden = load_file(case / "inputs.safetensors"), load_file(case / "outputs.safetensors")
    types = list(json.loads((case / "manifest.json").read_text())["prompt_type"])
    network = goldens.network.requires_grad_(True)
    differing = mixed.differing_prompts(types)
    network.zero_grad(set_to_none=True)
    processed = case_inputs(goldens, inputs, types)
    yield compare_tensors(
        case.name, "input.images", processed.pixel_values.float(), inputs["images"]
    )
    yield compare_tensors(case.name, "input.masks", processed.truth, inputs["masks"][:, 0])
    output, tensors = _forward(network, processed)
    if any(name.startswith("train.rand.") for name in golden):
        losses = _losses(network, output, processed, golden)
        losses["train.loss"].backward()  # type: ignore[no-untyped-call]
        tensors |= {name: value.detach() for name, value in losses.items()}
        yield from _gradients(network, case, intended=bool(differing))
    for name, value in sorted(golden.items()):
        if not name.startswith("train.rand."):
            yield from mixed.mixed_batch_rows(case.name, name, tensors.get(name), value, differing)
    if differing and isinstance(network.memory, PooledKnowledgeMemory):
        yield from mixed.memory_weight_rows(case.name, network.memory, tensors, golden, types)
        remarks.append(mixed.remark(case.name, differing))


def _forward(
    network: UniGeoSegNetwork, inputs: CaseInputs
) -> tuple[SegmentationOutput, dict[str, Tensor]]:
    """Run the network, and give what it computed by golden names."""
    with Recorder(network) as recorder:
        output: SegmentationOutput = network(inputs.pixel_values, inputs.prompts)
    height, width = inputs.pixel_values.shape[-2:]
    hidden = recorder.tensors["phi.last_hidden_state"]
    offset = hidden.shape[1] - inputs.labels.shape[1]
    with torch.no_grad():
        words = network.language.head(hidden)
    tensors = recorder.tensors | outcomes(output, (height, width))
    tensors |= spans(inputs.prompts, inputs.labels, offset) | {"train.logits": words}
    return output, tensors


def _images(processor: ChatProcessor, inputs: Tensors) -> tuple[Tensor, Tensor]:
    """Our pixel values (B, 3, S, S) and masks (B, S, S), from raw images where there are any."""
    images, side = inputs["images"], inputs["images"].shape[-1]
    if "raw_image_rgb.0" not in inputs:
        return images, inputs["masks"][:, 0]
    squares, masks = [], []
    for index in range(len(images)):
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
        words: str = processor.tokenizer.decode(inputs[name].tolist()[:-1])
        return words

    count = range(len(types))
    texts = [text(f"token_refer_id.{index}").removeprefix(" ") for index in count]
    answers = [text(f"token_answer_id.{index}") for index in count]
    rows = [_rows(inputs.get(f"intera_coords.{index}")) for index in count]
    coordinates = torch.zeros(len(types), max(map(len, rows)), COORDINATES)
    present = torch.zeros(coordinates.shape[:2], dtype=torch.bool)
    for index, row in enumerate(rows):
        coordinates[index, : len(row)], present[index, : len(row)] = row, True
    tasks = [_TASKS[name] for name in types]
    return processor.pack(texts, tasks, (coordinates, present), list(count), answers=answers)


def _rows(recorded: Tensor | None) -> Tensor:
    """Coordinate rows (M, 5); the released code gives a prompt without any a row of zeros."""
    if recorded is None:
        return torch.zeros(1, COORDINATES)
    is_box = recorded.shape[1] == COORDINATES - 1
    corners = recorded if is_box else torch.cat([recorded, recorded], dim=1)
    return torch.cat([corners, torch.ones(len(recorded), 1)], dim=1)


def _losses(
    network: UniGeoSegNetwork, output: SegmentationOutput, inputs: CaseInputs, golden: Tensors
) -> dict[str, Tensor]:
    """Our losses, the masks' at the recorded random points."""
    names = sorted(name for name in golden if name.startswith("train.rand."))
    # before each layer's own two draws, the released matching draws once for every prompt, which
    # a single query has no use for
    turn = len(output.logits) + 2
    recorded = iter([golden[name] for at, name in enumerate(names) if at % turn >= turn - 2])

    def draw(prompts: int, points: int) -> Tensor:
        draws = next(recorded)
        assert draws.shape[:2] == (prompts, points), "the draws are not in the known order"
        return draws

    config = PointLossConfig(points=golden[names[0]].shape[1])
    truth = inputs.truth.to(output.logits)
    bce, dice = point_losses((output.logits, *output.earlier), truth, config, draw)
    words = answer_loss(output.hidden, inputs.labels, network.language.head)
    return {
        "train.loss_mask": bce,
        "train.loss_dice": dice,
        "train.loss_llm": words,
        "train.loss_SEG_class": torch.zeros(()),  # the one query is not classified
        "train.loss": bce + dice + words,
    }


def _gradients(network: UniGeoSegNetwork, case: Path, *, intended: bool) -> Iterator[Comparison]:
    """Compare the norms of the gradients; a recorded None: no gradient reaches that weight."""
    path = case / "grad_norms.json"
    if not path.is_file():
        return
    gradients = {name: weight.grad for name, weight in network.named_parameters()}
    for key, norm in json.loads(path.read_text()).items():
        matching = [gradients[name] for name in our_names(key) if name in gradients]
        name = f"gradient norm, relative: {key}"
        if matching:
            squares = [grad.square().sum().item() for grad in matching if grad is not None]
            difference = abs(sum(squares) ** 0.5 - (norm or 0)) / max(norm or 0, _LEAST_NORM)
            yield Comparison(case.name, name, difference, GRADIENT, intended)
        elif norm is not None:
            yield Comparison(case.name, name, torch.inf, GRADIENT)
