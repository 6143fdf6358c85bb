"""Checks when a model is loaded: that running and sampling it here reproduces the model's own results.

Its own results are those of one sequence at a time, without padding, a mask or a cache. If packed attention and our
cache reproduce them, they are used. Otherwise the padded path, with the model's own attention and cache, is used if it
reproduces them. An architecture for which neither does is refused: it would silently train on wrong results.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.errors import ModelError
from tutelage.model.attention import ATTENTION_NAME
from tutelage.model.context import context_of
from tutelage.model.forward import backbone, evaluating, hidden_states, last_states, response_logprobs
from tutelage.model.packing import Group, PackedBatch, pack
from tutelage.model.precision import exact_products
from tutelage.model.sampling import SamplingSettings, sample_responses

# What an architecture raises that does not accept the keywords, shapes or cache it is called with.
UNFIT = (TypeError, ValueError, AssertionError, AttributeError, RuntimeError, KeyError, IndexError)
# Tolerances: relative to the largest hidden state, in float32 and in coarser types; and in nats between the sampler's
# and the forward pass's log-probabilities. Wrong attention changes them by a hundredth or more.
STATES_TOLERANCE, COARSE_TOLERANCE, LOGPROBS_TOLERANCE = 1e-4, 5e-2, 1e-3
# Names of attention windows and chunks in configurations; not `max_window_layers`, `num_windows`, `conv_window`.
WINDOW = re.compile(r"((sliding|attention|local)_)?(window|attention_window|attention_chunk)(_size|_len)?")

# Whether a configuration supports packed tokens, cached: the same folder is loaded many times in a run.
_reads_packed: dict[str, bool] = {}


def choose_attention(model: PreTrainedModel) -> None:
    """Use packed attention for `model` if it is correct; raise `ModelError` if no path is correct.

    The result depends on the architecture's code and configuration, so it is checked once for each.
    """
    key = f"{type(model).__name__} {next(model.parameters()).dtype} {_described(model.config)}"
    if key not in _reads_packed:
        _reads_packed[key] = reads_packed_tokens(model)
    if _reads_packed[key]:
        model.set_attn_implementation(ATTENTION_NAME)


def _described(config: Any) -> str:
    written = config.to_json_string(use_diff=False)
    return "\n".join(
        line for line in written.splitlines() if '"score_bias"' not in line and '"_name_or_path"' not in line
    )


def reads_packed_tokens(model: PreTrainedModel) -> bool:
    """Whether packed attention reproduces the results of `model`; False: its own attention, with padding, does.

    Checked on three short sequences and, for a policy, on a few sampled tokens. Raises `ModelError` if a token sees
    later ones, or if neither path reproduces the results of one sequence at a time.
    """
    groups, batch = _trial_batch(model)
    with evaluating(model), exact_products():
        own = _own_states(model, groups)
        if may_pack(model.config) and _problem(model, ATTENTION_NAME, batch, own) is None:
            return True
        problem = _problem(model, model.config._attn_implementation, batch, own)
    if problem is not None:
        raise ModelError(
            f"model {model.name_or_path!r}: architecture {model.config.model_type!r} {problem}; use another one"
        )
    return False


def may_pack(config: Any) -> bool:
    """Whether attention is full in every layer, as far as the configuration tells.

    A window or chunk may be longer than the checked sequences, and some architectures apply it in a mask we never see.
    """
    text = config.get_text_config()
    if any(kind != "full_attention" for kind in getattr(text, "layer_types", None) or ()):
        return False
    if getattr(text, "use_sliding_window", None) is False:
        return True
    spans = [value for name, value in text.to_dict().items() if WINDOW.fullmatch(name) and isinstance(value, int)]
    return all(span >= context_of(config) for span in spans if span > 0)


def check_head_is_linear(model: PreTrainedModel) -> None:
    """Refuse a model whose logits are anything but its head's matrix applied to its last hidden states."""
    tokens = (torch.arange(2, 10) % model.config.get_text_config().vocab_size).unsqueeze(0)
    with evaluating(model):
        expected = model(input_ids=tokens, use_cache=False).logits
        states = backbone(model)(input_ids=tokens, use_cache=False).last_hidden_state
        found = model.get_output_embeddings()(states)
    if not bool(expected.isfinite().all()):
        raise ModelError(
            f"model {model.name_or_path!r} gives logits that are NaN or infinite, so its weights are corrupted; use "
            "another model, or an earlier one of the same run"
        )
    if not torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * max(1.0, float(expected.abs().max()))):
        raise ModelError(
            f"{_named(model)} has an LM head that is not a single linear layer, which is not supported; use another one"
        )


def _trial_batch(model: PreTrainedModel) -> tuple[list[Group], PackedBatch]:
    ids = (torch.arange(2, 14) % model.config.get_text_config().vocab_size).tolist()
    groups = [Group(prompt=ids[:3], responses=[ids[3:5], ids[5:9]]), Group(prompt=ids[9:10], responses=[ids[10:12]])]
    return groups, pack(groups, device=next(model.parameters()).device)


def _own_states(model: PreTrainedModel, groups: list[Group]) -> Tensor:
    """Hidden states (T, D) in packed order, from one sequence at a time. Refuses a model that is not causal."""
    device, pieces = next(model.parameters()).device, []
    for group in groups:
        rows = [torch.tensor([[*group.prompt, *response]], device=device) for response in group.responses]
        states = [last_states(model, input_ids=row)[0] for row in rows]
        end = len(group.prompt)
        for other in states[1:]:
            _check_causal(model, states[0][:end], other[:end])
        pieces += [states[0][:end], *(own[end:] for own in states)]
    return torch.cat(pieces)


def _check_causal(model: PreTrainedModel, states: Tensor, other: Tensor) -> None:
    """A prompt has the same `states` whatever follows it."""
    if not bool(states.isfinite().all()):
        raise ModelError(
            f"model {model.name_or_path!r} gives hidden states that are NaN or infinite, so its weights are corrupted; "
            "use another model, or an earlier one of the same run"
        )
    if not _are_close(states, other):
        raise ModelError(
            f"{_named(model)} lets a token attend to later ones, so it "
            "does not predict the next one; only causal language models can be trained. Use another model, or set "
            "is_decoder or causal in its config.json if it was trained as a causal model"
        )


def _problem(model: PreTrainedModel, attention: str, batch: PackedBatch, own: Tensor) -> str | None:
    """What is wrong with running or sampling `model` with `attention`, if anything; its current one is restored."""
    original = model.config._attn_implementation
    try:
        model.set_attn_implementation(attention)
        if model.config._attn_implementation != attention:  # an architecture without the interface only warns
            return f"does not accept attention {attention!r}"
        return _reading_problem(model, batch, own) or _sampling_problem(model)
    except UNFIT as error:
        told = str(error).strip().splitlines()
        return f"cannot be run and sampled in batches here ({type(error).__name__}: {told[0][:120] if told else ''})"
    finally:
        model.set_attn_implementation(original)


def _reading_problem(model: PreTrainedModel, batch: PackedBatch, own: Tensor) -> str | None:
    found = hidden_states(model, batch)
    if _are_close(found, own):
        return None
    return f"gives different hidden states in a batch than alone (by up to {_distance(found, own):.2g})"


def _sampling_problem(model: PreTrainedModel) -> str | None:
    if model.get_output_embeddings() is None:  # a reward or value model
        return None
    distance = _sampling_distance(model)
    if distance <= LOGPROBS_TOLERANCE:
        return None
    return f"gives different log-probabilities when sampling than in a forward pass (by up to {distance:.2g} nats)"


def _sampling_distance(model: PreTrainedModel) -> float:
    """Largest difference (nats) between log-probabilities from sampling and from a forward pass.

    Prompts of different lengths, two responses each; the first ones end early, so that rows move.
    """
    vocab_size = model.config.get_text_config().vocab_size
    ids = (torch.arange(2, 6) % vocab_size).tolist()
    prompts = [ids[:3], ids[3:4]]
    sampled = sample_responses(
        model,
        prompts,
        settings=SamplingSettings(max_response_tokens=4),
        stop_tokens=[vocab_size],  # none
        generator=torch.Generator().manual_seed(0),
        num_responses=2,
        room=[4, 2],
    )
    groups = [Group(prompt=p, responses=[r.tokens for r in own]) for p, own in zip(prompts, sampled, strict=True)]
    found = torch.tensor([logprob for own in sampled for response in own for logprob in response.logprobs])
    read = response_logprobs(model, pack(groups, device=next(model.parameters()).device))
    return _distance(found, read.float().cpu())


def _are_close(found: Tensor, expected: Tensor) -> bool:
    tolerance = STATES_TOLERANCE if expected.dtype in (torch.float32, torch.float64) else COARSE_TOLERANCE
    return _distance(found, expected) <= tolerance * max(float(expected.abs().max()), 1.0)


def _distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max())


def _named(model: PreTrainedModel) -> str:
    return f"model {model.name_or_path!r}: architecture {model.config.model_type!r}"
