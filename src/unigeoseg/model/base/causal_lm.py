"""The causal language model of Base: a decoder-only model of `transformers`, replaceable.

Legend: B images, P prompts, L text tokens, T image tokens, F tokens before the image, D width,
V vocabulary.
The sequence is a constant prefix, the image, and the text about it. Attention is causal, so what
stands before a token never depends on what follows. Hence keys and values are cached: those of the
prefix once and for all, those of the image tokens once per image.
"""

from collections.abc import Collection, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from unigeoseg.errors import MissingExtraError, OptionError
from unigeoseg.model.config import CausalLanguageConfig
from unigeoseg.model.values import Context


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
        self._cache_name = _name_of_cache(type(self.model))
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
    ) -> tuple[Tensor, Tensor, Context | None]:
        """Read the image, then the text; cached tokens are not read again.

        Args:
            text_PLD: Token embeddings, the enhanced ones in their place (P, L, D).
            attention_mask: (P, L) bool, True where a token is real; padding is on the right.
            image_PTD: Image tokens of each prompt's image (P, T, D).
            context: Key-value cache of the prefix, or of all that stands before the text, for P
                prompts.

        Returns:
            Hidden states of the text (P, L, D); those of the image tokens (P, T, D), or the
            tokens themselves where the image is cached; and the cache of all that stands before
            the text, None where gradients are wanted or nothing new was read.
        """
        length = text_PLD.shape[1]
        sequence = text_PLD * attention_mask.unsqueeze(-1)
        first = len(self.config.prefix) if context is None else 0
        image_is_cached = _length(context or ()) > len(self.config.prefix)
        if not image_is_cached:
            sequence = torch.cat([image_PTD, sequence], dim=1)
        if context is None:
            sequence = torch.cat([self._prefix(len(text_PLD)), sequence], dim=1)
        hidden, whole_context = self._read(sequence, context or (), attention_mask)
        if image_is_cached:
            return hidden[:, -length:], image_PTD, None
        return (
            hidden[:, -length:],
            hidden[:, first:-length],
            _without_last(whole_context, length) or None,
        )

    def start(self) -> Context:
        """Key-value cache of the prefix (B = 1), which holds until the weights change."""
        return self._read(self._prefix(1), ())[1]

    def generate(
        self,
        text_1LD: Tensor,
        context: Context,
        opening: Sequence[int],
        ending: Collection[int],
        limit: int,
    ) -> list[int]:
        """Greedy decoding behind one prompt's text.

        Args:
            text_1LD: Token embeddings of the prompt (1, L, D), the enhanced ones in their place.
            context: Key-value cache of its image.
            opening: Token ids with which the reply starts.
            ending: Token ids of which any ends the reply.
            limit: Most tokens to generate.

        Returns:
            Token ids of the reply, without its opening and end.
        """
        reply: list[int] = []
        step = torch.cat([text_1LD, self._embed_ids(opening)], dim=1)
        while len(reply) < limit:
            hidden, context = self._read(step, context)
            token = int(self.head(hidden[0, -1]).argmax())
            if token in ending:
                break
            reply.append(token)
            step = self._embed_ids([token])
        return reply

    def _read(
        self, sequence_PLD: Tensor, context: Context, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Context]:
        """Hidden states of a sequence (P, L, D) that follows a context, and the cache with both.

        Args:
            sequence_PLD: Embeddings.
            context: Cache of what stands before; empty where nothing does.
            attention_mask: (P, at most L) bool of its last tokens; the others are all real.
        """
        from transformers import DynamicCache

        if attention_mask is not None:
            prompts, length = attention_mask.shape
            earlier = _length(context) + sequence_PLD.shape[1] - length
            earlier_mask = attention_mask.new_ones(prompts, earlier)
            attention_mask = torch.cat([earlier_mask, attention_mask], dim=1)
        use_cache = not torch.is_grad_enabled()
        cache: Any = DynamicCache(context or None) if use_cache else None  # filled by the model
        out = self.model(
            inputs_embeds=sequence_PLD,
            attention_mask=attention_mask,
            use_cache=use_cache,
            **{self._cache_name: cache},
        )
        layers = cache.layers if use_cache else ()
        return out.last_hidden_state, tuple((layer.keys, layer.values) for layer in layers)

    def _prefix(self, prompts: int) -> Tensor:
        """Embeddings of the prefix (P, F, D)."""
        return self._embed_ids(self.config.prefix).expand(prompts, -1, -1)

    def _embed_ids(self, ids: Sequence[int]) -> Tensor:
        device = self.model.get_input_embeddings().weight.device
        return self.embed(torch.tensor([list(ids)], dtype=torch.long).to(device))

    def settle(self) -> None:
        """Compute the rotary frequencies, which are not stored with the weights.

        Raises:
            OptionError: If the language model keeps anything else beside its weights.
        """
        for name, module in self.model.named_modules():
            if type(module).__name__.endswith("RotaryEmbedding"):
                parent, _, child = name.rpartition(".")
                fresh = type(module)(config=self.model.config)
                setattr(self.model.get_submodule(parent), child, fresh.cpu())
        stored = self.model.state_dict().keys()
        without_values = {name for name, value in self.model.named_buffers() if value.is_meta}
        if unsettled := sorted(without_values - stored):
            raise OptionError(
                f"a language model of architecture {self.config.architecture!r} keeps "
                f"{unsettled[0]} beside its weights, which is not stored; use one of the "
                "architectures phi, llama or qwen2"
            )


def _length(context: Context) -> int:
    """How many tokens a context holds."""
    return context[0][0].shape[2] if context else 0


def _without_last(context: Context, length: int) -> Context:
    """A context without its last `length` tokens."""
    return tuple((keys[:, :, :-length], values[:, :, :-length]) for keys, values in context)


def _language_model(config: CausalLanguageConfig) -> Any:  # noqa: ANN401  (transformers' own type)
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise MissingExtraError("a language model such as Phi", "base") from error
    settings = AutoConfig.for_model(config.architecture, **config.settings)
    if settings.hidden_act == "gelu_new":
        settings.hidden_act = "gelu_pytorch_tanh"  # the same function, in one pass
    return AutoModel.from_config(settings, attn_implementation="sdpa")  # type: ignore[no-untyped-call]


def _name_of_cache(model: type[nn.Module]) -> str:
    """The argument of a model of `transformers` for its cache: before 5.24 "past_key_values"."""
    arguments = signature(model.forward).parameters
    return "cache" if "cache" in arguments else "past_key_values"
