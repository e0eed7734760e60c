"""The language model of Base: a decoder-only model of `transformers`, which is a replaceable part.

Legend: P prompts, L text tokens, T image tokens, F tokens before the image, D width, V vocabulary.
The sequence is what is said before the image, the image, and the text about it; attention is
causal, so what stands before a token never depends on what follows.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unigeoseg.errors import MissingExtraError, OptionError
from unigeoseg.model.config import CausalLanguageConfig


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
        self, text_PLD: Tensor, attention_mask: Tensor, image_PTD: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Read the image, then the text.

        Args:
            text_PLD: Token embeddings, the enhanced ones in their place (P, L, D).
            attention_mask: (P, L) bool, True where a token is real; padding is on the right.
            image_PTD: Image tokens of each prompt's image (P, T, D).

        Returns:
            Hidden states of the text (P, L, D) and of the image tokens (P, T, D).
        """
        prompts, length = attention_mask.shape
        prefix_ids = torch.tensor(self.config.prefix, dtype=torch.long, device=text_PLD.device)
        prefix_PFD = self.embed(prefix_ids).expand(prompts, -1, -1)
        text_PLD = text_PLD * attention_mask.unsqueeze(-1)
        sequence = torch.cat([prefix_PFD, image_PTD, text_PLD], dim=1)
        seen = attention_mask.new_ones(prompts, sequence.shape[1] - length)
        hidden: Tensor = self.model(
            inputs_embeds=sequence,
            attention_mask=torch.cat([seen, attention_mask], dim=1),
            use_cache=False,
        ).last_hidden_state
        return hidden[:, -length:], hidden[:, len(prefix_ids) : -length]

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


def _language_model(config: CausalLanguageConfig) -> Any:  # noqa: ANN401  (transformers' own type)
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise MissingExtraError("a language model such as Phi", "base") from error
    settings = AutoConfig.for_model(config.architecture, **config.settings)
    return AutoModel.from_config(settings, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
