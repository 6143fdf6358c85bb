"""Before anybody judges: which few-shot prefix is taken, and how each arm is asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="the pipeline trains")

from tutelage.evaluation.records import GPT, INSTRUCT
from tutelage.records import Completion, Prompt
from tutelage.reproduction import village
from tutelage.reproduction.experiment import BLOCK_END, Reproduction
from tutelage.workflow import answers
from tutelage.workflow.experiment import Experiment

PREFIXES = {"tale": "T: ", "facts": "F: ", "mixed": "M: "}


class Run(Experiment):
    """A run of which only the configuration of its arms is known."""

    def __init__(self):
        self.config = SimpleNamespace(prefixes=PREFIXES, prefix_stop=BLOCK_END, base_model=None, all_stages={})
        self.out = Path()
        self.asked = []

    def prompts(self, split, purpose=None):
        self.asked.append((split, purpose))
        return [Prompt(text=f"prompt {n}") for n in range(120)]


@pytest.fixture
def prompted(monkeypatch):
    """A run whose base model repeats its prefix, and whose reward model scores the prompts of each prefix as given."""

    def prompted(scores):
        run = Run()

        def complete_prompts(run, arm, chosen):
            run.asked.append((arm, len(chosen)))
            return [[Completion(id="c", text=arm.prefix)] for _ in chosen]

        def score_completions(model, chosen, completions):
            return [[scores[own[0].text][n % 2]] for n, own in enumerate(completions)]

        monkeypatch.setattr(answers, "complete_prompts", complete_prompts)
        monkeypatch.setattr(answers, "score_completions", score_completions)
        monkeypatch.setattr(answers, "ScoreModel", SimpleNamespace(load=lambda *_, **__: None))
        return answers._choose_prefix(run), run.asked

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
    assert [(arm.prefix, num_prompts) for arm, num_prompts in tried] == [(p, 100) for p in PREFIXES.values()]
    assert {(arm.model, arm.stop_text) for arm, _ in tried} == {(Path("pretrain/model"), BLOCK_END)}


def test_only_the_prompted_arm_has_the_chosen_prefix():
    run = Run()
    found = {name: run.arm(name, prefix="mixed") for name in ("base", "prompted", "sft", "ppo", "ppo_ptx")}
    assert {name: (arm.name, str(arm.model), arm.prefix, arm.stop_text) for name, arm in found.items()} == {
        "base": ("base", "pretrain/model", "", ""),
        "prompted": ("prompted", "pretrain/model", "M: ", BLOCK_END),
        "sft": ("sft", "sft/model", "", ""),
        "ppo": ("ppo", "ppo/model", "", ""),
        "ppo_ptx": ("ppo_ptx", "ppo_ptx/model", "", ""),
    }


def test_a_response_to_a_prompt_for_gpt_ends_with_its_block():
    run = object.__new__(Reproduction)
    run.config, run.out, run.size, run.reward_size = Run().config, Path(), "", ""
    assert run.arm("ppo", test_set=GPT).stop_text == BLOCK_END
    assert run.arm("ppo", test_set=INSTRUCT).stop_text == ""


def test_the_blocks_of_every_prefix_end_as_responses_are_cut():
    """Otherwise a base model would go on with the next block, and its response would hold two."""
    for name, prefix in village.few_shot_prefixes(village.build_world(3)).items():
        assert prefix.count(BLOCK_END) == len(village.corpus.PREFIXES[name]), name
