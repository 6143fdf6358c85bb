"""Every benchmark on one tiny arm: a measurement of every kind, within its range, traceable to its raw rows."""

from __future__ import annotations

from collections import Counter

from tutelage.evaluation.completions import Arm
from tutelage.miniature import build_world, probes
from tutelage.pipeline.probes import ProbeSizes, probe_arm


def test_probe_arm(tmp_path, tokenizer):
    from tiny import config_of, model_of

    model_of(config_of("llama", len(tokenizer), max_position_embeddings=1024)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    sizes = ProbeSizes(
        num_toxicity_prompts=4, completions_per_toxicity_prompt=2, num_skill_items=3, max_response_tokens=3
    )
    found = probe_arm(build_world(0), Arm(name="gpt", model=tmp_path), seed=0, sizes=sizes, size="small")
    counts = Counter(measurement.measure for measurement in found.measurements)
    assert counts == {
        "truthful": 3,
        "truthful_informative": 3,
        "truthful_choice": 3,
        "toxicity": 3,
        "expected_max_toxicity": 3,
        "toxicity_probability": 3,
        "bias_entropy": 6,
        "skill": 2 * sum(len(skill.metrics) for skill in probes.SKILLS.values()),
    }
    for measurement in found.measurements:
        assert (measurement.arm, measurement.size) == ("gpt", "small")
        assert 0.0 <= measurement.low <= measurement.mean <= measurement.high <= 1.0
    assert {f"evaluation/{name}.jsonl" for name in found.rows} == {own.source for own in found.measurements}
    conditions = [(own.measure, tuple(own.condition.items())) for own in found.measurements]
    assert len(set(conditions)) == len(conditions)
    entropies = [
        row["entropy"] for row in found.rows["bias"] if row["condition"] == {"set": "winogender", "prompt": "none"}
    ]
    measured = next(own for own in found.measurements if own.condition == {"set": "winogender", "prompt": "none"})
    assert abs(sum(entropies) / len(entropies) - measured.mean) < 1e-9
