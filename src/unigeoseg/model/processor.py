"""Preprocessing: from a window's pixels and prompts to the network's tensors.

Legend: B images, P prompts, L tokens, M coordinate rows, H W image.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from unigeoseg.errors import PromptError
from unigeoseg.model.config import ModelConfig
from unigeoseg.model.tate import COORDINATES, INTERACTIVE, REASONING, REFERRING
from unigeoseg.model.values import PromptInputs
from unigeoseg.prompt import Prompt, Task

TASK_IDS = {
    Task.INTERACTIVE: INTERACTIVE,
    Task.REFERRING: REFERRING,
    Task.REASONING: REASONING,
}


class Processor:
    """Normalises pixels, tokenises instructions, packs coordinates."""

    def __init__(self, tokenizer: Tokenizer, config: ModelConfig) -> None:
        """Process for networks of `config` with their `tokenizer`."""
        self.tokenizer = tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.config = config
        self._mean = torch.tensor(config.encoder.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(config.encoder.std).view(1, 3, 1, 1)

    @classmethod
    def from_file(cls, path: Path, config: ModelConfig) -> "Processor":
        """Read the tokenizer from a `tokenizer.json`."""
        return cls(Tokenizer.from_file(str(path)), config)

    def pixel_values(self, images: np.ndarray) -> Tensor:
        """Normalise images (B, 3, H, W) uint8 to float, laid out channels last."""
        values = torch.from_numpy(np.ascontiguousarray(images)).float()
        return ((values - self._mean) / self._std).contiguous(memory_format=torch.channels_last)

    def prompts(
        self, prompts: Sequence[Prompt], image_index: Sequence[int], size: tuple[int, int]
    ) -> PromptInputs:
        """Pack prompts whose coordinates are pixels of an image of `size` (height, width).

        Args:
            prompts: P prompts.
            image_index: Which image of the batch each is about.
            size: Height and width, in pixels, that the coordinates are measured in.

        Raises:
            PromptError: If an instruction is longer than the network reads.
        """
        token_ids, attention_mask = self._tokens([text_of(prompt) for prompt in prompts])
        coordinates, present = coordinates_of(prompts, *size)
        return PromptInputs(
            image_index=torch.tensor(list(image_index)),
            token_ids=token_ids,
            attention_mask=attention_mask,
            instruction=attention_mask,
            task=torch.tensor([TASK_IDS[prompt.task] for prompt in prompts]),
            coordinates=coordinates,
            present=present,
        )

    def accepts(self, prompt: Prompt) -> bool:
        """Whether the network can answer such a prompt."""
        del prompt
        return True

    def training_inputs(
        self,
        prompts: Sequence[Prompt],
        answers: Sequence[str],
        image_index: Sequence[int],
        size: tuple[int, int],
    ) -> tuple[PromptInputs, Tensor | None]:
        """Pack prompts to learn from.

        Args:
            prompts: P prompts.
            answers: The reply to each in words, "" where there is none.
            image_index: Which image of the batch each is about.
            size: Height and width, in pixels, that the coordinates are measured in.

        Returns:
            The inputs, and the words to learn: labels (P, L) int64 as in `base.chat`, or None for
            a network without words.

        Raises:
            PromptError: If an instruction is longer than the network reads.
        """
        del answers
        return self.prompts(prompts, image_index, size), None

    def _tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids (P, L) int64, padded with 0, and which are real (P, L) bool."""
        rows = [self.tokenizer.encode(text).ids for text in texts]
        longest, limit = max(map(len, rows)), self.config.language.max_tokens
        if longest > limit:
            raise PromptError(
                f"the instruction is {longest} tokens long; this model reads at most {limit}: "
                "shorten it"
            )
        token_ids = torch.zeros(len(rows), longest, dtype=torch.long)
        for index, row in enumerate(rows):
            token_ids[index, : len(row)] = torch.tensor(row)
        lengths = torch.tensor([len(row) for row in rows])
        return token_ids, torch.arange(longest) < lengths[:, None]


def letterbox(image: np.ndarray, side: int, *, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Fit an image (H, W) or (H, W, C) uint8 into the middle of a black square of `side`.

    The longer side becomes `side`, the other is rounded down (released preprocessing).
    """
    place = letterbox_place(image.shape[0], image.shape[1], side)
    square = np.zeros((side, side, *image.shape[2:]), image.dtype)
    rows, columns = square[place].shape[:2]
    square[place] = cv2.resize(image, (columns, rows), interpolation=interpolation)
    return square


def letterbox_place(height: int, width: int, side: int) -> tuple[slice, slice]:
    """Rows and columns of a square of `side` that an image of `height` x `width` is fitted into."""
    scale = side / max(height, width)
    rows = side if height >= width else max(int(height * scale), 1)
    columns = side if width >= height else max(int(width * scale), 1)
    top, left = (side - rows) // 2, (side - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def text_of(prompt: Prompt) -> str:
    """The words the language model reads; coordinates reach it as numbers, through TATE."""
    if prompt.task is not Task.INTERACTIVE:
        return prompt.text
    kind = "box" if prompt.box else "point" if len(prompt.points) == 1 else "points"
    return f"Please segment the region corresponding to the {kind}."


def coordinates_of(prompts: Sequence[Prompt], height: int, width: int) -> tuple[Tensor, Tensor]:
    """Coordinate rows (P, M, 5) in [0, 1], and which exist (P, M) bool; at least one row wide.

    Args:
        prompts: P prompts; a box comes before points.
        height: Rows of the image that the coordinates are pixels of.
        width: Its columns.
    """
    rows = [_rows(prompt) for prompt in prompts]
    longest = max(1, *map(len, rows)) if rows else 1
    coordinates = torch.zeros(len(rows), longest, COORDINATES)
    present = torch.zeros(len(rows), longest, dtype=torch.bool)
    scale = torch.tensor([width, height, width, height, 1.0])
    for index, row in enumerate(rows):
        if row:
            coordinates[index, : len(row)] = torch.tensor(row) / scale
            present[index, : len(row)] = True
    return coordinates, present


def _rows(prompt: Prompt) -> list[tuple[float, float, float, float, float]]:
    rows = [(p.x, p.y, p.x, p.y, 1.0 if p.positive else -1.0) for p in prompt.points]
    if prompt.box:
        rows.insert(0, (prompt.box.x0, prompt.box.y0, prompt.box.x1, prompt.box.y1, 1.0))
    return rows
