"""PPO and PPO-ptx: what a rollout holds, what lands in one step, and what must not change the outcome."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from test_model_packing import plain_logprobs
from test_training_resume import bits_of
from tiny import read_rows
from tutelage.errors import NonFiniteLossError
from tutelage.model.adapters import adapters_off
from tutelage.model.inference import compute_scores
from tutelage.model.packing import Group, pack
from tutelage.model.sampling import SampledResponse
from tutelage.objectives.advantage import adapted_kl_coef
from tutelage.training import collector
from tutelage.training.config import PPOConfig
from tutelage.training.ppo import make_trainer, ppo
from tutelage.training.rollout import shown_groups
from tutelage.training.stage import TrainingRun

NO_SCHEDULE = {"learning_rate": 1e-4, "schedule": "constant"}


@pytest.fixture
def configured(tiny, tmp_path):
    """A configuration of two steps of one minibatch; nested keys of `others` are merged."""

    def configured(out="run", **others):
        settings = {
            "out": tmp_path / out,
            "policy": tiny.policy,
            "reward_model": tiny.reward_model,
            "prompts": tiny.prompts,
            "text": {"max_prompt_tokens": 40, "max_response_tokens": 10},
            "num_episodes": 16,
            "episodes_per_step": 8,
            "episodes_per_minibatch": 8,
            "device": "cpu",
            "ema_decay": 0.0,
            "ptx": {"coef": 0.0},
            "policy_optimizer": NO_SCHEDULE,
            "value_optimizer": NO_SCHEDULE,
        }
        return PPOConfig.model_validate({**settings, **others})

    return configured


def trainer_of(config):
    return make_trainer(TrainingRun("ppo", config, resume=False), config)


def ptx(tiny, coef=2.0):
    return {"coef": coef, "text": tiny.text, "sequences_per_episode": 2, "context_tokens": 32}


def gradients_of(trainer, step=0):
    """The gradients that reach each optimizer in the first minibatch of `step`, before clipping, and the metrics."""
    found = {}

    def keep(name, model):
        def stop(step, *, batch):
            found[name] = {key: p.grad.clone() for key, p in model.model.named_parameters() if p.grad is not None}
            model.zero_grad()
            return {}

        return stop

    trainer.optimizer.step = keep("policy", trainer.policy)
    for model in trainer.estimator.models.values():
        trainer.estimator.optimizer.step = keep("value", model)
    return found, trainer.step(step)


def keep_values(trainer):
    """What the estimator's value model said of each rollout, filled as steps are taken."""
    kept, estimate = [], trainer.estimator.estimate

    def keeping(rollout, rewards):
        found = estimate(rollout, rewards)
        kept.append(found.values)
        return found

    trainer.estimator.estimate = keeping
    return kept


def keep_rollout(trainer):
    kept = []
    collect = trainer.collector.collect

    def keeping(step):
        kept.append(collect(step))
        return kept[-1]

    trainer.collector.collect = keeping
    return kept


def assert_close_gradients(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        scale = max(1e-4, float(expected[name].abs().max()))
        assert float((found[name] - expected[name]).abs().max()) <= 5e-4 * scale, name


def test_a_rollout_holds_what_plain_forwards_say(tiny, configured):
    trainer = trainer_of(configured(temperature=0.8))
    rollout = trainer.collector.collect(0)
    values = trainer.estimator.estimate(rollout, torch.zeros_like(rollout.logprobs)).values
    policy = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
    scorer = AutoModelForSequenceClassification.from_pretrained(tiny.reward_model).eval()
    assert len(rollout.groups) == 8
    assert [list(group.prompt) for group in rollout.groups] == [
        list(trainer.data.prompts[i].group.prompt) for i in trainer.collector.prompt_order.take(0, 8)
    ]
    for row, group in enumerate(rollout.groups):
        (response,) = group.responses
        ids = torch.tensor([[*group.prompt, *response]])
        start, length = len(group.prompt), len(response)
        with torch.no_grad():
            logprobs = torch.log_softmax(policy(ids).logits[0, start - 1 : -1] / 0.8, -1)
            outputs = scorer.score(scorer.model(ids).last_hidden_state[0]).squeeze(-1)
            shown = trainer.policy.renderer.truncated_response_tokens(
                trainer.policy.tokenizer.decode(response, skip_special_tokens=True).strip(),
                is_complete=response[-1] == 0,
            )
            read = scorer.model(torch.tensor([[*group.prompt, *shown]])).last_hidden_state[0, -1]
        expected = logprobs.gather(1, torch.tensor(response).unsqueeze(1)).squeeze(1)
        mask = rollout.response_mask[row]
        assert mask.tolist() == [True] * length + [False] * (mask.numel() - length)
        torch.testing.assert_close(rollout.logprobs[row, :length], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(rollout.reference_logprobs[row, :length], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(values[row, :length], outputs[start - 1 : -1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(rollout.scores[row], scorer.score(read)[0], atol=1e-5, rtol=1e-5)
        assert bool(rollout.ended[row]) == (response[-1] == 0)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_first_minibatch_starts_where_the_policy_is(configured, temperature):
    """Ratio 1, KL 0 to the old policy and to the reference, and policy loss 0: whitened advantages have mean 0."""
    trainer = trainer_of(configured(temperature=temperature))
    metrics = trainer.step(0)
    assert metrics["ratio"] == pytest.approx(1.0, abs=1e-5)
    assert metrics["kl_to_old_policy"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["kl_to_reference"] == pytest.approx(0.0, abs=1e-4)
    assert metrics["policy_loss"] == pytest.approx(0.0, abs=1e-5)
    assert metrics["clip_fraction"] == metrics["value_clip_fraction"] == 0.0
    assert trainer.step(1)["kl_to_reference"] != pytest.approx(0.0, abs=1e-4), "after an update it has moved"


def expected_policy_gradient(tiny, rollout, predicted, config):
    """By plain transformers and a loop: the policy gradient with whitened GAE advantages, mean over response tokens."""
    policy = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
    advantages, tokens = [], []
    for row, group in enumerate(rollout.groups):
        length = len(group.responses[0])
        score = float(rollout.scores[row]) if rollout.ended[row] else config.ppo.missing_eos_score
        rewards = [0.0] * (length - 1) + [score]  # at step 0 the KL penalty is 0
        values = [*predicted[row, :length].tolist(), 0.0]
        following, own = 0.0, []
        for t in reversed(range(length)):
            following = rewards[t] + values[t + 1] - values[t] + config.ppo.gae_lambda * following
            own.append(following)
        advantages += reversed(own)
        tokens.append(plain_logprobs(policy, [Group(prompt=group.prompt, responses=group.responses)]))
    flat = torch.tensor(advantages)
    whitened = (flat - flat.mean()) / flat.var(correction=0).sqrt()
    loss = -(whitened * torch.cat(tokens)).mean()
    loss.backward()
    return {name: p.grad for name, p in policy.named_parameters()}, flat


def test_policy_gradient_is_that_of_a_loop(tiny, configured):
    trainer = trainer_of(config := configured())
    kept, values = keep_rollout(trainer), keep_values(trainer)
    found, _ = gradients_of(trainer)
    expected, _ = expected_policy_gradient(tiny, kept[0], values[0], config)
    assert_close_gradients(found["policy"], expected)


def test_value_gradient_is_that_of_a_loop(tiny, configured):
    trainer = trainer_of(config := configured())
    kept, predicted = keep_rollout(trainer), keep_values(trainer)
    found, metrics = gradients_of(trainer)
    _, advantages = expected_policy_gradient(tiny, kept[0], predicted[0], config)
    scorer = AutoModelForSequenceClassification.from_pretrained(tiny.reward_model).eval()
    values = []
    for group in kept[0].groups:
        ids = torch.tensor([[*group.prompt, *group.responses[0]]])
        values.append(scorer.score(scorer.model(ids).last_hidden_state[0]).squeeze(-1)[len(group.prompt) - 1 : -1])
    flat = torch.cat(values)
    loss = 0.5 * ((flat - (flat.detach() + advantages)) ** 2).mean()
    loss.backward()
    assert metrics["value_loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert_close_gradients(found["value"], {n: p.grad for n, p in scorer.named_parameters() if p.grad is not None})


def test_both_gradients_land_in_one_step(tiny, configured):
    """The policy's gradient with the mix is the one without, plus coef times that of the mean loss of its windows."""
    plain = trainer_of(configured("plain"))
    mixed = trainer_of(configured("mixed", ptx=ptx(tiny)))
    alone, _ = gradients_of(plain)
    found, metrics = gradients_of(mixed)
    policy = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
    windows = mixed.data.pretraining.groups(mixed.ptx_order.take(0, 16))
    assert len(windows) == 2 * 8
    loss = -plain_logprobs(policy, windows).mean()
    loss.backward()
    assert metrics["ptx_loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
    expected = {name: alone["policy"][name] + 2.0 * p.grad for name, p in policy.named_parameters()}
    assert_close_gradients(found["policy"], expected)
    assert_close_gradients(found["value"], alone["value"])


def test_every_minibatch_has_windows_of_its_own(tiny, configured):
    shape = {"episodes_per_minibatch": 4, "num_epochs": 2}
    trainer = trainer_of(configured(ptx=ptx(tiny), **shape))
    taken = []
    take = trainer.ptx_order.take
    trainer.ptx_order.take = lambda start, count: taken.append((start, count)) or take(start, count)
    trainer.step(0)
    trainer.step(1)
    assert taken == [(8 * number, 8) for number in range(8)]


def test_minibatches_cover_the_episodes_once_an_epoch(configured):
    shape = {"episodes_per_minibatch": 2, "num_epochs": 3}
    trainer = trainer_of(configured(**shape))
    minibatches = trainer.collector.minibatches(1)
    assert [len(own) for own in minibatches] == [2] * 12
    epochs = [[i for own in minibatches[start : start + 4] for i in own] for start in (0, 4, 8)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(8))] * 3
    assert epochs[0] != epochs[1]
    assert minibatches == trainer.collector.minibatches(1) != trainer.collector.minibatches(0)


def test_ptx_coef_0_is_plain_ppo_to_the_bit(tiny, configured):
    ppo(with_text := configured("text", ptx=ptx(tiny, coef=0.0)))
    ppo(without := configured("none"))
    found, expected = bits_of(with_text.out), bits_of(without.out)
    assert found == expected
    assert "model/model.safetensors" in found
    ppo(mixed := configured("mixed", ptx=ptx(tiny)))
    assert bits_of(mixed.out)["model/model.safetensors"] != expected["model/model.safetensors"]


@pytest.mark.parametrize("limit", [1, 120])
def test_micro_batches_do_not_change_the_update(tiny, configured, limit):
    trainers = []
    for name, tokens in (("one", 100_000), ("many", limit)):
        config = configured(name, tokens_per_microbatch=tokens, ptx=ptx(tiny))
        trainers.append(trainer_of(config))
    metrics = [trainer.step(0) for trainer in trainers]
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-4, abs=1e-5)
    before = AutoModelForCausalLM.from_pretrained(tiny.policy).lm_head.weight
    assert not torch.equal(trainers[0].policy.model.lm_head.weight, before)
    for one, many in ((t.policy, u.policy) for t, u in [trainers]):
        for a, b in zip(one.parameters(), many.parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)
    for a, b in zip(
        trainers[0].estimator.value_model.parameters(), trainers[1].estimator.value_model.parameters(), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_reference_and_reward_model_never_move(configured):
    trainer = trainer_of(configured())
    fixed = [
        copy.deepcopy(model.state_dict()) for model in (trainer.collector.reference, trainer.collector.score_model)
    ]
    moving = [copy.deepcopy(model.state_dict()) for model in (trainer.policy, trainer.estimator.value_model)]
    trainer.step(0)
    for before, model in zip(fixed, (trainer.collector.reference, trainer.collector.score_model), strict=True):
        assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    for before, model in zip(moving, (trainer.policy, trainer.estimator.value_model), strict=True):
        assert not all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_missing_eos_takes_the_place_of_the_score(configured):
    trainer = trainer_of(configured(ppo={"missing_eos_score": -7.0}))
    kept = keep_rollout(trainer)
    metrics = trainer.step(0)
    ended = kept[0].ended
    expected = torch.where(ended, kept[0].scores, -7.0).mean()
    assert not bool(ended.all())
    assert metrics["score_with_missing_eos"] == pytest.approx(float(expected), abs=1e-5)
    assert metrics["score"] == pytest.approx(float(kept[0].scores.mean()), abs=1e-5)
    assert metrics["ended_share"] == pytest.approx(float(ended.float().mean()))


def test_kl_coefficient_adapts(configured):
    terms = {"kl_target": 0.001, "kl_horizon": 100, "kl_coef": 0.05}
    fast = {"learning_rate": 1e-2, "schedule": "constant"}
    config = configured(ppo=terms, num_episodes=24, policy_optimizer=fast)
    ppo(config)
    rows = read_rows(config.out / "metrics.jsonl")
    expected = 0.05
    for row in rows:
        assert row["ppo/kl_coef"] == pytest.approx(expected, rel=1e-12)
        target = {"kl_target": 0.001, "kl_horizon": 100, "num_episodes": 8}
        expected = adapted_kl_coef(expected, row["ppo/kl_to_reference"], **target)
    assert expected != pytest.approx(0.05)


def test_moving_average_is_what_is_saved(tiny, configured):
    config = configured(ema_decay=0.75, num_episodes=16, policy_optimizer={**NO_SCHEDULE, "learning_rate": 1e-2})
    plain = configured("plain", num_episodes=16, policy_optimizer={**NO_SCHEDULE, "learning_rate": 1e-2})
    trainer = trainer_of(plain)
    weights = [trainer.policy.model.lm_head.weight.detach().clone()]
    for step in range(2):
        trainer.step(step)
        weights.append(trainer.policy.model.lm_head.weight.detach().clone())
    assert ppo(config)["saved_policy"] == "average of weights"
    saved = AutoModelForCausalLM.from_pretrained(config.out / "model").lm_head.weight
    expected = 0.75 * (0.75 * weights[0] + 0.25 * weights[1]) + 0.25 * weights[2]
    torch.testing.assert_close(saved, expected, atol=1e-6, rtol=1e-5)
    assert trainer.save()["saved_policy"] == "last weights"
    assert torch.equal(AutoModelForCausalLM.from_pretrained(plain.out / "model").lm_head.weight, weights[2])


def test_lora(tiny, configured):
    config = configured(lora={"rank": 4}, policy_optimizer={**NO_SCHEDULE, "learning_rate": 1e-2}, ema_decay=0.5)
    trainer = trainer_of(config)
    base = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
    first = trainer.step(0)
    assert first["ratio"] == pytest.approx(1.0, abs=1e-5)
    assert first["kl_to_reference"] == pytest.approx(0.0, abs=1e-4)
    second = trainer.step(1)
    assert abs(second["kl_to_reference"]) > 1e-4
    groups = [Group(prompt=[5, 6], responses=[[7, 8, 9], [10]])]
    adapted = trainer.policy(pack(groups)).logprobs.detach()
    with adapters_off(trainer.policy.model):
        off = trainer.policy(pack(groups)).logprobs.detach()
    torch.testing.assert_close(off, plain_logprobs(base, groups).detach(), atol=1e-5, rtol=1e-5)
    assert float((adapted - off).abs().max()) > 1e-3
    trainer.average.swap()
    averaged = trainer.policy(pack(groups)).logprobs.detach()
    trainer.average.swap()
    assert trainer.save()["saved_policy"] == "product of the averages of the LoRA factors"
    saved = AutoModelForCausalLM.from_pretrained(config.out / "model").eval()
    torch.testing.assert_close(plain_logprobs(saved, groups).detach(), averaged, atol=1e-4, rtol=1e-4)
    AutoModelForSequenceClassification.from_pretrained(config.out / "value_model")


def test_a_loss_that_is_not_a_number_stops_before_the_update(configured):
    trainer = trainer_of(configured())
    with torch.no_grad():
        trainer.collector.score_model.model.score.weight[0, 0] = float("nan")
    before = [copy.deepcopy(model.state_dict()) for model in (trainer.policy, trainer.estimator.value_model)]
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.step(0)
    assert "step 0" in str(caught.value)
    assert sum(name in str(caught.value) for name in {p.name for p in trainer.data.prompts}) == 8
    for weights, model in zip(before, (trainer.policy, trainer.estimator.value_model), strict=True):
        assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())


def test_prompts_allotted_to_others_are_left_alone(tiny, configured, tmp_path):
    from tiny import write_rows

    rows = [
        {"text": "for ppo", "purpose": "ppo", "split": "train"},
        {"text": "for nothing yet"},
        {"text": "for the reward model", "purpose": "reward", "split": "train"},
        {"text": "for a test", "purpose": "ppo", "split": "test"},
    ]
    config = configured(prompts=write_rows(tmp_path / "mixed.jsonl", rows))
    trainer = trainer_of(config)
    assert [item.record.text for item in trainer.data.prompts] == ["for ppo", "for nothing yet"]


def test_the_score_is_of_what_is_shown(tiny, configured, monkeypatch):
    """White space around a response is not shown: it changes neither the label nor, here, the score."""
    trainer = trainer_of(configured())
    tokenizer = trainer.policy.tokenizer
    bare = tokenizer("At the barn.", add_special_tokens=False)["input_ids"]
    spaced = tokenizer("\n At the barn. \n", add_special_tokens=False)["input_ids"]
    stop = trainer.policy.renderer.stop_token
    responses = [[*bare, stop], [*spaced, stop], spaced, [stop]]
    prompts = [[5, 6]] * 4
    sampled = [[SampledResponse(tokens=r, logprobs=[0.0] * len(r), is_complete=r[-1] == stop)] for r in responses]
    shown = shown_groups(prompts, sampled, trainer.policy.renderer, context=96)
    assert [group.responses[0] for group in shown] == [[*bare, stop], [*bare, stop], bare, [stop]]
    scores = compute_scores(trainer.collector.score_model, shown, tokens_per_microbatch=1000).tolist()
    assert scores[0] == scores[1] != scores[2]
    clipped = shown_groups(prompts, sampled, trainer.policy.renderer, context=5)
    assert max(len(group.responses[0]) for group in clipped) == 3

    monkeypatch.setattr(trainer.collector.generator, "generate", lambda *arguments, **others: sampled * 2)
    monkeypatch.setattr(collector, "require_same_logprobs", lambda *arguments, **others: None)
    assert trainer.step(0)["changed_share"] == 0.5
    rows = read_rows(trainer.config.out / "samples.jsonl")
    assert [row["response"] for row in rows] == ["At the barn."] * 3 + [""]
    scored = compute_scores(
        trainer.collector.score_model, trainer.collector.collect(0).groups, tokens_per_microbatch=1000
    )
    assert not torch.equal(trainer.collector.collect(0).scores, scored)


def test_the_kl_controller_is_fed_the_kl_that_was_seen(configured):
    """Away from where its error is clipped to 20 %: a target of 1.25 times the KL gives an error of -0.2 * horizon."""
    trainer = trainer_of(configured(ppo={"kl_coef": 0.5, "kl_target": 1.0, "kl_horizon": 100.0}))
    trainer._adapt_kl_coef(1.1)
    assert trainer.kl_coef == pytest.approx(0.5 * (1 + 0.1 * 8 / 100))
    trainer = trainer_of(configured("run2", ppo={"kl_coef": 0.5, "kl_target": 1.0, "kl_horizon": 100.0}))
    trainer.step(0)
    seen = []
    trainer._adapt_kl_coef = seen.append
    metrics = trainer.step(1)
    assert seen == [metrics["kl_to_reference"]]


def test_the_explained_variance_is_of_the_returns_by_the_values(configured):
    """1 - Var(returns - values) / Var(returns), in loops over what the rollout holds."""
    trainer = trainer_of(configured())
    kept, predicted = keep_rollout(trainer), keep_values(trainer)
    metrics = trainer.step(0)
    (rollout,) = kept
    scores = rollout.scores.clone()
    scores[~rollout.ended] = trainer.config.ppo.missing_eos_score
    values, returns = [], []
    (first,) = predicted
    for row, length in enumerate(rollout.lengths.tolist()):
        own = first[row, :length].tolist()
        advantage, found = 0.0, []
        for t in reversed(range(length)):
            log_ratio = float(rollout.logprobs[row, t] - rollout.reference_logprobs[row, t])
            reward = -trainer.config.ppo.kl_coef * log_ratio + (float(scores[row]) if t == length - 1 else 0.0)
            following = own[t + 1] if t + 1 < length else 0.0
            advantage = reward + following - own[t] + 0.95 * advantage
            found.append(advantage + own[t])
        values += own
        returns += found[::-1]
    residual = torch.tensor(returns).double() - torch.tensor(values).double()
    expected = 1.0 - float(residual.var(correction=0) / torch.tensor(returns).double().var(correction=0))
    assert metrics["explained_variance"] == pytest.approx(expected, abs=1e-4)
    swapped = 1.0 - float(residual.var(correction=0) / torch.tensor(values).double().var(correction=0))
    assert abs(swapped - expected) > 0.01, "with its arguments swapped it would be another number"
