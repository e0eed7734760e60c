"""SAM, SAM 2 and SAM 3 of the `transformers` library as predictors.

All take points and boxes; SAM 3 takes phrases too, and gives the union of what it finds. Images
are prepared here, as each model's publisher prepares them, because the library's own preparation
needs torchvision. A box gets one mask; points get the best of several by the model's own score.

Legend: H W image, S side of the model's square, P points of a prompt, Q objects found.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from unigeoseg.errors import CheckpointNotFoundError, MissingExtraError
from unigeoseg.evaluate.systems.base import Answer, Pixels, Predictor
from unigeoseg.prompt import Prompt
from unigeoseg.runtime import hub

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_PHRASE_TOKENS = 32
_CONFIDENCE = 0.5  # an object of a phrase counts above it


@dataclass(frozen=True, slots=True)
class SamFamily:
    """A family of SAM models: its classes, and how its images are prepared.

    Attributes:
        points: Name of the class that takes points and boxes.
        keeps_ratio: Whether images keep their proportions and are padded below and to the right;
            else they are stretched to a square.
        colours: Mean and standard deviation of red, green and blue in [0, 1].
        text: Name of the class that takes phrases, or empty.
    """

    points: str
    keeps_ratio: bool
    colours: tuple[tuple[float, ...], tuple[float, ...]]
    text: str = ""


SAM_FAMILIES: Mapping[str, SamFamily] = MappingProxyType(
    {
        "sam": SamFamily("SamModel", True, _IMAGENET),
        "sam2": SamFamily("Sam2Model", False, _IMAGENET),
        "sam3": SamFamily("Sam3TrackerModel", False, _HALF, "Sam3Model"),
    }
)


def load_sam(kind: str, name: str) -> Predictor:
    """A model as a predictor; its weights are read at the first prompt that needs them.

    Args:
        kind: One of `KINDS`.
        name: A directory with config.json and safetensors, or owner/name on the hub.

    Raises:
        CheckpointNotFoundError: If there are no weights.
        HubError: If the hub cannot give them.
        MissingExtraError: If `transformers` is not installed.
    """
    folder = Path(name)
    if not folder.is_dir():
        if name.count("/") != 1 or name.startswith((".", "/")):
            raise CheckpointNotFoundError(
                f"there is no directory {name!r}; give {kind}:DIR with config.json and "
                f"model.safetensors, or {kind}:owner/name on the hub"
            )
        folder = hub.fetch(name, kind="model", patterns=["*.json", "*.txt", "*.safetensors"])
    if not (folder / "config.json").is_file():
        raise CheckpointNotFoundError(f"{folder} has no config.json; give a model's directory")
    return SamSystem(SAM_FAMILIES[kind], folder)


@dataclass(frozen=True)
class SamSystem:
    """A SAM model as a predictor.

    Attributes:
        kind: Its family.
        folder: Where its files are.
    """

    kind: SamFamily
    folder: Path

    @torch.inference_mode()
    def __call__(self, pixels: Pixels, prompts: Sequence[Prompt]) -> list[Answer | None]:
        """Answer points and boxes, and phrases where the model takes them."""
        if any(not prompt.text for prompt in prompts):
            frame = SquareFrame.of(pixels, self.kind, _side(self._points))
            embeddings = self._points.get_image_embeddings(frame.values)
        return [
            self._by_text(pixels, prompt.text)
            if prompt.text
            else self._by_place(frame, embeddings, prompt)
            for prompt in prompts
        ]

    def _by_place(self, frame: "SquareFrame", embeddings: Any, prompt: Prompt) -> Answer:  # noqa: ANN401
        inputs: dict[str, Tensor] = {}
        if prompt.points:
            points = [[point.x, point.y] for point in prompt.points]
            inputs["input_points"] = frame.scaled(points)[None, None]  # (1, 1, P, 2)
            positive = [int(point.positive) for point in prompt.points]
            inputs["input_labels"] = torch.tensor(positive)[None, None]
        if prompt.box:
            corners = [[prompt.box.x0, prompt.box.y0], [prompt.box.x1, prompt.box.y1]]
            inputs["input_boxes"] = frame.scaled(corners).reshape(1, 1, 4)
        several = prompt.box is None  # points are ambiguous: the best of several masks
        output = self._points(image_embeddings=embeddings, multimask_output=several, **inputs)
        scores = output.iou_scores[0, 0]
        best = int(scores.argmax())
        logits = output.pred_masks[0, 0, best]
        return Answer(frame.mask(logits), float(scores[best].clamp(0, 1)))

    def _by_text(self, pixels: Pixels, text: str) -> Answer | None:
        if not self.kind.text:
            return None
        frame = SquareFrame.of(pixels, self.kind, _side(self._text))
        words = self._tokenizer(
            [text],
            padding="max_length",
            max_length=_PHRASE_TOKENS,
            truncation=True,
            return_tensors="pt",
        )
        output = self._text(pixel_values=frame.values, **words)
        scores = output.pred_logits[0].sigmoid() * output.presence_logits[0].sigmoid()
        confident = scores > _CONFIDENCE
        mask = np.zeros(pixels.shape[:2], np.bool_)
        for logits in output.pred_masks[0][confident]:
            mask |= frame.mask(logits)
        return Answer(mask, float(scores.max()))

    @cached_property
    def _points(self) -> Any:  # noqa: ANN401 - of an optional library
        return self._load(self.kind.points)

    @cached_property
    def _text(self) -> Any:  # noqa: ANN401
        return self._load(self.kind.text)

    @cached_property
    def _tokenizer(self) -> Any:  # noqa: ANN401
        return self._load("AutoTokenizer")

    def _load(self, name: str) -> Any:  # noqa: ANN401
        try:
            import transformers
        except ImportError as error:
            raise MissingExtraError("SAM", "base") from error
        try:
            make: Callable[..., Any] = getattr(transformers, name).from_pretrained
            loaded = make(self.folder, local_files_only=True)
        except (OSError, ValueError, ImportError) as error:
            why = " ".join(str(error).split())
            raise CheckpointNotFoundError(
                f"{self.folder} holds no {name} that can be loaded: {why}"
            ) from error
        return loaded.eval() if hasattr(loaded, "eval") else loaded


def _side(model: Any) -> int:  # noqa: ANN401
    """Side of the square that a model sees."""
    vision = model.config.vision_config
    size = getattr(vision, "image_size", None) or vision.backbone_config.image_size
    return int(size if isinstance(size, int) else size[0])


@dataclass(frozen=True, slots=True)
class SquareFrame:
    """An image in the square that a model sees, and the way back to its pixels.

    Attributes:
        values: (1, 3, S, S) float32.
        shape: H and W.
        inner: Rows and columns of the square that hold the image.
    """

    values: Tensor
    shape: tuple[int, int]
    inner: tuple[int, int]

    @classmethod
    def of(cls, pixels: Pixels, kind: SamFamily, side: int) -> "SquareFrame":
        """Prepare pixels (H, W, 3)."""
        height, width = pixels.shape[:2]
        scale = side / max(height, width)
        inner = (round(height * scale), round(width * scale)) if kind.keeps_ratio else (side, side)
        resized = cv2.resize(pixels, inner[::-1], interpolation=cv2.INTER_LINEAR)
        mean, deviation = (np.array(levels, np.float32) for levels in kind.colours)
        square = np.zeros((side, side, 3), np.float32)
        square[: inner[0], : inner[1]] = (resized / np.float32(255) - mean) / deviation
        return cls(torch.from_numpy(square).permute(2, 0, 1)[None], (height, width), inner)

    def scaled(self, places: Sequence[Sequence[float]]) -> Tensor:
        """Positions x, y in pixels of the image, in pixels of the square: (P, 2)."""
        factors = [self.inner[1] / self.shape[1], self.inner[0] / self.shape[0]]
        return torch.tensor(places) * torch.tensor(factors)

    def mask(self, logits: Tensor) -> np.ndarray:
        """(H, W) bool from logits (h, w) over the square."""
        side = self.values.shape[-1]
        square = interpolate(logits[None, None].float(), (side, side), mode="bilinear")
        inside = square[:, :, : self.inner[0], : self.inner[1]]
        full = interpolate(inside, self.shape, mode="bilinear")[0, 0]
        return np.asarray(full.numpy() > 0)
