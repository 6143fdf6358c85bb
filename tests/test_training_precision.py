"""bfloat16: where it multiplies and where it does not, and what must hold in it as in float32."""

from __future__ import annotations

import math

import pytest
import torch

from test_training_ppo import configured, ptx, trainer_of  # noqa: F401
from tiny import TEXT, config_of, model_of, read_rows
from tutelage.errors import ModelError
from tutelage.model.forward import response_logprobs, response_scores
from tutelage.model.loading import load_policy, load_scalar_model
from tutelage.model.packing import Group, pack
from tutelage.model.precision import layer_precision, resolve_dtype, set_precision
from tutelage.model.sampling import SamplingSettings, sample_responses
from tutelage.training.config import DPOConfig, RewardConfig
from tutelage.training.dpo import dpo
from tutelage.training.reward import train_reward

DTYPES = ("float32", "bfloat16")
GROUPS = [Group(prompt=[5, 6, 7], responses=[[8, 9, 0]]), Group(prompt=[10], responses=[[11, 12, 13, 0]])]


def dtypes_in_training(model):
    """What the linear layers of a model give while gradients are on, and its head: filled as it runs."""
    found = {"layers": set(), "head": set()}
    heads = (model.get_output_embeddings(), getattr(model, "score", None))
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            part = "head" if any(module is head for head in heads) else "layers"

            def keep(module, inputs, output, part=part):
                if torch.is_grad_enabled():
                    found[part].add(output.dtype)

            module.register_forward_hook(keep)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_layers_multiply_as_configured_and_the_heads_in_float32(tiny, configured, dtype):  # noqa: F811
    """In the training forwards of policy and value model, and of the ptx term."""
    expected = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    trainer = trainer_of(configured(dtype, dtype=dtype, ptx=ptx(tiny), tokens_per_microbatch=100))
    value_model = trainer.estimator.value_model
    policy, value = dtypes_in_training(trainer.policy.model), dtypes_in_training(value_model.model)
    trainer.step(0)
    assert policy["layers"] == value["layers"] == {expected}
    assert value["head"] == {torch.float32}
    assert {p.dtype for model in (trainer.policy, value_model) for p in model.parameters()} == {torch.float32}


def test_log_probabilities_and_scores_are_not_rounded(tiny):
    """A bfloat16 number has eight significant bits; what the heads give has more."""
    policy = set_precision(load_policy(tiny.policy), "bfloat16")
    scorer = set_precision(load_scalar_model(tiny.reward_model), "bfloat16")
    scorer.config.score_bias = 56.35
    batch = pack(GROUPS)
    with torch.no_grad():
        for found in (response_logprobs(policy, batch), response_scores(scorer, batch)):
            assert found.dtype == torch.float32
            assert not torch.equal(found, found.bfloat16().float())
        scorer.config.score_bias = 0.0
        unbiased = response_scores(scorer, batch)
        scorer.config.score_bias = 56.35
        torch.testing.assert_close(response_scores(scorer, batch), unbiased - 56.35, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lora", [0, 4])
def test_the_first_ratio_is_one_and_the_first_kl_zero_to_the_bit(configured, dtype, lora):  # noqa: F811
    """Old log-probabilities come from the forward that the update makes, and so do the reference's."""
    name = f"{dtype}-{lora}"
    trainer = trainer_of(configured(name, dtype=dtype, lora={"rank": lora}, tokens_per_microbatch=60))
    metrics = trainer.step(0)
    assert (metrics["ratio"], metrics["kl_to_old_policy"], metrics["clip_fraction"]) == (1.0, 0.0, 0.0)
    assert metrics["kl_to_reference"] == 0.0
    assert trainer.step(1)["kl_to_reference"] != 0.0


def test_the_drift_of_the_sampler_is_told(configured):  # noqa: F811
    drift = {dtype: trainer_of(configured(dtype, dtype=dtype)).step(0)["max_sampling_drift"] for dtype in DTYPES}
    assert 0.0 <= drift["float32"] < 1e-4 < drift["bfloat16"] < 0.5


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sampler_that_reads_its_cache_wrongly_is_refused_before_an_update(configured, monkeypatch, dtype):  # noqa: F811
    """As the cached sampler did on families that call attention twice per layer: off by nats from the second token."""
    trainer = trainer_of(configured(dtype, dtype=dtype))
    whole = trainer.collector.generator.generate

    def sample_wrongly(*arguments, **others):
        found = whole(*arguments, **others)
        for responses in found:
            responses[0].logprobs[1:] = [logprob - 1.5 for logprob in responses[0].logprobs[1:]]
        return found

    monkeypatch.setattr(trainer.collector.generator, "generate", sample_wrongly)
    before = {name: p.clone() for name, p in trainer.policy.named_parameters()}
    with pytest.raises(ModelError, match=r"'llama' is not sampled correctly.*Nothing was trained"):
        trainer.step(0)
    assert all(torch.equal(before[name], p) for name, p in trainer.policy.named_parameters())


@pytest.mark.parametrize("lora", [0, 4])
def test_dpo_starts_at_log_two_in_bfloat16(tiny, tmp_path, lora):
    """Policy and reference in one precision: before the first update their log-ratios are 0, to the bit."""
    files = {"rankings": tiny.rankings, "validation": tiny.rankings, "allow_prompt_overlap": True}
    settings = {"policy": tiny.policy, "rankings_per_step": 40, "lora": {"rank": lora}, "dtype": "bfloat16"}
    # All rankings in one step, as when the reference read them: the same packed batches.
    config = DPOConfig.model_validate({"out": tmp_path / "dpo", "text": TEXT, "device": "cpu", **files, **settings})
    dpo(config)
    assert read_rows(config.out / "metrics.jsonl")[0]["dpo/loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_the_bias_is_set_in_the_precision_in_which_ppo_reads_scores(tiny, tmp_path):
    """The mean score of demonstrations is 0 as a run in the same precision computes it."""
    files = {"rankings": tiny.rankings, "validation": tiny.rankings, "demonstrations": tiny.demonstrations}
    settings = {"model": tiny.policy, "text": TEXT, "device": "cpu", "dtype": "bfloat16", "allow_prompt_overlap": True}
    summary = train_reward(RewardConfig.model_validate({"out": tmp_path / "reward", **files, **settings}))
    assert summary["mean_score_on_demonstrations"] == pytest.approx(0.0, abs=1e-5)


def test_a_loop_without_gradients_converts_the_weights_once():
    """The sampler's loop stands in the precision of its model; without one there is nothing around it."""
    model = model_of(config_of("llama"))
    with layer_precision(model):
        assert not torch.is_autocast_enabled("cpu")
    with layer_precision(set_precision(model, "bfloat16")):
        assert torch.is_autocast_enabled("cpu")


def test_tokens_are_drawn_from_logits_that_are_not_rounded(tiny):
    """The sampler's loop stands in bfloat16; its head does not."""
    policy, seen = set_precision(load_policy(tiny.policy), "bfloat16"), set()
    policy.get_output_embeddings().register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    settings, draws = SamplingSettings(max_response_tokens=3), torch.Generator().manual_seed(0)
    sample_responses(policy, [[5, 6], [7]], settings=settings, stop_tokens=[0], generator=draws)
    assert seen == {torch.float32}


def test_states_come_in_the_type_of_the_weights_whatever_ends_the_layers():
    """OPT may end with a projection, whose product is in bfloat16: the head takes none."""
    model = set_precision(model_of(config_of("opt", word_embed_proj_dim=16, do_layer_norm_before=False)), "bfloat16")
    found = response_logprobs(model, pack(GROUPS))
    assert found.dtype == torch.float32 and bool(found.isfinite().all())


@pytest.mark.parametrize(
    ("told", "dtype"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ({}, "float32"),
    ],
)
def test_auto_is_what_the_processor_says_it_multiplies_faster(monkeypatch, told, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    cpu = torch.device("cpu")
    assert resolve_dtype("auto", cpu) == dtype
    assert [resolve_dtype(name, cpu) for name in DTYPES] == list(DTYPES)
    model = set_precision(model_of(config_of("llama")), "auto")
    with layer_precision(model):
        assert str(model.model.layers[0].mlp.up_proj(torch.ones(1, 32)).dtype) == f"torch.{dtype}"
