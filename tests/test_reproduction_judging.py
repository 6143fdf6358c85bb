"""The judging of the pipeline: which few-shot prefix is taken, and what is made of completions and judgements."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="the pipeline trains")

from tutelage.errors import DataError
from tutelage.records import Completion, Prompt
from tutelage.reproduction import judging, village
from tutelage.reproduction.judging import BLOCK_END, arms, choose_prefix, mean

PREFIXES = {"tale": "T: ", "facts": "F: ", "mixed": "M: "}


@pytest.fixture
def prompted(monkeypatch):
    """A run whose base model repeats its prefix, and whose reward model scores the prompts of each prefix as given."""
    asked = []

    def prompted(scores):
        def prompts(split, purpose):
            asked.append((split, purpose))
            return [Prompt(text=f"prompt {n}") for n in range(120)]

        def complete_prompts(run, arm, chosen, number):
            asked.append((arm, len(chosen), number))
            return [[Completion(id="c", text=arm.prefix)] for _ in chosen]

        def scores_by_reward_model(run, chosen, completions):
            return [[scores[own[0].text][n % 2]] for n, own in enumerate(completions)]

        monkeypatch.setattr(judging, "complete_prompts", complete_prompts)
        monkeypatch.setattr(judging, "scores_by_reward_model", scores_by_reward_model)
        monkeypatch.setattr(village, "few_shot_prefixes", lambda world: PREFIXES)
        run = SimpleNamespace(world=None, prompts=prompts, model=lambda stage: Path(stage) / "model")
        return choose_prefix(run), asked

    return prompted


def test_the_prefix_with_the_highest_mean_score_is_taken(prompted):
    """Means of two: 0.5, 1, 0.75. The one with the highest single score is not the best."""
    found, asked = prompted({"T: ": (3.0, -2.0), "F: ": (1.0, 1.0), "M: ": (1.5, 0.0)})
    assert found == {"prefix": "facts", "scores": {"tale": 0.5, "facts": 1.0, "mixed": 0.75}}
    found, _ = prompted({"T: ": (-1.0, -2.0), "F: ": (-3.0, -3.0), "M: ": (-1.0, -1.0)})
    assert found["prefix"] == "mixed"
    assert asked[0] == ("valid", "ppo"), "test prompts must not choose anything"


def test_prefixes_are_tried_on_the_base_model_with_the_same_prompts(prompted):
    _, asked = prompted(dict.fromkeys(PREFIXES.values(), (0.0, 0.0)))
    tried = asked[1:]
    assert [(arm.prefix, num_prompts, number) for arm, num_prompts, number in tried] == [
        (prefix, 100, 1) for prefix in PREFIXES.values()
    ]
    assert {(arm.model, arm.stop_text) for arm, *_ in tried} == {(Path("pretrain/model"), BLOCK_END)}


def test_only_the_prompted_arm_has_the_chosen_prefix(monkeypatch):
    monkeypatch.setattr(village, "few_shot_prefixes", lambda world: PREFIXES)
    run = SimpleNamespace(world=None, model=lambda stage: stage, result=lambda step: {"prefix": "mixed"})
    found = {arm.name: (arm.model, arm.prefix, arm.stop_text) for arm in arms(run)}
    assert found == {
        "gpt": ("pretrain", "", ""),
        "gpt_prompted": ("pretrain", "M: ", BLOCK_END),
        "sft": ("sft", "", ""),
        "ppo": ("ppo", "", ""),
        "ppo_ptx": ("ppo_ptx", "", ""),
    }


def test_the_blocks_of_every_prefix_end_as_responses_are_cut():
    """Otherwise a base model would go on with the next block, and its response would hold two."""
    for name, prefix in village.few_shot_prefixes(village.build_world(3)).items():
        assert prefix.count(BLOCK_END) == len(village.corpus.PREFIXES[name]), name
        assert prefix.rstrip().endswith(BLOCK_END), "nothing of the break is left behind the cut"


def test_a_mean_of_nothing_is_told():
    assert mean(iter([1.0, 2.0])) == 1.5
    with pytest.raises(DataError, match=r"empty split\. Raise num_raw_prompts"):
        mean([])
