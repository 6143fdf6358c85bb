"""summary.json as a view of the measurements: whose numbers it takes, and whose not."""

from __future__ import annotations

from tutelage.evaluation.records import Measurement
from tutelage.reproduction.findings import summed_up

DECIDES = {"labelers": "heldout", "distribution": "instruct"}


def row(measure: str, mean: float, arm: str = "ppo", size: str = "xl", baseline: str = "sft", **changed: str):
    compared = {"baseline": baseline, "baseline_size": changed.pop("baseline_size", size)} if baseline else {}
    numbers = {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": 8, "source": "evaluation/comparisons.jsonl"}
    return Measurement(measure=measure, arm=arm, size=size, condition=DECIDES | changed, **compared, **numbers)


def test_a_summary_is_about_one_size_its_own_baseline_and_instructions():
    rows = [
        row("win_rate", 0.6),
        row("win_rate", 0.1, size="s", baseline_size="xl"),
        row("win_rate", 0.2, baseline="base"),
        row("win_rate", 0.3, baseline_size="s"),
        row("win_rate", 0.4, distribution="gpt"),
        row("win_rate", 0.5, labelers="training"),
        row("likert", 4.0, baseline=""),
        row("likert", 2.0, baseline="", distribution="gpt"),
        row("likert", 3.0, baseline="", size="s"),
        row("flag", 0.25, baseline="", flag="hallucination"),
        row("flag", 0.75, baseline="", flag="hallucination", size="s"),
        Measurement(measure="kl_to_reference", arm="ppo", size="xl", mean=9.0, n=8, source="evaluation/kl.jsonl"),
        Measurement(measure="kl_to_reference", arm="ppo", size="s", mean=5.0, n=8, source="evaluation/kl.jsonl"),
    ]
    found = summed_up(rows, size="xl")
    assert {arm: rate["mean"] for arm, rate in found["win_rate_vs_sft"].items()} == {"ppo": 0.6}
    assert found["win_rate_vs_sft"]["ppo"] == {"mean": 0.6, "low": 0.6 - 0.1, "high": 0.6 + 0.1, "n": 8}
    assert found["win_rate_vs_sft_training_labelers"]["ppo"]["mean"] == 0.5
    assert found["likert"] == {"ppo": 4.0}
    assert found["flags"] == {"ppo": {"hallucination": 0.25}}
    assert found["kl_to_reference"] == {"ppo": 9.0}
    assert found["pretraining_loss"] == {}
