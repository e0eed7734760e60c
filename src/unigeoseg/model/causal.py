"""The language model of Base: a decoder-only model of `transformers`, which is a replaceable part.

Legend: B images, P prompts, L text tokens, T image tokens, F tokens before the image, D width,
V vocabulary.
The sequence is what is said before the image, the image, and the text about it; attention is
causal, so what stands before a token never depends on what follows. Hence what was read before
the text can be remembered: the first F tokens once and for all, the image tokens once per image.
"""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unigeoseg.errors import MissingExtraError
from unigeoseg.model.config import CausalLanguageConfig

Context = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values (B, heads, tokens, head width) of tokens that were read, for each layer."""


class CausalLanguage(nn.Module):
    """Token embeddings, a decoder-only language model, and the head that predicts words."""

    def __init__(self, config: CausalLanguageConfig) -> None:
        """Build the model that `config` names, randomly initialised.

        Raises:
            MissingExtraError: If `transformers` is not installed.
        """
        super().__init__()
        self.config = config
        self.model = _language_model(config)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)

    def embed(self, token_ids: Tensor) -> Tensor:
        """Embed token ids (P, L) int64 as (P, L, D): the E_t that TATE works on."""
        embedded: Tensor = self.model.get_input_embeddings()(token_ids)
        return embedded

    def forward(
        self,
        text_PLD: Tensor,
        attention_mask: Tensor,
        image_PTD: Tensor,
        context: Context | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Read the image, then the text; the image is not read again where it is remembered.

        Args:
            text_PLD: Token embeddings, the enhanced ones in their place (P, L, D).
            attention_mask: (P, L) bool, True where a token is real; padding is on the right.
            image_PTD: Image tokens of each prompt's image (P, T, D).
            context: What `remember` keeps of each prompt's image.

        Returns:
            Hidden states of the text (P, L, D), and of the image tokens (P, T, D), or the tokens
            themselves where the image is remembered.
        """
        text_PLD = text_PLD * attention_mask.unsqueeze(-1)
        if context is not None:
            return self._read(text_PLD, context, attention_mask)[0], image_PTD
        length, first = text_PLD.shape[1], len(self.config.prefix)
        sequence = torch.cat([self._prefix(len(text_PLD)), image_PTD, text_PLD], dim=1)
        hidden, _ = self._read(sequence, (), attention_mask)
        return hidden[:, -length:], hidden[:, first:-length]

    def start(self) -> Context:
        """Read what is said before any image, once; it is true until the weights change."""
        return self._read(self._prefix(1), ())[1]

    def remember(self, image_BTD: Tensor, start: Context) -> Context:
        """Read image tokens (B, T, D) behind `start`, for any number of prompts on them."""
        return self._read(image_BTD, of_prompts(start, [0] * len(image_BTD)))[1]

    def generate(
        self,
        text_1LD: Tensor,
        context: Context,
        opening: Sequence[int],
        ending: Collection[int],
        limit: int,
    ) -> list[int]:
        """Go on behind one prompt's text, word by word, each the likeliest.

        Args:
            text_1LD: Token embeddings of the prompt (1, L, D), the enhanced ones in their place.
            context: What is remembered of its image.
            opening: Token ids with which the reply starts.
            ending: Token ids of which any ends the reply.
            limit: Most tokens to say.

        Returns:
            Token ids of the reply, without its opening and end.
        """
        said: list[int] = []
        step = torch.cat([text_1LD, self._embed_ids(opening)], dim=1)
        while len(said) < limit:
            hidden, context = self._read(step, context)
            token = int(self.head(hidden[0, -1]).argmax())
            if token in ending:
                break
            said.append(token)
            step = self._embed_ids([token])
        return said

    def _read(
        self, sequence_PLD: Tensor, context: Context, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Context]:
        """Hidden states of a sequence (P, L, D) behind a context, and the context behind it.

        Args:
            sequence_PLD: Embeddings.
            context: Of what stands before; empty where nothing does.
            attention_mask: (P, at most L) bool of its last tokens; the others are all real.
        """
        from transformers import DynamicCache

        before = context[0][0].shape[2] if context else 0
        if attention_mask is not None:
            prompts, length = attention_mask.shape
            seen = attention_mask.new_ones(prompts, before + sequence_PLD.shape[1] - length)
            attention_mask = torch.cat([seen, attention_mask], dim=1)
        kept = not torch.is_grad_enabled()
        out = self.model(
            inputs_embeds=sequence_PLD,
            attention_mask=attention_mask,
            past_key_values=DynamicCache(context or None) if kept else None,
            use_cache=kept,
        )
        layers = out.past_key_values.layers if kept else ()
        return out.last_hidden_state, tuple((layer.keys, layer.values) for layer in layers)

    def _prefix(self, prompts: int) -> Tensor:
        """Embeddings of what is said before the image (P, F, D)."""
        return self._embed_ids(self.config.prefix).expand(prompts, -1, -1)

    def _embed_ids(self, ids: Sequence[int]) -> Tensor:
        device = self.head.weight.device
        return self.embed(torch.tensor([list(ids)], dtype=torch.long, device=device))

    def settle(self) -> None:
        """Compute what is not stored with the weights: the rotary frequencies."""
        for name, module in self.model.named_modules():
            if type(module).__name__.endswith("RotaryEmbedding"):
                parent, _, child = name.rpartition(".")
                fresh = type(module)(config=self.model.config)
                setattr(self.model.get_submodule(parent), child, fresh)


def of_prompts(context: Context, which: Sequence[int] | Tensor) -> Context:
    """The context of each prompt's image, from those of B images; `which` has P indices."""
    return tuple((keys[which], values[which]) for keys, values in context)


def _language_model(config: CausalLanguageConfig) -> Any:  # noqa: ANN401  (transformers' own type)
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise MissingExtraError("a language model such as Phi", "base") from error
    settings = AutoConfig.for_model(config.architecture, **config.settings)
    return AutoModel.from_config(settings, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
