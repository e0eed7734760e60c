"""Conversations about an image, which Base's language model reads (released code).

Legend: P prompts, L tokens.
The image stands between a constant prefix, which the language model caches, and the text made
here: a template, the instruction, and in training the reply.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch import Tensor

from unigeoseg.errors import CheckpointDamagedError, PromptError
from unigeoseg.model.config import CausalLanguageConfig, ModelConfig
from unigeoseg.model.processor import TASK_IDS, Processor, coordinates_of
from unigeoseg.model.values import AnswerStyle, PromptInputs
from unigeoseg.prompt import Prompt, Task

PREFIX = (
    "[INST] <<SYS>>\nYou are a helpful language and vision assistant. You are able to understand "
    "the visual content that the user provides, and assist the user with a variety of tasks using "
    "natural language.\n<</SYS>>\n\nThis is an image "
)
TEMPLATE = ", Please doing Reasoning Segmentation according to the following instruction:\n"
_CLOSING, _OPENING = " [/INST]", " Sure, It is "
_BEFORE_ANSWER, _AFTER_ANSWER = ". \n", ". "
SEG_TOKEN = "[SEG]"  # stands behind instruction and answer
IGNORED = -100  # label of a token that is not to be predicted


def wording(end: str) -> str:
    """The whole conversation, with a placeholder for each thing that is put in."""
    start = f"{PREFIX}<image>{TEMPLATE}<refer>{_CLOSING}{_OPENING}<seg>"
    return f"{start}{_BEFORE_ANSWER}<answer>{_AFTER_ANSWER}{end}"


def for_tokenizer(config: ModelConfig, tokenizer: Tokenizer) -> ModelConfig:
    """The configuration with the prefix as this tokenizer writes it."""
    assert isinstance(config.language, CausalLanguageConfig)
    return replace(config, language=replace(config.language, prefix=prefix_of(tokenizer)))


def prefix_of(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Token ids before the image, with the token that starts a text if the tokenizer has one."""
    encoded = tokenizer.encode(PREFIX)
    words = [index for index, special in enumerate(encoded.special_tokens_mask) if not special]
    return tuple(encoded.ids[: words[-1] + 1])


@dataclass(frozen=True, slots=True)
class _Conversation:
    """One prompt's tokens, which of them are the instruction's, and their labels."""

    ids: list[int]
    instruction: slice
    labels: list[int]


class ChatProcessor(Processor):
    """Normalises pixels, writes conversations, packs coordinates."""

    def __init__(self, tokenizer: Tokenizer, config: ModelConfig) -> None:
        """Process for networks of `config` with their `tokenizer`.

        Raises:
            CheckpointDamagedError: If the tokenizer does not write the prefix as the network
                knows it, or has more tokens than the network.
        """
        super().__init__(tokenizer, config)
        assert isinstance(config.language, CausalLanguageConfig)
        self._end = config.language.end
        if prefix_of(tokenizer) != config.language.prefix:
            raise CheckpointDamagedError(
                "the tokenizer writes the start of a conversation in other tokens than the "
                "network was made for: tokenizer and weights are of different models; fetch both "
                "from one place"
            )
        if tokenizer.get_vocab_size() > config.language.vocabulary:
            raise CheckpointDamagedError(
                f"the tokenizer has {tokenizer.get_vocab_size()} tokens, the network "
                f"{config.language.vocabulary}: they are of different models; fetch both from one "
                "place"
            )
        self._template = list(_ids(tokenizer, TEMPLATE))
        # the released code takes the first token where [SEG] is not one token
        self._seg = _ids(tokenizer, SEG_TOKEN)[0]

    def prompts(
        self, prompts: Sequence[Prompt], image_index: Sequence[int], size: tuple[int, int]
    ) -> PromptInputs:
        """Pack prompts whose coordinates are pixels of an image of `size` (height, width).

        Args:
            prompts: P prompts.
            image_index: Which image of the batch each is about.
            size: Height and width, in pixels, that the coordinates are measured in.

        Raises:
            PromptError: If an instruction is longer than the network reads, or asks for what it
                cannot do: points to leave out, or too many points.
        """
        return self.training_inputs(prompts, [""] * len(prompts), image_index, size)[0]

    def accepts(self, prompt: Prompt) -> bool:
        """Whether the network can answer such a prompt: one without points to leave out."""
        return all(point.positive for point in prompt.points)

    def training_inputs(
        self,
        prompts: Sequence[Prompt],
        answers: Sequence[str],
        image_index: Sequence[int],
        size: tuple[int, int],
    ) -> tuple[PromptInputs, Tensor]:
        """As `Processor.training_inputs`; raises what `prompts` raises."""
        height, width = size
        texts = [prompt.instruction(width, height) for prompt in prompts]
        for prompt in prompts:
            self._check(prompt)
        coordinates = coordinates_of(prompts, height, width)
        tasks = [prompt.task for prompt in prompts]
        replies = [answer or None for answer in answers]
        return self.pack(texts, tasks, coordinates, image_index, answers=replies)

    def pack(
        self,
        texts: Sequence[str],
        tasks: Sequence[Task],
        coordinates: tuple[Tensor, Tensor],
        image_index: Sequence[int],
        *,
        answers: Sequence[str | None] | None = None,
    ) -> tuple[PromptInputs, Tensor]:
        """Pack instructions that are written out, with the replies to learn from if there are any.

        Args:
            texts: P instructions.
            tasks: P tasks.
            coordinates: Rows (P, M, 5) in [0, 1], and which exist (P, M) bool.
            image_index: Which image of the batch each is about.
            answers: P answers; without them, or where one is None, the conversation ends with the
                instruction, on whose hidden states nothing behind it has an influence.

        Returns:
            The inputs, and labels (P, L) int64: the token to predict at each place, or IGNORED.

        Raises:
            PromptError: If an instruction is longer than the network reads.
        """
        conversations = [
            self._conversation(text, None if answers is None else answers[index])
            for index, text in enumerate(texts)
        ]
        token_ids, attention_mask, instruction, labels = _tensors(conversations)
        inputs = PromptInputs(
            image_index=torch.tensor(list(image_index)),
            token_ids=token_ids,
            attention_mask=attention_mask,
            instruction=instruction,
            task=torch.tensor([TASK_IDS[task] for task in tasks]),
            coordinates=coordinates[0],
            present=coordinates[1],
        )
        return inputs, labels

    @property
    def style(self) -> AnswerStyle:
        """How the network's replies start and end."""
        opening = _ids(self.tokenizer, _CLOSING + _OPENING) + _ids(self.tokenizer, _BEFORE_ANSWER)
        return AnswerStyle(opening, frozenset({self._seg, _ids(self.tokenizer, self._end)[0]}))

    def words(self, reply: Sequence[int]) -> str:
        """A reply's token ids as text."""
        text: str = self.tokenizer.decode(list(reply), skip_special_tokens=True)
        return text.strip()

    def _conversation(self, text: str, answer: str | None) -> _Conversation:
        instruction = [*_ids(self.tokenizer, f" {text}"), self._seg]
        limit = self.config.language.max_tokens
        if len(instruction) > limit:
            raise PromptError(
                f"the instruction is {len(instruction)} tokens long; this model reads at most "
                f"{limit}: shorten it"
            )
        start = len(self._template)
        ids = self._template + instruction
        labels = [IGNORED] * len(ids)
        if answer is not None:
            reply, reply_labels = self._reply(answer)
            ids, labels = ids + reply, labels + reply_labels
        return _Conversation(ids, slice(start, start + len(instruction)), labels)

    def _reply(self, answer: str) -> tuple[list[int], list[int]]:
        """Tokens of the reply, and their labels; what closes the instruction is not predicted."""
        opening = self.tokenizer.encode(_CLOSING + _OPENING, add_special_tokens=False)
        closing = sum(start < len(_CLOSING) for start, _ in opening.offsets)
        ids = [
            *opening.ids,
            *_ids(self.tokenizer, _BEFORE_ANSWER),
            *_ids(self.tokenizer, answer),
            self._seg,
            *_ids(self.tokenizer, _AFTER_ANSWER + self._end),
        ]
        return ids, [IGNORED] * closing + ids[closing:]

    def _check(self, prompt: Prompt) -> None:
        if not self.accepts(prompt):
            raise PromptError(
                "this model knows no points to leave out; give positive points or a box, or use "
                "the model nano"
            )
        rows, limit = len(prompt.points) + (prompt.box is not None), len(self._template)
        if rows > limit:
            raise PromptError(f"{rows} points were given, this model takes {limit}; give fewer")


def _tensors(conversations: Sequence[_Conversation]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Token ids, which are real, which are the instruction's, and labels; (P, L) each."""
    longest = max((len(conversation.ids) for conversation in conversations), default=0)
    token_ids = torch.zeros(len(conversations), longest, dtype=torch.long)
    labels = torch.full_like(token_ids, IGNORED)
    attention_mask, instruction = torch.zeros(2, *token_ids.shape, dtype=torch.bool)
    for index, conversation in enumerate(conversations):
        length = len(conversation.ids)
        token_ids[index, :length] = torch.tensor(conversation.ids)
        labels[index, :length] = torch.tensor(conversation.labels)
        attention_mask[index, :length] = True
        instruction[index, conversation.instruction] = True
    return token_ids, attention_mask, instruction, labels


def _ids(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False).ids)
