"""Best-of-n of a tiny policy by a tiny reward model; the choice by hand."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="policies are sampled")

from transformers import AutoModelForSequenceClassification

from test_model_packing import plain_scores
from tiny import CONTEXT, config_of, model_of
from tutelage.errors import DataError
from tutelage.evaluation.best_of_n import ScoredCompletions, best_of, complete_and_score, complete_best_of_n
from tutelage.evaluation.completions import Arm, complete
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Completion, Prompt
from tutelage.text.render import Renderer

PROMPTS = [Prompt(id=f"p{i}", text=f"{i}: where is the cat?") for i in range(4)]
SAMPLING = {"settings": SamplingSettings(max_response_tokens=6), "seed": 3}


def test_the_best_of_the_first_n_by_hand():
    completions = [Completion(id=f"c{k}", text=f"t{k}", policy="sft", is_complete=k > 0) for k in range(4)]
    scored = ScoredCompletions(completions=[completions, []], scores=[[0.5, 2.0, 2.0, 9.0], []])
    assert [own.text for own in best_of(scored, n=1, name="b")[0]] == ["t0"]
    (chosen,) = best_of(scored, n=3, name="b")[0]
    assert (chosen.text, chosen.policy) == ("t1", "b")
    assert chosen.model_extra == {"is_complete": True, "score": 2.0, "best_of": 3}
    assert [own.text for own in best_of(scored, n=4, name="b")[0]] == ["t3"]
    assert best_of(scored, n=4, name="b")[1] == []
    assert chosen.id != "c1", "a completion of another policy is another completion"
    (of_two,) = best_of(scored, n=2, name="b")[0]
    assert of_two.text == "t1" and of_two.id != chosen.id, "what best-of-2 and best-of-3 chose are two things to judge"
    for n in (0, 5):
        with pytest.raises(DataError, match=f"n is {n}, but a prompt has 4 completions"):
            best_of(scored, n=n, name="b")


def test_a_tiny_policy_against_plain_transformers(tiny):
    arm = Arm(name="sft", model=tiny.policy)
    chosen = complete_best_of_n(arm, PROMPTS, n=5, reward_model=tiny.reward_model, **SAMPLING)
    sampled = complete(arm, PROMPTS, num_completions=5, **SAMPLING)
    plain = AutoModelForSequenceClassification.from_pretrained(tiny.reward_model).eval()
    renderer = Renderer(tokenizer=load_tokenizer(tiny.reward_model))
    for prompt, own, (best,) in zip(PROMPTS, sampled, chosen, strict=True):
        responses = [renderer.truncated_response_tokens(c.text, is_complete=c.is_complete) for c in own]
        scores = plain_scores(plain, [Group(prompt=renderer.prompt_tokens(prompt), responses=responses)]).tolist()
        assert best.text == own[scores.index(max(scores))].text
        assert best.score == pytest.approx(max(scores), abs=1e-5)
        assert (best.policy, best.best_of) == ("best_of_n", 5)


def test_the_prefix_of_an_arm_is_not_scored(tiny):
    arm = Arm(name="prompted", model=tiny.policy, prefix="The cat sleeps. ")
    scored = complete_and_score(arm, PROMPTS[:1], reward_model=tiny.reward_model, num_completions=2, **SAMPLING)
    plain = AutoModelForSequenceClassification.from_pretrained(tiny.reward_model).eval()
    renderer = Renderer(tokenizer=load_tokenizer(tiny.reward_model))
    responses = [renderer.truncated_response_tokens(c.text, is_complete=c.is_complete) for c in scored.completions[0]]
    bare = plain_scores(plain, [Group(prompt=renderer.prompt_tokens(PROMPTS[0]), responses=responses)])
    assert scored.scores[0] == pytest.approx(bare.tolist(), abs=1e-5)


def test_prompts_without_room_get_none_and_are_told(tiny):
    long, told = Prompt(id="long", text="where " * CONTEXT), []
    arm = Arm(name="sft", model=tiny.policy)
    settings = {"n": 2, "reward_model": tiny.reward_model, **SAMPLING}
    found = complete_best_of_n(arm, [PROMPTS[0], long], on_too_long=told.append, **settings)
    assert [len(own) for own in found] == [1, 0]
    assert "prompt long has" in told[0]
    with pytest.raises(DataError, match="prompt long has"):
        complete_best_of_n(arm, [long], **settings)


def test_the_longest_completion_has_to_fit_into_the_reward_models_context(tiny, tokenizer, tmp_path):
    arm = Arm(name="sft", model=tiny.policy)
    renderer = Renderer(tokenizer=tokenizer)
    (own,) = complete(arm, PROMPTS[:1], num_completions=8, **SAMPLING)
    prompt = len(renderer.prompt_tokens(PROMPTS[0]))
    lengths = [prompt + len(renderer.truncated_response_tokens(c.text, is_complete=c.is_complete)) for c in own]
    assert min(lengths) < max(lengths)
    for context in (max(lengths), max(lengths) - 1):
        config = config_of("llama", len(tokenizer), max_position_embeddings=context)
        model_of(config, has_score=True).save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        settings = {"reward_model": tmp_path, "num_completions": 8, **SAMPLING}
        if context == max(lengths):
            assert len(complete_and_score(arm, PROMPTS[:1], **settings).scores[0]) == 8
        else:
            with pytest.raises(DataError, match=f"has {max(lengths)} tokens .*whose context is {context}"):
                complete_and_score(arm, PROMPTS[:1], **settings)
