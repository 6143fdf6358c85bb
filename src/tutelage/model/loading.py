"""Loading and saving model folders: policies (causal language models), reward and value models (scalar head)."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from tutelage.errors import ConfigError, ModelError
from tutelage.model.stops import tell_generation, tell_stop_tokens
from tutelage.model.trials import check_head_is_linear, choose_attention

# Loading prints a progress bar and, for a reward model made from a policy, a warning about the missing head.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()

DROPOUTS = (
    "attention_dropout",
    "attn_pdrop",
    "resid_pdrop",
    "embd_pdrop",
    "hidden_dropout",
    "dropout",
    "activation_dropout",
    "layerdrop",
)
# Heads that are more than a linear map: log-probabilities would be wrong if only the linear part were applied.
UNSUPPORTED_HEADS = ("final_logit_softcapping", "logits_scaling", "logit_scale", "lm_head_multiplier")
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def device_of(name: str) -> torch.device:
    """A device by torch's name; "auto" takes a GPU if there is one. Raises `ConfigError` if it is not available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device is {name!r}, which cannot be used here ({_first_line(error)}); set it to auto, cpu, or the "
            "name of a GPU of this machine, such as cuda:0"
        ) from error
    return device


def load_tokenizer(path: str | Path) -> Any:
    """The tokenizer of a model folder or hub id."""
    _require_place(path)
    if not Path(path).exists():
        _load_config(path)  # reports an unreachable hub as such
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), trust_remote_code=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"model {str(path)!r} has no tokenizer that can be loaded ({_first_line(error)}); a policy needs one. "
            "Add tokenizer.json and tokenizer_config.json to the folder, e.g. with tokenizer.save_pretrained(folder)"
        ) from error
    _check_tokens_fit(path, tokenizer)
    tell_stop_tokens(path, tokenizer)
    return tokenizer


def _check_tokens_fit(path: str | Path, tokenizer: Any) -> None:
    """Refuse a tokenizer with more tokens than its model has embeddings."""
    if not (Path(path) / "config.json").is_file():
        return
    num_embeddings = getattr(_load_config(path).get_text_config(), "vocab_size", None)
    highest = max(tokenizer.get_vocab().values(), default=0)
    if num_embeddings is not None and highest >= num_embeddings:
        raise ModelError(
            f"model {str(path)!r} has {num_embeddings} embeddings, but its tokenizer has token {highest}; every token "
            "needs one. Put the tokenizer of this model into the folder, or resize the model's embeddings"
        )


def load_policy(path: str | Path, *, device: str | torch.device = "cpu", trust_pickle: bool = False) -> PreTrainedModel:
    """A causal language model in float32, its own dropout set to 0, with packed attention if its architecture can."""
    config = _load_config(path)
    if _has_trained_score(config):
        raise ModelError(
            f"model {str(path)!r} is a reward model, which has no vocabulary head; use the folder of a policy"
        )
    scaled = [name for name in UNSUPPORTED_HEADS if getattr(config.get_text_config(), name, None) not in (None, 1, 1.0)]
    if scaled:
        raise ModelError(
            f"model {str(path)!r} has {', '.join(scaled)} in its head, which is not supported; use another architecture"
        )
    model = _from_pretrained(AutoModelForCausalLM, path, config, trust_pickle)
    check_head_is_linear(model)
    return _prepared(model, device)


def load_scalar_model(
    path: str | Path,
    *,
    head_seed: int | None = None,
    device: str | torch.device = "cpu",
    trust_pickle: bool = False,
) -> PreTrainedModel:
    """A reward or value model, from the folder of one; with a `head_seed`, also from a policy's, with a fresh head.

    Fresh head: weights N(0, 1 / (D + 1)) (lm-human-preferences and summarize-from-feedback code), no bias.
    """
    config = _load_config(path)
    is_trained = _has_trained_score(config)
    if not is_trained and head_seed is None:
        raise ModelError(
            f"model {str(path)!r} is not a reward model (its architecture is {config.architectures}), so its scores "
            "would be random; use the folder that `tutelage reward` wrote"
        )
    if is_trained and config.num_labels != 1:
        raise ModelError(f"reward model {str(path)!r} has {config.num_labels} labels; it must have one, the score")
    config.num_labels = 1
    if config.pad_token_id == config.eos_token_id:
        # Other programs read the score at the last non-padding token, so the stop token must not be the padding token.
        config.pad_token_id = None
    may_lack = () if is_trained else ("score.",)
    model = _from_pretrained(AutoModelForSequenceClassification, path, config, trust_pickle, may_lack=may_lack)
    head = getattr(model, "score", None)
    if not isinstance(head, torch.nn.Module):
        raise ModelError(f"model {str(path)!r}: architecture {config.model_type!r} has no `score` head; use another")
    if head_seed is not None and not is_trained:
        assert isinstance(head, torch.nn.Linear), "transformers makes a scalar head a linear layer"
        generator = torch.Generator().manual_seed(head_seed)
        with torch.no_grad():
            drawn = torch.randn(1, head.in_features, generator=generator)
            head.weight.copy_(drawn / math.sqrt(head.in_features + 1))
    return _prepared(model, device)


def new_language_model(
    *,
    vocab_size: int,
    context_tokens: int,
    width: int,
    num_layers: int,
    num_heads: int,
    seed: int,
    tokenizer: Any,
    has_query_key_norm: bool = False,
    rope_theta: float = 10_000.0,
) -> PreTrainedModel:
    """A Llama-shaped model with random weights and tied embeddings; its feed-forward is 8/3 of the width.

    `has_query_key_norm` normalizes each head's queries and keys (Henry et al. 2020): the architecture is then Qwen3,
    which is Llama with this norm. `rope_theta`: base of the rotary positions (Su et al. 2021).
    """
    config = AutoConfig.for_model(
        "qwen3" if has_query_key_norm else "llama",
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=_rounded(width * 8 / 3, 32),
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        num_key_value_heads=num_heads,
        head_dim=width // num_heads,
        rope_theta=rope_theta,
        max_position_embeddings=context_tokens,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
    return _prepared(model, "cpu")


def save_model(model: PreTrainedModel, tokenizer: Any | None, folder: Path) -> None:
    """Save a `save_pretrained` folder that plain transformers can load; weights only as safetensors."""
    was = model.config._attn_implementation
    # A checkpoint must not request our attention function from other programs.
    model.config._attn_implementation = None
    if tokenizer is not None:
        tell_generation(model, tokenizer)
    try:
        model.save_pretrained(folder)
    finally:
        model.config._attn_implementation = was
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def check_same_vocabulary(policy_path: str | Path, scalar_path: str | Path, name: str = "reward_model") -> None:
    """Refuse a reward model with a different vocabulary than the policy."""
    policy, other = load_tokenizer(policy_path), load_tokenizer(scalar_path)
    policy_vocabulary, other_vocabulary = policy.get_vocab(), other.get_vocab()
    if policy_vocabulary == other_vocabulary:
        return
    differing = sum(policy_vocabulary.get(token) != i for token, i in other_vocabulary.items())
    raise ModelError(
        f"{name} {str(scalar_path)!r} has a vocabulary of {len(other_vocabulary)} tokens, {differing} of which the "
        f"policy {str(policy_path)!r} ({len(policy_vocabulary)} tokens) does not have or gives other ids; they must "
        "be the same. Train the reward model from the same base model as the policy"
    )


def _has_trained_score(config: Any) -> bool:
    return any("SequenceClassification" in name for name in config.architectures or [])


def _require_place(path: str | Path) -> None:
    """Refuse what is neither a folder nor could be a hub id (`name` or `owner/name`), before a hub is asked for it."""
    if not Path(path).exists() and not HUB_ID.fullmatch(str(path)):
        raise ModelError(
            f"model folder {str(path)!r} does not exist. Give a folder written by save_pretrained (the `model` "
            "folder of a run exists once the run has finished), or a hub id"
        )


def _load_config(path: str | Path) -> Any:
    _require_place(path)
    if Path(path).is_dir() and not (Path(path) / "config.json").is_file():
        raise ModelError(f"model folder {str(path)!r} has no config.json; give a folder written by save_pretrained")
    try:
        config = AutoConfig.from_pretrained(str(path), trust_remote_code=False)
    except (OSError, ValueError, json.JSONDecodeError) as error:
        raise ModelError(
            f"model {str(path)!r} could not be found or read ({_first_line(error)}); give a folder written by "
            "save_pretrained, or a hub id if a hub is reachable"
        ) from error
    for name in DROPOUTS:
        if isinstance(getattr(config, name, None), float):
            setattr(config, name, 0.0)
    return config


def _from_pretrained(
    family: Any, path: str | Path, config: Any, trust_pickle: bool, *, may_lack: tuple[str, ...] = ()
) -> PreTrainedModel:
    try:
        model, loaded = family.from_pretrained(
            str(path),
            config=config,
            dtype=torch.float32,
            use_safetensors=None if trust_pickle else True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"model {str(path)!r} could not be loaded ({_first_line(error)}). Weights are read from safetensors only; "
            "convert a .bin checkpoint with save_pretrained first"
        ) from error
    missing = sorted(name for name in loaded["missing_keys"] if not name.startswith(may_lack))
    if missing:
        raise ModelError(
            f"model {str(path)!r} has no weights for {', '.join(missing[:3])} ({len(missing)} missing in all), which "
            "would be random. Give a complete folder, written by save_pretrained"
        )
    return model


def _prepared(model: PreTrainedModel, device: str | torch.device) -> PreTrainedModel:
    model = model.to(device)  # type: ignore[arg-type]
    choose_attention(model)
    return model.eval()


def _rounded(value: float, multiple: int) -> int:
    return max(multiple, round(value / multiple) * multiple)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
