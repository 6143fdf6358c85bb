"""The reward model: what a ranking weighs, what must not change the outcome, where its zero is, when it stops."""

from __future__ import annotations

import copy
import logging
from random import Random

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from test_model_packing import plain_scores
from test_training_ppo import assert_close_gradients
from test_training_resume import bits_of
from tiny import TEXT, gradients_of_term, ranking_rows, read_rows, write_rows
from tutelage.errors import NonFiniteLossError
from tutelage.evaluation.preference import score_rows
from tutelage.model.inference import compute_scores
from tutelage.model.loading import load_scalar_model
from tutelage.model.policy import ScoreModel
from tutelage.statistics.interval import bounded_mean
from tutelage.store.sources import load_demonstrations
from tutelage.training import reward as reward_room
from tutelage.training.config import RewardConfig, TextConfig
from tutelage.training.data import LengthLimits, SkippedRecords, encode_demonstrations
from tutelage.training.reward import accuracy_interval, ranking_term, train_reward, validate


@pytest.fixture
def configured(tiny, tmp_path):
    def configured(out="run", **others):
        settings = {
            "out": tmp_path / out,
            "model": tiny.policy,
            "rankings": tiny.rankings,
            "validation": tiny.rankings,
            "allow_prompt_overlap": True,
            "text": TEXT,
            "rankings_per_step": 8,
            "device": "cpu",
            "optimizer": {"learning_rate": 1e-4},
        }
        return RewardConfig.model_validate({**settings, **others})

    return configured


def permuted(rows, seed=0):
    """The completions of every ranking in another order; the rankings, by id, as they were."""
    rng = Random(seed)
    return [{**row, "completions": rng.sample(row["completions"], len(row["completions"]))} for row in rows]


def gradient_of(model, items, config, limit=100_000):
    model.zero_grad()
    metrics = gradients_of_term(ranking_term(model, items), config.model_copy(update={"tokens_per_microbatch": limit}))
    return metrics, {name: p.grad.clone() for name, p in model.model.named_parameters() if p.grad is not None}


def test_gradient_is_that_of_a_loop(tiny, configured, encoded):
    """Mean over rankings of the mean over comparisons of -log sigmoid(chosen - rejected), by plain transformers."""
    items = encoded(ranking_rows(9))
    assert {len(item.group.responses) for item in items} == {2, 3, 4, 5}
    model = ScoreModel.load(tiny.reward_model)
    metrics, found = gradient_of(model, items, configured())
    plain = AutoModelForSequenceClassification.from_pretrained(tiny.reward_model).eval()
    losses, accuracies = [], []
    for item in items:
        scores = plain_scores(plain, [item.group])
        margins = torch.stack([scores[chosen] - scores[rejected] for chosen, rejected in item.record.pairs()])
        losses.append(-torch.nn.functional.logsigmoid(margins).mean())
        accuracies.append(float((margins.detach() > 0).float().mean()))
    loss = torch.stack(losses).mean()
    loss.backward()
    assert metrics["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx(sum(accuracies) / len(accuracies), abs=1e-6)
    assert_close_gradients(found, {name: p.grad for name, p in plain.named_parameters() if p.grad is not None})


@pytest.mark.parametrize("limit", [1, 150])
def test_micro_batches_change_nothing(tiny, configured, encoded, limit):
    items = encoded(ranking_rows(9))
    model = ScoreModel.load(tiny.reward_model)
    expected_metrics, expected = gradient_of(model, items, configured())
    metrics, found = gradient_of(model, items, configured(), limit)
    assert metrics == pytest.approx(expected_metrics, rel=1e-5)
    assert_close_gradients(found, expected)


def test_permuting_completions_with_their_ranking_changes_nothing(tiny, configured, encoded, tmp_path):
    rows = ranking_rows(40)
    model = ScoreModel.load(tiny.reward_model)
    expected_metrics, expected = gradient_of(model, encoded(rows), configured())
    metrics, found = gradient_of(model, encoded(permuted(rows)), configured())
    assert metrics == pytest.approx(expected_metrics, rel=1e-5)
    assert_close_gradients(found, expected)

    weights = []
    for name, own in (("one", rows), ("two", permuted(rows, seed=1))):
        config = configured(name, rankings=write_rows(tmp_path / f"{name}.jsonl", own))
        train_reward(config)
        weights.append(load_scalar_model(config.out / "model").state_dict())
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, atol=2e-6, rtol=0)


def test_rankings_that_are_all_ties_are_kept_but_not_trained_on(configured, tmp_path):
    rows = ranking_rows(24)
    ties = [
        {**row, "prompt": f"tie {i}", "ranking": [[c["id"] for c in row["completions"]]]} for i, row in enumerate(rows)
    ]
    mixed = [row for pair in zip(rows, ties, strict=True) for row in pair]
    summaries = []
    for name, own in (("without", rows), ("with", mixed)):
        summaries.append(train_reward(configured(name, rankings=write_rows(tmp_path / f"{name}.jsonl", own))))
    assert [summary["num_all_ties"] for summary in summaries] == [0, 24]
    assert [summary["num_rankings"] for summary in summaries] == [24, 24]
    assert bits_of(tmp_path / "with") == bits_of(tmp_path / "without")


def test_demonstrations_have_mean_score_0_after_saving_and_loading(tiny, configured):
    config = configured(demonstrations=tiny.demonstrations)
    summary = train_reward(config)
    assert summary["score_bias"] != 0.0
    assert summary["mean_score_on_demonstrations"] == pytest.approx(0.0, abs=1e-5)
    model = ScoreModel.load(config.out / "model")
    renderer = model.renderer
    limits = LengthLimits(text=TextConfig(**TEXT), context=96, left_out=SkippedRecords(skip_bad=False))
    items = encode_demonstrations(load_demonstrations(tiny.demonstrations), renderer, limits)
    groups = [item.group for item in items]
    assert float(compute_scores(model, groups, tokens_per_microbatch=500).mean()) == pytest.approx(0.0, abs=1e-5)
    plain = AutoModelForSequenceClassification.from_pretrained(config.out / "model").eval()
    with torch.no_grad():
        raw = plain_scores(plain, groups).mean()
    assert float(raw) == pytest.approx(summary["score_bias"], abs=1e-5)


def test_without_demonstrations_there_is_no_bias(configured):
    config = configured()
    assert "score_bias" not in train_reward(config)
    assert load_scalar_model(config.out / "model").config.score_bias == 0.0


def test_a_reward_model_that_is_trained_on_starts_without_its_bias(tiny, configured):
    train_reward(first := configured("first", demonstrations=tiny.demonstrations))
    second = train_reward(configured("second", model=first.out / "model", demonstrations=tiny.demonstrations))
    assert second["mean_score_on_demonstrations"] == pytest.approx(0.0, abs=1e-5)


def test_validation_by_hand(tiny, encoded):
    items = encoded(ranking_rows(9))
    model = ScoreModel.load(tiny.reward_model)
    plain = AutoModelForSequenceClassification.from_pretrained(tiny.reward_model).eval()
    accuracy, by_length = [], []
    for item in items:
        with torch.no_grad():
            scores = plain_scores(plain, [item.group])
        lengths = [len(completion.text) for completion in item.record.completions]
        pairs = item.record.pairs()
        accuracy.append(sum(float(scores[a] > scores[b]) for a, b in pairs) / len(pairs))
        by_length.append(
            sum((lengths[a] > lengths[b]) + 0.5 * (lengths[a] == lengths[b]) for a, b in pairs) / len(pairs)
        )
    found = validate(model, items, 200)
    assert found["validation_accuracy"] == pytest.approx(sum(accuracy) / 9, abs=1e-6)
    share = sum(by_length) / 9
    assert found["validation_length_only_accuracy"] == pytest.approx(max(share, 1 - share), abs=1e-6)
    assert share > 0.9, "in the tiny rankings longer is better"


def test_it_learns_what_the_labelers_like(configured):
    config = configured(num_epochs=6, optimizer={"learning_rate": 3e-3})
    summary = train_reward(config)
    assert summary["validation_accuracy"] > 0.9
    losses = [row["reward/loss"] for row in read_rows(config.out / "metrics.jsonl") if "reward/loss" in row]
    assert losses[-1] < 0.5 * losses[0]


def test_a_loss_that_is_not_a_number_stops_before_the_update(tiny, configured, monkeypatch):
    models, load = [], reward_room.ScoreModel.load

    def poisoned(*arguments, **others):
        model = load(*arguments, **others)
        with torch.no_grad():
            model.model.score.weight[0, 3] = float("nan")
        models.append((model, copy.deepcopy(model.state_dict())))
        return model

    monkeypatch.setattr(reward_room.ScoreModel, "load", poisoned)
    with pytest.raises(NonFiniteLossError) as caught:
        train_reward(config := configured(rankings_per_step=3))
    message = str(caught.value)
    assert "reward: the loss at step 0 is nan" in message
    assert message.count("prompt ") == 3
    assert "before the update" in message
    ((model, before),) = models
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0, equal_nan=True)
    assert not (config.out / "model").exists()


def test_lora_trains_adapters_and_head(tiny, configured):
    config = configured(lora={"rank": 4}, num_epochs=4, optimizer={"learning_rate": 1e-2})
    summary = train_reward(config)
    losses = [row["reward/loss"] for row in read_rows(config.out / "metrics.jsonl") if "reward/loss" in row]
    assert losses[-1] < losses[0]
    plain = AutoModelForSequenceClassification.from_pretrained(config.out / "model")
    before = AutoModelForSequenceClassification.from_pretrained(tiny.reward_model)
    assert "model.embed_tokens.weight" in plain.state_dict()
    assert plain.state_dict().keys() == before.state_dict().keys()
    assert 0.5 < summary["validation_accuracy"] <= 1.0


def test_cut_completions_lose_their_stop_token(encoded):
    """Too long for the limit, or marked as incomplete when sampled: the score is read where the text was cut."""
    row = {
        "prompt": "p",
        "completions": [
            {"id": "a", "text": "lane " * 40},
            {"id": "b", "text": "lane"},
            {"id": "c", "text": "lane", "is_complete": False},
            {"id": "d", "text": "", "is_complete": False},
        ],
        "ranking": [["b"], ["a"], ["c"], ["d"]],
    }
    long, complete, cut, nothing = encoded([row])[0].group.responses
    assert len(long) == 24
    assert long[-1] != 0
    assert complete == [*cut, 0]
    assert nothing == [0], "a response needs at least one token"


def test_the_interval_is_that_of_prompts_not_of_comparisons(encoded):
    """Two labelers of the first prompt are no two observations; equal scores are half right."""
    rows = ranking_rows(6)
    items = encoded([*rows, rows[0]])
    scores = torch.tensor([float(i % 3) for item in items for i in range(len(item.group.responses))])
    accuracies, first, num_pairs = [], 0, 0
    for item in items:
        own = scores[first : first + len(item.group.responses)].tolist()
        outcomes = [(own[a] > own[b]) + 0.5 * (own[a] == own[b]) for a, b in item.record.pairs()]
        accuracies.append(sum(outcomes) / len(outcomes))
        first, num_pairs = first + len(own), num_pairs + len(outcomes)
    expected = bounded_mean(accuracies, [0, 1, 2, 3, 4, 5, 0])
    found = accuracy_interval(scores, items)
    assert found["num_validation_comparisons"] == num_pairs
    rows_of_scores = [own.tolist() for own in scores.split([len(item.group.responses) for item in items])]
    evaluated = [row.value for row in score_rows([item.record for item in items], rows_of_scores, {})]
    of_comparisons = sum(evaluated) / len(evaluated)
    assert found["validation_comparison_accuracy"] == pytest.approx(of_comparisons, abs=1e-9)
    assert abs(of_comparisons - sum(accuracies) / len(accuracies)) > 0.01, "one number would prove nothing"
    assert found["validation_accuracy_low"] == pytest.approx(expected.low, abs=1e-9)
    assert found["validation_accuracy_high"] == pytest.approx(expected.high, abs=1e-9)
    apart = bounded_mean(accuracies, range(7))
    assert abs(apart.low - expected.low) > 1e-3, "clusters matter in this example"


def test_the_summary_tells_how_many_completions_were_cut(configured, tmp_path):
    rows = ranking_rows(12)
    rows[0]["completions"][0]["text"] = "where is it " * 30
    rows[5]["completions"][1]["text"] = "where is it " * 30
    config = configured(
        rankings=write_rows(tmp_path / "long.jsonl", rows), validation=write_rows(tmp_path / "v.jsonl", rows[:1])
    )
    summary = train_reward(config)
    assert summary["num_cut_completions"] == 3
    assert summary["num_completions"] == sum(len(row["completions"]) for row in [*rows, rows[0]])
    assert summary["validation_accuracy_low"] <= summary["validation_accuracy"] <= summary["validation_accuracy_high"]


def test_the_length_baseline_is_that_of_whole_texts(tiny, configured, tmp_path):
    """All completions are cut to the same number of tokens; the labeler saw that the chosen one was longer."""
    rows = []
    for number in range(6):
        texts = [{"id": f"c{k}", "text": "where is it " * (20 + k)} for k in range(3)]
        rows.append({"prompt": f"who {number}?", "completions": texts, "ranking": [["c2"], ["c1"], ["c0"]]})
    path = write_rows(tmp_path / "long.jsonl", rows)
    summary = train_reward(configured(rankings=path, validation=path))
    assert summary["num_cut_completions"] == summary["num_completions"] == 36
    assert summary["validation_length_only_accuracy"] == pytest.approx(1.0)


def test_an_accuracy_and_a_zero_that_rest_on_few_prompts_say_so(tiny, configured, tmp_path, caplog):
    """29 prompts under 58 rankings are 29; and one demonstration sets where the score is 0."""
    rows = ranking_rows(29, seed=11)
    few = write_rows(tmp_path / "few.jsonl", [*rows, *rows])
    one = write_rows(tmp_path / "one.jsonl", read_rows(tiny.demonstrations)[:1])
    with caplog.at_level(logging.WARNING):
        train_reward(configured("a", validation=few, demonstrations=one))
        assert "the validation accuracy is based on 29 prompts; with fewer than 30" in caplog.text
        assert "the zero point of the score is based on 1 prompt;" in caplog.text
        caplog.clear()
        train_reward(configured("b", demonstrations=tiny.demonstrations))
        assert "is based on" not in caplog.text
