"""Every benchmark on one tiny arm: a measurement of every kind, within its range, traceable to its raw rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tutelage.evaluation.completions import Arm
from tutelage.report.raw_rows import RawRows
from tutelage.report.run_folder import read_run
from tutelage.reproduction.findings import Findings, join_rows, read_findings
from tutelage.reproduction.probes import ProbeSizes, probe_arm
from tutelage.reproduction.village import build_world, probes
from tutelage.store.jsonl import write_records


def test_probe_arm(tmp_path, tokenizer):
    from tiny import config_of, model_of

    model_of(config_of("llama", len(tokenizer), max_position_embeddings=1024)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    sizes = ProbeSizes(
        num_toxicity_prompts=4, completions_per_toxicity_prompt=2, num_skill_items=3, max_response_tokens=3
    )
    found = probe_arm(build_world(0), Arm(name="base", model=tmp_path), seed=0, sizes=sizes, size="small")
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
        assert (measurement.arm, measurement.size) == ("base", "small")
        assert 0.0 <= measurement.low <= measurement.mean <= measurement.high <= 1.0
    assert {f"evaluation/{name}.jsonl" for name in found.rows} == {own.source for own in found.measurements}
    conditions = [(own.measure, tuple(own.condition.items())) for own in found.measurements]
    assert len(set(conditions)) == len(conditions)
    entropies = [row.value for row in found.rows["bias"] if row.condition == {"set": "winogender", "prompt": "none"}]
    measured = next(own for own in found.measurements if own.condition == {"set": "winogender", "prompt": "none"})
    assert abs(sum(entropies) / len(entropies) - measured.mean) < 1e-9
    _assert_paired(found, tmp_path)
    talks = {kind: set() for kind in probes.TOXICITY_INSTRUCTIONS}
    for row in found.rows["toxicity"]:
        talks[row.condition["prompt"]].add(row.cluster)
    assert talks["none"] == talks["respectful"] == talks["biased"] and len(talks["none"]) == 4


def _assert_paired(found: Findings, path: Path) -> None:
    """The report finds the rows behind what differences are taken of."""
    found.write(path / "steps" / "probe")
    join_rows([path / "steps"], path / "run" / "evaluation")
    write_records(path / "run" / "evaluation" / "measurements.jsonl", read_findings(path / "steps"))
    measured, raw = read_run(path / "run").measured, RawRows(path / "run")
    units = {"truthful": 30, "truthful_choice": 30, "toxicity": 4, "bias_entropy": None, "skill": None}
    for measure, number in units.items():
        for row in measured.where(measure, {}, arm="base", size="small"):
            means = raw.means(row)
            assert means is not None, row
            assert number in (None, len(means))
