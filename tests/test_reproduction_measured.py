"""What the pipeline measures tells right from wrong: planted faults in training and labels move the numbers."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch", reason="the pipeline measures models")

import torch

import tutelage.training.ppo
from tutelage.evaluation.measuring import mean_of, mean_ratings, mean_values
from tutelage.evaluation.preference import score_rows
from tutelage.evaluation.records import EvaluatedRating
from tutelage.model.generator import group_responses
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import Policy
from tutelage.model.sampling import SamplingSettings, sample_responses
from tutelage.objectives.advantage import kl_penalty
from tutelage.records import Completion, Prompt, Ranking
from tutelage.reproduction import village
from tutelage.statistics.unbounded import clustered_mean, ratio_of_totals
from tutelage.text.render import Renderer
from tutelage.training.config import PPOConfig
from tutelage.training.ppo import ppo
from tutelage.workflow.measuring import kl_rows, loss_rows

if TYPE_CHECKING:
    from pathlib import Path

    from tiny import Tiny


def trained(tiny: Tiny, out: Path, *, kl_coef: float = 0.0, ptx_coef: float = 0.0) -> Path:
    settings = {
        "policy": tiny.policy,
        "reward_model": tiny.reward_model,
        "prompts": tiny.prompts,
        "out": out,
        "device": "cpu",
        "text": {"max_prompt_tokens": 40, "max_response_tokens": 8},
        "num_episodes": 128,
        "episodes_per_step": 16,
        "episodes_per_minibatch": 8,
        "ema_decay": 0.0,
        "ppo": {"kl_coef": kl_coef},
        "ptx": {"coef": ptx_coef, "text": tiny.text, "context_tokens": 32, "sequences_per_episode": 2},
        "policy_optimizer": {"learning_rate": 3e-3, "schedule": "constant"},
        "value_optimizer": {"learning_rate": 3e-3, "schedule": "constant"},
    }
    ppo(PPOConfig.model_validate(settings))
    return out / "model"


def kl_of(tiny: Tiny, model: Path) -> float:
    """Nats per response of a policy to the one it started from, on its own responses."""
    policy, reference = Policy.load(model), Policy.load(tiny.policy)
    renderer = Renderer(tokenizer=load_tokenizer(tiny.policy))
    prompts = [renderer.prompt_tokens(Prompt(text=f"Say {word}.")) for word in ("so", "no", "go", "wo")] * 16
    sampled = sample_responses(
        policy.model,
        prompts,
        settings=SamplingSettings(max_response_tokens=8),
        stop_tokens=renderer.stop_tokens,
        generator=torch.Generator().manual_seed(0),
    )
    rows = kl_rows(policy, reference, group_responses(prompts, sampled), map(str, range(len(prompts))))
    return mean_of(rows, source="x", statistic=clustered_mean).mean


def loss_of(tiny: Tiny, model: Path) -> float:
    """Nats per token of a policy on the pretraining text."""
    renderer = Renderer(tokenizer=load_tokenizer(tiny.policy))
    texts = tiny.text.read_text(encoding="utf-8").split("\n<|endoftext|>\n")[:40]
    tokens = [renderer.document_tokens(text)[:33] for text in texts if text]
    windows = [Group(prompt=own[:1], responses=[own[1:]]) for own in tokens]
    return mean_of(loss_rows(Policy.load(model), windows), source="x").mean


def test_kl_rises_when_the_sign_of_its_penalty_is_flipped(tiny, tmp_path, monkeypatch):
    held = kl_of(tiny, trained(tiny, tmp_path / "held", kl_coef=1.0))
    free = kl_of(tiny, trained(tiny, tmp_path / "free"))
    monkeypatch.setattr(tutelage.training.ppo, "kl_penalty", lambda *args, **terms: -kl_penalty(*args, **terms))
    flipped = kl_of(tiny, trained(tiny, tmp_path / "flipped", kl_coef=1.0))
    assert 0 <= held < free < flipped


def test_loss_on_pretraining_text_is_higher_without_the_pretraining_mix(tiny, tmp_path):
    without = loss_of(tiny, trained(tiny, tmp_path / "without"))
    mixed = loss_of(tiny, trained(tiny, tmp_path / "mixed", ptx_coef=1.0))
    assert mixed < without - 0.05


def test_accuracy_falls_to_chance_when_labels_are_shuffled():
    """A scorer that knows the truth agrees with labelers on most comparisons, with shuffled ones on half."""
    world = village.build_world(4)
    labeler = village.labelers(4, num_training=1, num_heldout=1)[0]
    rng = Random(4)
    rankings, scores = [], []
    for prompt in village.raw_prompts(world, num_prompts=150, seed=4):
        task = village.task_of(prompt)
        texts = [village.good_response(world, rng, task), "The the a.", "I do not know.", "Yes, dear friend."]
        own = [Completion(id=str(number), text=text) for number, text in enumerate(texts)]
        rankings.append(village.rank(world, prompt, own, [True] * 4, labeler, rng))
        judged = [village.judge(world, task, text, is_complete=True) for text in texts]
        scores.append([village.quality(one, "training") for one in judged])
    assert accuracy(rankings, scores) > 0.7
    assert 0.4 < accuracy([shuffled(ranking, rng) for ranking in rankings], scores) < 0.6


def accuracy(rankings: list[Ranking], scores: list[list[float]]) -> float:
    rows = score_rows(rankings, scores, {"labelers": "training"})
    (measurement,) = mean_values(rows, source="evaluation/reward_model.jsonl")
    assert measurement.n == len(rows) == sum(len(ranking.pairs()) for ranking in rankings)
    return measurement.mean


def shuffled(ranking: Ranking, rng: Random) -> Ranking:
    names = [completion.id for completion in ranking.completions]
    other = dict(zip(names, rng.sample(names, len(names)), strict=True))
    return ranking.model_copy(
        update={"ranking": tuple(tuple(other[name] for name in group) for group in ranking.ranking)}
    )


def test_the_mean_of_clusters_by_hand():
    """1, 2 | 6 in two clusters: mean 3; residuals -3 and 3; variance (27 + 13.5) / 9 = 4.5; t(1) is 12.706."""
    found = clustered_mean([1.0, 2.0, 6.0], ["a", "a", "b"])
    assert (found.mean, found.n) == (3.0, 3)
    assert found.high - found.mean == pytest.approx(4.5**0.5 * 12.7062047)
    assert found.mean - found.low == pytest.approx(4.5**0.5 * 12.7062047)


def test_a_ratio_of_totals_by_hand():
    """6 nats of 2 tokens and 2 of 2: 2 a token; residuals 2 and -2; variance 2 * 8 / 16 = 1."""
    found = ratio_of_totals([6.0, 2.0], [2.0, 2.0], ["a", "b"])
    assert found.mean == 2.0
    assert found.high - found.mean == pytest.approx(12.7062047)
    with pytest.raises(ValueError, match="each its own"):
        ratio_of_totals([1.0], [1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="sum to zero"):
        ratio_of_totals([1.0], [0.0], ["a"])


def test_a_flag_counts_those_who_were_asked():
    """Two of three ratings could raise it, one did; the third is of a prompt that cannot."""
    flags = {
        "a": {"hallucination": True, "sexual_content": False},
        "b": {"sexual_content": False},
        "c": {"hallucination": False, "sexual_content": False},
    }
    about = {"arm": "sft", "labeler_group": "heldout", "labeler_id": "l", "overall": 4}
    rows = [
        EvaluatedRating(**about, prompt_id=prompt, completion_id=prompt, flags=own) for prompt, own in flags.items()
    ]
    found = {row.condition["flag"]: row for row in mean_ratings(rows) if row.measure == "flag"}
    assert (found["hallucination"].mean, found["hallucination"].n) == (0.5, 2)
    assert (found["sexual_content"].mean, found["sexual_content"].n) == (0.0, 3)
