"""Pretrained language models of `transformers`, from directories of its `save_pretrained`.

What differs from one family of models to another (names of weights, head, end of text, start of
text) is asked of `transformers` and of the tokenizer here, and is not known elsewhere. Nothing is
fetched, no code of a directory is run, and a pickled file is read as plain tensors only.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from safetensors import SafetensorError
from tokenizers import Tokenizer

from unigeoseg.errors import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    MissingExtraError,
    OptionError,
)
from unigeoseg.model.base.causal_lm import CausalLanguage
from unigeoseg.model.base.chat import SEG_TOKEN, prefix_of
from unigeoseg.model.config import CausalLanguageConfig
from unigeoseg.model.io.checkpoint import check_fit
from unigeoseg.model.io.key_map import LoadingReport
from unigeoseg.model.network import UniGeoSegNetwork

_SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_DAMAGE = (SafetensorError, UnpicklingError, RuntimeError, ValueError, OSError, EOFError, KeyError)
_AGAIN = "fetch every file of the language model again"
# what every model of `transformers` has in its settings, whatever it computes
_TOKENS = {"bos_token_id", "eos_token_id", "pad_token_id", "use_cache"}


def read_language(directory: Path) -> tuple[CausalLanguageConfig, Tokenizer]:
    """Configuration and tokenizer of a language model, ready for a network.

    Args:
        directory: Holds config.json and the tokenizer's files.

    Returns:
        The configuration, and the tokenizer, which knows [SEG].

    Raises:
        MissingExtraError: If `transformers` is not installed.
        CheckpointNotFoundError: If there is no such directory, or it has no config.json.
        CheckpointDamagedError: If a file cannot be read.
        OptionError: If the tokenizer has no token that ends a text.
    """
    transformers = _transformers()
    _check_directory(directory)
    try:
        settings = transformers.AutoConfig.from_pretrained(directory, **_SAFE)
        read = transformers.AutoTokenizer.from_pretrained(directory, **_SAFE)
    except _DAMAGE as error:
        raise CheckpointDamagedError(f"{directory} cannot be read ({error}); {_AGAIN}") from error
    if read.eos_token is None:
        raise OptionError(
            f"the tokenizer in {directory} has no token that ends a text; name it in its "
            "tokenizer_config.json as eos_token"
        )
    tokenizer = Tokenizer.from_str(read.backend_tokenizer.to_str())
    return causal_config(settings, tokenizer, str(read.eos_token)), tokenizer


def causal_config(settings: Any, tokenizer: Tokenizer, end: str) -> CausalLanguageConfig:  # noqa: ANN401  (transformers' own type)
    """The configuration of a language model from its settings in `transformers`.

    Args:
        settings: A configuration object of `transformers`.
        tokenizer: Its tokenizer; [SEG] is added where it is not one token, and the vocabulary
            grows if there is no room for it.
        end: The token, as text, that ends a conversation.
    """
    if len(tokenizer.encode(SEG_TOKEN, add_special_tokens=False).ids) != 1:
        tokenizer.add_tokens([SEG_TOKEN])
    tokens = max(tokenizer.get_vocab().values()) + 1
    values = _settings(settings)
    return CausalLanguageConfig(
        architecture=settings.model_type,
        settings=values | {"vocab_size": max(values["vocab_size"], tokens)},
        prefix=prefix_of(tokenizer),
        end=end,
    )


def load_language(network: UniGeoSegNetwork, directory: Path) -> LoadingReport:
    """Load pretrained weights into the language part of a network; in place, in its own dtype.

    Rows of tokens that the pretrained model does not have are drawn round the mean of its rows. A
    bias of the head is left out and reported as unused: the released network has none.

    Args:
        network: Its configuration says the same of the language model as the directory.
        directory: As `save_pretrained` writes it: safetensors or .bin, whole or in parts.

    Returns:
        What became of each key.

    Raises:
        MissingExtraError: If `transformers` is not installed.
        CheckpointNotFoundError: If there is no such directory, or it has no config.json.
        CheckpointDamagedError: If a file cannot be read, a weight is missing or has another
            shape, or the settings are not those of the network.
    """
    transformers, language = _transformers(), network.language
    assert isinstance(language, CausalLanguage)
    _check_directory(directory)
    try:
        source, loading_info = transformers.AutoModelForCausalLM.from_pretrained(
            directory, dtype=language.head.weight.dtype, output_loading_info=True, **_SAFE
        )
    except _DAMAGE as error:
        raise CheckpointDamagedError(f"{directory} cannot be read ({error}); {_AGAIN}") from error
    _check_settings(directory, source.config, language.config)
    report = _report(source, loading_info)
    report.check(str(directory))
    if language.config.vocabulary > source.config.vocab_size:
        source.resize_token_embeddings(language.config.vocabulary)
    # a head may share its weight with the word embeddings; ours are two
    weights = {"head.weight": source.get_output_embeddings().weight.detach().clone()}
    weights |= {f"model.{key}": value for key, value in source.base_model.state_dict().items()}
    check_fit(str(directory), language.state_dict(), weights)
    language.load_state_dict(weights, assign=True)
    return report


def _report(source: Any, loading_info: Any) -> LoadingReport:  # noqa: ANN401  (transformers' own types)
    missing = tuple(sorted(loading_info["missing_keys"]))
    head = source.get_output_embeddings()
    names = (name for name, module in source.named_modules() if module is head)
    unused = tuple(f"{name}.bias" for name in names if head.bias is not None)
    return LoadingReport(
        loaded=tuple(key for key in source.state_dict() if key not in {*missing, *unused}),
        unused=unused,
        unknown=tuple(sorted(loading_info["unexpected_keys"])),
        missing=missing,
    )


def _check_settings(directory: Path, stored: Any, config: CausalLanguageConfig) -> None:  # noqa: ANN401
    """Weights of the right shapes may still be made for other heads or frequencies."""
    expected = _transformers().AutoConfig.for_model(config.architecture, **config.settings)
    # rows of the vocabulary may be added
    equal = {"vocab_size": 0}
    network = _settings(expected) | {"model_type": expected.model_type} | equal
    source = _settings(stored) | {"model_type": stored.model_type} | equal
    keys = network.keys() | source.keys()
    wrong = sorted(key for key in keys if network.get(key) != source.get(key))
    if wrong:
        key = wrong[0]
        raise CheckpointDamagedError(
            f"{directory} holds another language model than the network has: {key} is "
            f"{source.get(key)!r}, the network's {network.get(key)!r}; make the network's "
            "configuration from this directory"
        )


def _settings(settings: Any) -> dict[str, Any]:  # noqa: ANN401  (transformers' own type)
    """What a language model computes by: its settings without those that every model has."""
    common = _transformers().PretrainedConfig().to_dict().keys() | _TOKENS
    return {key: value for key, value in settings.to_dict().items() if key not in common}


def _check_directory(directory: Path) -> None:
    if not (directory / "config.json").is_file():
        raise CheckpointNotFoundError(
            f"{directory} has no config.json: name a local directory of a language model"
        )


def _transformers() -> Any:  # noqa: ANN401  (a module)
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("a language model such as Phi", "base") from error
    return transformers
