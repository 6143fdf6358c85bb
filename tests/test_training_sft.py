"""SFT: what the mix weighs, what its choice of a checkpoint rests on, and what one long prompt must not change."""

from __future__ import annotations

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

import reference
from test_model_packing import plain_logprobs
from test_training_data import configured, refused  # noqa: F401
from test_training_ppo import assert_close_gradients
from tiny import TEXT, config_of, demonstration_rows, gradients_of_term, model_of, read_rows, write_rows
from tutelage.errors import DataError
from tutelage.model.forward import response_logprobs
from tutelage.model.loading import load_policy, load_tokenizer
from tutelage.model.packing import Group, pack
from tutelage.model.policy import Policy, ScoreModel
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Demonstration
from tutelage.training import rollout as rollout_room
from tutelage.training import sft as sft_room
from tutelage.training.data import TokenizedExample
from tutelage.training.rollout import score_samples
from tutelage.training.sft import draw_prompts, sft, sft_terms

MIX = {"pretraining_text": "text.txt", "pretraining_share": 0.1}
DEMONSTRATIONS = [Group(prompt=[5, 6, 7], responses=[[8, 9, 0]]), Group(prompt=[4], responses=[[3, 2, 6, 7, 0]])]
WINDOWS = [Group(prompt=[0], responses=[list(range(20, 20 + n))]) for n in (60, 17)]


def gradient_of(policy, demonstrations, windows, config):
    policy.zero_grad()
    items = [SimpleNamespace(group=group, name="x") for group in demonstrations]
    losses = {}
    for term in sft_terms(policy, items, windows, config):
        losses |= gradients_of_term(term, config)
    return losses, {name: p.grad.clone() for name, p in policy.model.named_parameters() if p.grad is not None}


# The mix.


def uniform_policy():
    """GPT-2 whose last hidden state is (1, ..., 1) everywhere and whose tied head is 0: every token has 1 / 64."""
    policy = model_of(config_of("gpt2", 64)).train()
    with torch.no_grad():
        policy.transformer.ln_f.weight.zero_()
        policy.transformer.ln_f.bias.fill_(1.0)
        policy.lm_head.weight.zero_()
    return Policy(policy, None)


@pytest.mark.parametrize("num_tokens", [1, 11, 90])
def test_a_tenth_of_the_sequences_is_a_tenth_of_the_objective(configured, num_tokens):  # noqa: F811
    """Demonstrations say only token 5, pretraining text only token 6, and the policy gives every token 1 / 64.

    Row v of the head gets, for each token of a term's mean, 1 / 64, less 1 where v is that token. So beside a token
    that nobody says, row 5 gets -1 and row 6 minus the weight of the text: 0.1 / 0.9, whatever the windows' length. One
    mean over all tokens would give 9 demonstrations of 2 tokens and a window of 90 the weights 18 / 108 and 90 / 108.
    """
    demonstrations = [Group(prompt=[1, 2], responses=[[5, 5]])] * 9
    window = Group(prompt=[3], responses=[[6] * num_tokens])
    losses, gradients = gradient_of(uniform_policy(), demonstrations, [window], configured(**MIX))
    rows = gradients["transformer.wte.weight"].mean(1)
    assert float(rows[5] - rows[7]) == pytest.approx(-1.0, rel=1e-5)
    assert float(rows[6] - rows[7]) == pytest.approx(-1.0 / 9.0, rel=1e-5)
    assert losses == {"loss": pytest.approx(math.log(64)), "pretraining_loss": pytest.approx(math.log(64))}


def test_a_coefficient_takes_the_place_of_the_share(configured):  # noqa: F811
    windows = [Group(prompt=[3], responses=[[6] * 4])] * 2
    config = configured(**MIX, pretraining_coef=2.5)
    _, gradients = gradient_of(uniform_policy(), [Group(prompt=[1, 2], responses=[[5, 5]])], windows, config)
    rows = gradients["transformer.wte.weight"].mean(1)
    assert float(rows[6] - rows[7]) == pytest.approx(-2.5, rel=1e-5)


@pytest.mark.parametrize("limit", [1, 30, 1000])
def test_the_gradient_of_a_mix_is_that_of_a_loop(tiny, configured, limit):  # noqa: F811
    """Against plain transformers and the objective in loops, whatever the micro-batches: here 1 to 4 of them."""
    plain = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
    demonstrations, windows = (plain_logprobs(plain, groups) for groups in (DEMONSTRATIONS, WINDOWS))
    loss = -demonstrations.mean() - 0.25 * windows.mean()
    loss.backward()
    rows = [values.detach().double().tolist() for values in (demonstrations, windows)]
    assert float(loss.detach()) == pytest.approx(reference.mixed_language_loss([rows[0]], [rows[1]], 0.2), rel=1e-6)
    config = configured(**(MIX | {"pretraining_share": 0.2}), tokens_per_microbatch=limit)
    losses, found = gradient_of(Policy.load(tiny.policy), DEMONSTRATIONS, WINDOWS, config)
    assert losses["loss"] == pytest.approx(-float(demonstrations.detach().mean()), rel=1e-5)
    assert losses["pretraining_loss"] == pytest.approx(-float(windows.detach().mean()), rel=1e-5)
    assert_close_gradients(found, {name: p.grad for name, p in plain.named_parameters()})


def test_without_text_the_mix_is_plain_sft(tiny, configured):  # noqa: F811
    losses, found = gradient_of(Policy.load(tiny.policy), DEMONSTRATIONS, [], configured())
    policy = load_policy(tiny.policy)
    logprobs = response_logprobs(policy, pack(DEMONSTRATIONS))
    (-logprobs.mean()).backward()
    assert losses == {"loss": pytest.approx(-float(logprobs.detach().mean()), rel=1e-5)}
    assert_close_gradients(found, {name: p.grad for name, p in policy.named_parameters()})


# The choice of a checkpoint.


def test_one_long_prompt_shortens_no_other_response(tiny, monkeypatch):
    """A context of 96: the prompt of 90 tokens leaves 6 to its own response, and 24 to the others as ever."""
    policy, reward_model = Policy.load(tiny.policy), ScoreModel.load(tiny.reward_model)
    seen = []

    show = rollout_room.shown_groups

    def recorded(prompts, sampled, renderer, **others):
        seen.append([len(responses[0].tokens) for responses in sampled])
        return show(prompts, sampled, renderer, **others)

    monkeypatch.setattr(rollout_room, "shown_groups", recorded)
    short = [[9, 10 + n] for n in range(12)]
    for prompts in (short, [*short, [7] * 90]):
        score_samples(
            policy,
            reward_model,
            prompts,
            settings=SamplingSettings(max_response_tokens=24),
            generator=torch.Generator().manual_seed(0),
            tokens_per_microbatch=4096,
        )
    alone, beside_a_long_one = seen
    assert max(alone) == 24, "responses that all end soon would prove nothing"
    assert beside_a_long_one[:12] == alone
    assert beside_a_long_one[12] <= 6


def test_the_score_chooses_the_epoch_against_the_validation_loss(tiny, configured, monkeypatch):  # noqa: F811
    """Scores of 1, 3 and 2 while the loss falls: the second epoch is kept, its weights too."""
    scores = iter((1.0, 3.0, 2.0))
    monkeypatch.setattr(sft_room, "score_samples", lambda *arguments, **others: (next(scores), []))
    summary = sft(config := configured(num_epochs=3, reward_model=tiny.reward_model))
    losses = [row["sft/validation_loss"] for row in read_rows(config.out / "metrics.jsonl") if "sft/score" in row]
    assert losses[0] > losses[1] > losses[2]
    assert (summary["chosen_by"], summary["chosen_epoch"], summary["score"]) == ("score", 2, 3.0)


def encoded_prompts(lengths):
    record = Demonstration(prompt="p", response="r")
    return [
        TokenizedExample(record=record, group=Group(prompt=[7] * n + [i + 20], responses=[[1]]))
        for i, n in enumerate(lengths)
    ]


def test_validation_prompts_are_drawn_not_the_first_of_the_file(tiny, configured):  # noqa: F811
    validation = encoded_prompts([1] * 200)
    draws = [
        draw_prompts(validation, configured(validation_prompts=50, seed=seed, reward_model=tiny.reward_model), 96)
        for seed in (0, 0, 1)
    ]
    places = [[prompt[-1] - 20 for prompt in prompts] for prompts in draws]
    assert places[0] == places[1] != places[2]
    assert len(set(places[0])) == 50
    # The mean place of 50 drawn from 200 is 99.5 with a standard error of 7; that of the first 50 is 24.5.
    assert 70 < sum(places[0]) / 50 < 130
    every_prompt = draw_prompts(validation[:9] * 2, configured(reward_model=tiny.reward_model), 96)
    assert len(every_prompt) == 9, "a prompt with several demonstrations is answered once"


def test_a_reward_model_with_a_shorter_context_is_told_before_training(tiny, configured, tmp_path):  # noqa: F811
    path = tmp_path / "short"
    model_of(config_of("llama", 320, max_position_embeddings=16), has_score=True).save_pretrained(path)
    load_tokenizer(tiny.policy).save_pretrained(path)
    rows = write_rows(tmp_path / "d.jsonl", [{"prompt": "w " * 20, "response": "At the mill."}])
    message = refused(DataError, sft, configured(reward_model=path, validation=rows))
    for words in ("no room for a response", "context of 16 tokens", str(path), "text.max_prompt_tokens to 15"):
        assert words in message
    assert not list(tmp_path.glob("run/metrics.jsonl"))


def test_a_choice_that_rests_on_few_prompts_says_so(tiny, configured, tmp_path, caplog):  # noqa: F811
    few = write_rows(tmp_path / "few.jsonl", [*demonstration_rows(1), *demonstration_rows(1)])
    with caplog.at_level(logging.WARNING):
        summary = sft(configured("a", validation=few))
        assert "the choice of the epoch that is saved is based on 1 prompt; with fewer than 30" in caplog.text
        assert summary["num_validation"] == 2
        caplog.clear()
        summary = sft(configured("b", validation_prompts=29, reward_model=tiny.reward_model))
        assert "is based on 29 prompts" in caplog.text
        assert summary["num_validation_prompts"] == 29
        caplog.clear()
        sft(configured("c", validation_prompts=30, reward_model=tiny.reward_model))
        sft(configured("d", validation=few, should_select_checkpoint=False))
        assert "is based on" not in caplog.text, "enough, or nothing to choose"


def test_a_coefficient_without_a_mix_is_refused(configured):  # noqa: F811
    with pytest.raises(ValueError, match=r"pretraining_coef 0\.5 has no effect"):
        configured(text=TEXT, pretraining_coef=0.5)
