"""The language model of Base: a decoder-only model of `transformers`, which is a replaceable part.

Legend: B images, P prompts, L text tokens, T image tokens, F tokens before the image, D width,
V vocabulary.
The sequence is what is said before the image, the image, and the text about it; attention is
causal, so what stands before a token never depends on what follows. Hence what was read before
the text can be remembered: the first F tokens once and for all, the image tokens once per image.
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
        """Read the image, then the text; what was read before is not read again.

        Args:
            text_PLD: Token embeddings, the enhanced ones in their place (P, L, D).
            attention_mask: (P, L) bool, True where a token is real; padding is on the right.
            image_PTD: Image tokens of each prompt's image (P, T, D).
            context: What is remembered of all that stands before the image, or before the text,
                for P prompts.

        Returns:
            Hidden states of the text (P, L, D); those of the image tokens (P, T, D), or the
            tokens themselves where the image is remembered; and what to remember of all that
            stands before the text, None where gradients are wanted or nothing new was read.
        """
        length = text_PLD.shape[1]
        sequence = text_PLD * attention_mask.unsqueeze(-1)
        first = len(self.config.prefix) if context is None else 0
        image_known = _length(context or ()) > len(self.config.prefix)
        if not image_known:
            sequence = torch.cat([image_PTD, sequence], dim=1)
        if context is None:
            sequence = torch.cat([self._prefix(len(text_PLD)), sequence], dim=1)
        hidden, behind = self._read(sequence, context or (), attention_mask)
        if image_known:
            return hidden[:, -length:], image_PTD, None
        return hidden[:, -length:], hidden[:, first:-length], _before(behind, length) or None

    def start(self) -> Context:
        """Read what is said before any image, once; it is true until the weights change."""
        return self._read(self._prefix(1), ())[1]

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

        before = _length(context)
        if attention_mask is not None:
            prompts, length = attention_mask.shape
            seen = attention_mask.new_ones(prompts, before + sequence_PLD.shape[1] - length)
            attention_mask = torch.cat([seen, attention_mask], dim=1)
        kept = not torch.is_grad_enabled()
        cache: Any = DynamicCache(context or None) if kept else None  # filled by the model
        out = self.model(
            inputs_embeds=sequence_PLD,
            attention_mask=attention_mask,
            use_cache=kept,
            **{self._cache_name: cache},
        )
        layers = cache.layers if kept else ()
        return out.last_hidden_state, tuple((layer.keys, layer.values) for layer in layers)

    def _prefix(self, prompts: int) -> Tensor:
        """Embeddings of what is said before the image (P, F, D)."""
        return self._embed_ids(self.config.prefix).expand(prompts, -1, -1)

    def _embed_ids(self, ids: Sequence[int]) -> Tensor:
        device = self.model.get_input_embeddings().weight.device
        return self.embed(torch.tensor([list(ids)], dtype=torch.long).to(device))

    def settle(self) -> None:
        """Compute what is not stored with the weights: the rotary frequencies.

        Raises:
            OptionError: If the language model keeps anything else beside its weights.
        """
        for name, module in self.model.named_modules():
            if type(module).__name__.endswith("RotaryEmbedding"):
                parent, _, child = name.rpartition(".")
                fresh = type(module)(config=self.model.config)
                setattr(self.model.get_submodule(parent), child, fresh.cpu())
        stored = self.model.state_dict().keys()
        left = [name for name, value in self.model.named_buffers() if value.is_meta]
        if unsettled := sorted(set(left) - stored):
            raise OptionError(
                f"a language model of architecture {self.config.architecture!r} keeps "
                f"{unsettled[0]} beside its weights, which is not stored; use one of the "
                "architectures phi, llama or qwen2"
            )


def _length(context: Context) -> int:
    """How many tokens are remembered."""
    return context[0][0].shape[2] if context else 0


def _before(context: Context, length: int) -> Context:
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
    """What a model of `transformers` calls its cache: "cache", before 5.24 "past_key_values"."""
    taken = signature(model.forward).parameters
    return "cache" if "cache" in taken else "past_key_values"
