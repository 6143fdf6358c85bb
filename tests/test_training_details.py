"""Choices around the objectives, as the stages make them: schedules, averages, the end of a response, the mix."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tiny import config_of, model_of, read_rows, write_rows

torch = pytest.importorskip("torch", reason="the stages train with torch")

from tutelage.errors import DataError, NonFiniteLossError  # noqa: E402
from tutelage.evaluation.measuring import mean_of  # noqa: E402
from tutelage.model.packing import Group, pack  # noqa: E402
from tutelage.model.policy import Policy  # noqa: E402
from tutelage.statistics.unbounded import clustered_mean  # noqa: E402
from tutelage.text.render import Renderer  # noqa: E402
from tutelage.training import ppo as ppo_stage  # noqa: E402
from tutelage.training.config import OptimizerConfig, PPOConfig, SFTConfig  # noqa: E402
from tutelage.training.language_modeling import language_term  # noqa: E402
from tutelage.training.optim import MovingAverage, Optimizer, learning_rate_share, require_finite  # noqa: E402
from tutelage.training.ppo import make_trainer, ppo  # noqa: E402
from tutelage.training.sft import mixed_windows, sft  # noqa: E402
from tutelage.training.stage import TrainingRun  # noqa: E402
from tutelage.workflow.measuring import kl_rows  # noqa: E402

if TYPE_CHECKING:
    from tiny import Tiny

TEXT = {"max_prompt_tokens": 40, "max_response_tokens": 12}


def _ppo_config(tiny: Tiny, out: Path, **others: Any) -> PPOConfig:
    settings = {"policy": tiny.policy, "reward_model": tiny.reward_model, "prompts": tiny.prompts, "text": TEXT}
    settings |= {"num_episodes": 8, "episodes_per_step": 8, "episodes_per_minibatch": 8, "ptx": {"coef": 0.0}}
    return PPOConfig.model_validate({**settings, "out": out, "device": "cpu", **others})


def _sft_config(tiny: Tiny, out: Path, **others: Any) -> SFTConfig:
    settings = {
        "model": tiny.policy,
        "demonstrations": tiny.demonstrations,
        "validation": tiny.demonstrations,
        "allow_prompt_overlap": True,
    }
    return SFTConfig.model_validate({**settings, "text": TEXT, "out": out, "device": "cpu", **others})


def _metrics(out: Path) -> list[dict[str, Any]]:
    return read_rows(out / "metrics.jsonl")


# -- optimizer


def test_cosine_falls_to_a_tenth_of_the_peak() -> None:
    """C.1: half-way down at half the steps: 0.1 + 0.9 / 2; at the end 0.1; no warm-up."""
    config = OptimizerConfig(learning_rate=1.0)
    assert learning_rate_share(config, 0, 100) == 1.0
    assert learning_rate_share(config, 50, 100) == pytest.approx(0.55)
    assert learning_rate_share(config, 100, 100) == pytest.approx(0.1)
    assert learning_rate_share(config, 25, 100) == pytest.approx(0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2)


def test_warm_up_starts_at_a_tenth_and_the_rate_is_constant_after() -> None:
    """C.4: from 0.1 of the peak over 10 iterations: after 5 of them 0.1 + 0.9 / 2."""
    config = OptimizerConfig(learning_rate=1.0, schedule="constant", warmup_steps=10)
    shares = [learning_rate_share(config, step, 500) for step in (0, 5, 10, 499)]
    assert shares == pytest.approx([0.1, 0.55, 1.0, 1.0])


def test_linear_falls_over_what_warm_up_leaves() -> None:
    config = OptimizerConfig(learning_rate=1.0, schedule="linear", warmup_steps=20, final_share=0.0)
    assert [learning_rate_share(config, step, 120) for step in (20, 70, 120)] == pytest.approx([1.0, 0.5, 0.0])


def test_adam_has_the_papers_betas_and_the_norm_is_clipped() -> None:
    """A gradient (3, 4) has norm 5; clipped to 1 it is (0.6, 0.8), and Adam's first moment a tenth of that."""
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = Optimizer(model, OptimizerConfig(learning_rate=1e-3), num_steps=10)
    group = optimizer.adam.param_groups[0]
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.95), 1e-5, 0.0)
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    assert optimizer.step(0, batch="")["gradient_norm"] == pytest.approx(5.0)
    assert optimizer.adam.state[model.weight]["exp_avg"].tolist()[0] == pytest.approx([0.06, 0.08], rel=1e-4)


def test_biases_and_norms_are_not_decayed() -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = Optimizer(model, OptimizerConfig(learning_rate=1e-3, weight_decay=0.1), num_steps=10)
    decays = {id(p): group["weight_decay"] for group in optimizer.adam.param_groups for p in group["params"]}
    assert (decays[id(model.weight)], decays[id(model.bias)]) == (0.1, 0.0)


def test_a_loss_or_gradient_that_is_not_finite_stops_before_the_update() -> None:
    with pytest.raises(NonFiniteLossError, match="prompt 7"):
        require_finite(math.nan, stage="sft", step=3, batch="prompt 7")
    require_finite(1e30, stage="sft", step=3, batch="prompt 7")
    model = torch.nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    model.weight.grad = torch.tensor([[math.inf, 0.0]])
    with pytest.raises(NonFiniteLossError, match=r"gradient norm at step 0 is inf.* The batch: prompt 8\."):
        Optimizer(model, OptimizerConfig(learning_rate=1e-3), num_steps=10).step(0, batch="prompt 8")
    assert torch.equal(model.weight, before)


def test_moving_average_by_hand() -> None:
    """Decay 0.75 from weight 0: after 4, 1; after another 4, 0.75 * 1 + 0.25 * 4 = 1.75."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    average = MovingAverage(model, decay=0.75)
    torch.nn.init.constant_(model.weight, 4.0)
    average.update()
    average.update()
    average.swap()
    assert float(model.weight.detach()) == pytest.approx(1.75)
    average.swap()
    assert float(model.weight.detach()) == 4.0


# -- models


def test_kl_to_reference_is_the_log_ratio_summed_over_each_response() -> None:
    """Against plain transformers, one sequence at a time; responses of 3 and 6 tokens, so a mean per token differs."""
    policy, reference = (model_of(config_of("gpt2", 64), seed=seed) for seed in (0, 1))
    groups = [Group(prompt=[5, 6], responses=[[7, 8, 0]]), Group(prompt=[9], responses=[[10, 11, 12, 13, 14, 0]])]
    total = 0.0
    for group in groups:
        tokens = torch.tensor([*group.prompt, *group.responses[0]])
        for model, sign in ((policy, 1.0), (reference, -1.0)):
            logprobs = torch.log_softmax(model(input_ids=tokens.unsqueeze(0)).logits.detach()[0], -1)
            for place in range(len(group.prompt), len(tokens)):
                total += sign * float(logprobs[place - 1, tokens[place]])
    assert abs(total) > 0.1, "equal models would prove nothing"
    rows = kl_rows(Policy(policy, cast(Any, None)), Policy(reference, cast(Any, None)), groups, ["a", "b"])
    assert sum(row.value for row in rows) == pytest.approx(total, rel=1e-4)
    found = mean_of(rows, source="evaluation/kl_to_reference.jsonl", statistic=clustered_mean)
    assert found.mean == pytest.approx(total / 2, rel=1e-4)


# -- text


def test_a_response_ends_with_the_stop_token_and_the_prompt_is_not_learnt(tokenizer: Any) -> None:
    renderer = Renderer(tokenizer=tokenizer)
    prompt, response = renderer.prompt_tokens(_prompt("Where is the cat?")), renderer.response_tokens("At the mill.")
    assert response[-1] == tokenizer.eos_token_id
    assert response[:-1] == tokenizer("At the mill.", add_special_tokens=False)["input_ids"]
    assert pack([Group(prompt=prompt, responses=[response])]).response_tokens.tolist() == response
    assert renderer.truncated_response_tokens("At the mill.", is_complete=False) == response[:-1]


def _prompt(text: str) -> Any:
    from tutelage.records import Prompt

    return Prompt(text=text)


def test_padding_is_never_the_stop_token(tokenizer: Any) -> None:
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_prompts_over_the_limit_are_filtered_or_refused(tiny: Tiny, tmp_path: Path) -> None:
    rows = [{"prompt": "a " * 60, "response": "b"}, *read_rows(tiny.demonstrations)]
    demonstrations = write_rows(tmp_path / "demonstrations.jsonl", rows)
    with pytest.raises(DataError, match="too_long"):
        sft(_sft_config(tiny, tmp_path / "refused", demonstrations=demonstrations, num_epochs=1))
    text = {**TEXT, "too_long": "skip"}
    config = _sft_config(tiny, tmp_path / "run", demonstrations=demonstrations, num_epochs=1, text=text)
    summary = sft(config)
    assert (summary["num_demonstrations"], summary["num_skipped"]) == (len(rows) - 1, 1)


# -- stages


def test_the_mix_has_its_share_of_a_steps_sequences(tiny: Tiny, tmp_path: Path) -> None:
    """90 demonstrations and 10 windows: a tenth of 100. A smaller last step of 45 has 5, and nothing is read twice."""
    config = _sft_config(tiny, tmp_path, pretraining_text=tiny.text, pretraining_share=0.1, demonstrations_per_step=90)
    assert mixed_windows(config, 0, 90) == (0, 10)
    assert mixed_windows(config, 5, 45) == (50, 5)


def test_the_checkpoint_is_chosen_by_score_where_there_is_a_reward_model(tiny: Tiny, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"num_epochs": 3, "demonstrations_per_step": 10, "optimizer": {"learning_rate": 3e-3}}
    by_score = sft(_sft_config(tiny, tmp_path / "score", reward_model=tiny.reward_model, **settings))
    by_loss = sft(_sft_config(tiny, tmp_path / "loss", **settings))
    scores = [row["sft/score"] for row in _metrics(tmp_path / "score") if "sft/score" in row]
    losses = [row["sft/validation_loss"] for row in _metrics(tmp_path / "loss") if "sft/validation_loss" in row]
    assert (by_score["chosen_by"], by_score["chosen_epoch"]) == ("score", 1 + scores.index(max(scores)))
    assert (by_loss["chosen_by"], by_loss["chosen_epoch"]) == ("validation_loss", 1 + losses.index(min(losses)))


def test_the_value_model_starts_as_the_reward_model_and_the_reference_as_the_policy(tiny: Tiny, tmp_path: Path) -> None:
    config = _ppo_config(tiny, tmp_path / "run")
    trainer = make_trainer(TrainingRun("ppo", config, resume=False), config)
    estimator: Any = trainer.estimator
    for first, second in (
        (estimator.value_model, trainer.collector.score_model),
        (trainer.policy, trainer.collector.reference),
    ):
        assert first is not second
        own, other = first.state_dict(), second.state_dict()
        assert own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)
    assert not any(
        p.requires_grad
        for model in (trainer.collector.score_model, trainer.collector.reference)
        for p in model.parameters()
    )


def test_each_minibatch_adds_its_share_of_pretraining_sequences(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C.4: eight sequences an episode, here minibatches of 4: 32 each; the coefficient is that of the configuration."""
    seen: list[tuple[int, float]] = []

    def recorded(policy: Any, groups: Any, *, coef: float, **others: Any) -> Any:
        seen.append((len(groups), coef))
        return language_term(policy, groups, coef=coef, **others)

    monkeypatch.setattr(ppo_stage, "language_term", recorded)
    ptx = {"coef": 27.8, "text": tiny.text, "sequences_per_episode": 8, "context_tokens": 24}
    ppo(_ppo_config(tiny, tmp_path / "run", episodes_per_minibatch=4, ptx=ptx))
    assert seen == [(32, 27.8), (32, 27.8)]
