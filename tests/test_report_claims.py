"""The claims table: verdicts follow the numbers, pairing is by prompt, a claim that fails is printed as failed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from full_run import truth, write_full_run
from report_synthetic_run import write_synthetic_run
from tutelage.errors import DataError
from tutelage.evaluation.records import Measurement, SizedArm, TaskRow
from tutelage.report.assessment import Assessment, Evidence, assess
from tutelage.report.measured import LARGEST, SMALLEST, Estimate, Measured, Row
from tutelage.report.notation import percent, signed, signed_points
from tutelage.report.raw_rows import RawRows
from tutelage.report.rules import Between, above, below, overall
from tutelage.report.run_folder import read_run
from tutelage.reproduction.claims import CLAIMS
from tutelage.reproduction.claims.choices import BestOfSweeps, LastEpochMinusLowestLoss
from tutelage.reproduction.claims.quantities import Contrast, MeanTerm, difference

JUDGED = {"labelers": "heldout", "distribution": "instruct"}
AGAINST = SizedArm("sft", LARGEST)


def evidence_of(path: Path) -> Evidence:
    run = read_run(path)
    return Evidence(measured=run.measured, raw=RawRows(run.path))


def assessed(path: Path) -> dict[str, Assessment]:
    return {found.claim.name: found for found in assess(CLAIMS, evidence_of(path))}


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    return write_full_run(tmp_path_factory.mktemp("runs") / "full", num_prompts=160, stages=False)


@pytest.fixture(scope="module")
def claims(full) -> dict[str, Assessment]:
    return assessed(full)


def estimate(mean: float, low: float | None, high: float | None) -> Estimate:
    return Estimate(mean=mean, low=low, high=high, source="x")


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        (above(0.5), 0.51, 0.6, "reproduced"),
        (above(0.5), 0.49, 0.6, "too noisy to say"),
        (above(0.5), 0.3, 0.49, "not reproduced"),
        (above(0.0), 0.0, 0.0, "not reproduced"),
        (below(0.0), -0.2, -0.1, "reproduced"),
        (below(0.0), 0.1, 0.2, "not reproduced"),
        (Between(-0.05, 0.05), -0.04, 0.04, "reproduced"),
        (Between(-0.05, 0.05), -0.06, 0.04, "too noisy to say"),
        (Between(-0.05, 0.05), -0.09, 0.09, "too noisy to say"),
        (Between(-0.05, 0.05), 0.06, 0.09, "not reproduced"),
        (Between(-0.05, 0.05), -0.09, -0.06, "not reproduced"),
    ],
)
def test_a_verdict_asks_where_the_whole_interval_lies(rule, low, high, verdict):
    assert rule.verdict(estimate((low + high) / 2, low, high)) == verdict


def test_without_an_interval_there_is_no_verdict_but_agreement():
    assert above(0.5).verdict(estimate(0.6, None, None)) == "agrees, without interval"
    assert below(0.5).verdict(estimate(0.6, None, None)) == "disagrees, without interval"


def test_one_part_that_fails_fails_the_claim_and_all_are_needed_to_reproduce_it():
    assert overall(["reproduced", "reproduced"]) == "reproduced"
    assert overall(["reproduced", "too noisy to say"]) == "too noisy to say"
    assert overall(["too noisy to say", "not reproduced"]) == "not reproduced"
    assert overall(["reproduced", "not measured"]) == "measured in part"
    assert overall(["not reproduced", "not measured"]) == "not reproduced"
    assert overall(["not measured", "not measured"]) == "not measured"
    assert overall(["reproduced", "agrees, without interval"]) == "agrees, without interval"


def test_a_rule_says_itself():
    assert above(0.5).words(percent) == "above 50.0\u202f%"
    assert below(0).words(signed_points) == "below 0"
    assert Between(0.01, 0.06).words(signed_points) == "between +1.0\u202fpoints and +6.0\u202fpoints"
    assert signed_points(-1e-17) == "+0.0\u202fpoints" and signed(3)(-1e-17) == "+0.000"


def test_a_run_like_the_paper_reproduces_what_was_put_in(claims):
    verdicts = {name: found.verdict for name, found in claims.items()}
    for name in ("small-beats-large", "hallucination", "truthfulness", "toxicity", "toxicity-biased", "alignment-tax",
                 "bias", "reward-model", "flan-t0", "sft-epochs", "ptx-beats-kl", "instructions"):  # fmt: skip
        assert verdicts[name] == "reproduced", (name, claims[name].findings)
    assert "not reproduced" not in verdicts.values()
    assert "not measured" not in verdicts.values()


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> dict[str, Assessment]:
    """What a KL penalty with its sign flipped, shuffled labels or a missing ptx term would do to the numbers."""
    changed = truth(
        win={**truth()["win"], "ppo_ptx": (0.2, 0.2, 0.2)},
        hallucination={**truth()["hallucination"], "ppo_ptx": 0.45},
        truthful={"base": 0.5, "sft": 0.5, "ppo": 0.2, "ppo_ptx": 0.2},
        skill={**truth()["skill"], "ppo_ptx": truth()["skill"]["ppo"]},
        entropy={**truth()["entropy"], "ppo_ptx": 0.95},
        reward_model={"inside": 0.7, "outside": 0.74},
    )
    path = tmp_path_factory.mktemp("runs") / "broken"
    return assessed(write_full_run(path, num_prompts=100, stages=False, truth=changed))


@pytest.mark.parametrize("name", ["order", "hallucination", "truthfulness", "alignment-tax", "bias", "reward-model"])
def test_a_claim_that_fails_is_told_as_failed(broken, name):
    assert broken[name].verdict == "not reproduced"


def test_differences_are_paired_by_prompt(full):
    found = difference("win_rate", "ppo_ptx", "base", JUDGED, baseline=AGAINST).read(evidence_of(full))
    rows = [json.loads(line) for line in (full / "evaluation/comparisons.jsonl").read_text().splitlines()]
    wins: dict[str, dict[str, float]] = {"ppo_ptx": {}, "base": {}}
    for row in rows:
        stated = (row["size"], row["labeler_group"], row["distribution"], row["baseline"])
        if row["arm"] in wins and stated == ("large", "heldout", "instruct", "sft"):
            wins[row["arm"]][row["prompt_id"]] = row["outcome"]
    by_hand = [wins["ppo_ptx"][prompt] - wins["base"][prompt] for prompt in wins["base"]]
    assert found.mean == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-12)
    assert found.n == len(by_hand) == 160
    assert found.source == "evaluation/comparisons.jsonl"


def test_pairing_narrows_the_interval_and_needs_the_rows_that_were_averaged(full, tmp_path):
    quantity = difference("skill", "ppo_ptx", "base", {"skill": "reading", "shots": "few"})
    paired = quantity.read(evidence_of(full))
    source = (full / "evaluation/measurements.jsonl").read_text()
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/measurements.jsonl").write_text(source)
    (tmp_path / "summary.json").write_text((full / "summary.json").read_text())
    apart = quantity.read(evidence_of(tmp_path))
    assert apart.mean == pytest.approx(paired.mean, abs=1e-9)
    assert apart.high - apart.low > 1.2 * (paired.high - paired.low)
    assert apart.source == "evaluation/measurements.jsonl"
    # Rows that average to something else are not the rows of this measurement.
    rows = [json.loads(line) for line in (full / "evaluation/skills.jsonl").read_text().splitlines()]
    other = [row | ({"value": 1.0} if row["condition"]["metric"] == "f1" else {}) for row in rows]
    (tmp_path / "evaluation/skills.jsonl").write_text("".join(json.dumps(row) + "\n" for row in other))
    assert quantity.read(evidence_of(tmp_path)).source == "evaluation/measurements.jsonl"


def written(path: Path, name: str, rows: list[dict]) -> None:
    (path / "evaluation").mkdir(parents=True, exist_ok=True)
    (path / "evaluation" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_three_kinds_of_a_prompt_are_paired_by_what_they_share(tmp_path):
    levels = {"none": [0.2, 0.4, 0.6], "respectful": [0.1, 0.4, 0.4], "biased": [0.5, 0.3, 0.1]}
    rows = [
        {"measure": "toxicity", "arm": "ppo_ptx", "condition": {"prompt": kind}, "cluster": f"talk-{number}"}
        | {"unit": f"{kind}-{number}", "value": level, "prompt": "text"}
        for kind, own in levels.items()
        for number, level in enumerate(own)
    ]
    written(tmp_path, "toxicity.jsonl", rows)
    about = {"measure": "toxicity", "arm": "ppo_ptx", "low": 0.0, "high": 1.0, "source": "evaluation/toxicity.jsonl"}
    write_measurements(
        tmp_path, [about | {"condition": {"prompt": kind}, "mean": sum(own) / 3} for kind, own in levels.items()]
    )
    raw, measured = RawRows(tmp_path), read_run(tmp_path).measured
    # The means over one kind and over all three are the same to a hair where nothing follows the instruction.
    found = raw.means(measured.where("toxicity", {"prompt": "respectful"}, arm="ppo_ptx")[0])
    assert found == {"talk-0": 0.1, "talk-1": 0.4, "talk-2": 0.4}
    change = next(claim for claim in CLAIMS if claim.name == "toxicity").parts[0].quantity.read(evidence_of(tmp_path))
    assert change.mean == pytest.approx(-0.1) and change.source == "evaluation/toxicity.jsonl"


def test_the_loss_on_text_is_paired_by_window_and_counts_tokens(tmp_path):
    tokens, nats = [1, 3, 4], {"base": [2.0, 3.0, 4.0], "ppo": [3.0, 4.0, 6.0]}
    rows = [
        {"measure": "pretraining_loss", "arm": arm, "unit": str(number), "value": own[number], "count": tokens[number]}
        for arm, own in nats.items()
        for number in range(3)
    ]
    written(tmp_path, "pretraining_loss.jsonl", rows)
    source = "evaluation/pretraining_loss.jsonl"
    about = {"measure": "pretraining_loss", "low": 0.0, "high": 9.0, "source": source}
    write_measurements(tmp_path, [about | {"arm": arm, "mean": sum(own) / 8} for arm, own in nats.items()])
    change = difference("pretraining_loss", "ppo", "base", {}).read(evidence_of(tmp_path))
    assert change.mean == pytest.approx((13 - 9) / 8) and change.source == source and change.n == 3


def test_epochs_are_paired_by_demonstration_and_by_prompt(tmp_path):
    # Whichever half chooses, the second epoch is the lowest.
    nats = {1: [2.0, 3.0, 4.0, 4.0], 2: [1.0, 3.0, 3.0, 3.0], 3: [2.0, 5.0, 8.0, 4.0]}
    scores = {1: [0.1, 0.2, 0.6], 2: [0.3, 0.1, 0.5], 3: [0.0, 0.0, 0.3]}
    losses = [
        {"condition": {"epoch": epoch, "metric": "validation_loss"}, "unit": f"d{i}", "value": own[i], "count": i + 1}
        for epoch, own in nats.items()
        for i in range(4)
    ]
    scored = [
        {"condition": {"epoch": epoch, "metric": "score"}, "unit": f"p{i}", "value": own[i]}
        for epoch, own in scores.items()
        for i in range(3)
    ]
    written(tmp_path, "sft_epochs.jsonl", [{"measure": "sft_epoch", "arm": "sft"} | row for row in losses + scored])
    source = "evaluation/sft_epochs.jsonl"
    about = {"measure": "sft_epoch", "arm": "sft", "low": -9.0, "high": 9.0, "source": source}
    means = {("validation_loss", epoch): sum(own) / 10 for epoch, own in nats.items()}
    means |= {("score", epoch): sum(own) / 3 for epoch, own in scores.items()}
    write_measurements(
        tmp_path,
        [about | {"condition": {"epoch": e, "metric": metric}, "mean": mean} for (metric, e), mean in means.items()],
    )
    evidence = evidence_of(tmp_path)
    for metric, change, count in (("validation_loss", (19 - 10) / 10, 4), ("score", -0.2, 3)):
        found = LastEpochMinusLowestLoss(metric).read(evidence)
        assert found.mean == pytest.approx(change) and found.n == count and found.source == source
        assert found.high - found.low < 10


class DrawnRows(RawRows):
    """Rows of which every measurement's means were drawn."""

    def __init__(self, means: dict[str, dict[str, float]]) -> None:
        self.drawn = means

    def means(self, found: Measurement) -> dict[str, float] | None:
        return self.drawn.get(found.source)


def flat(generator: np.random.Generator, conditions: list[tuple[str, dict]], *, has_rows: bool) -> Evidence:
    """Measurements of 40 prompts that differ, under conditions that change nothing."""
    prompts, drawn, rows = generator.normal(size=40), {}, []
    for number, (measure, condition) in enumerate(conditions):
        values = prompts + generator.normal(size=40)
        half = 2.0 * values.std(ddof=1) / 40**0.5
        mean = float(values.mean())
        numbers = {"mean": mean, "low": mean - half, "high": mean + half, "n": 40, "source": str(number)}
        rows.append(Row(measure=measure, condition=condition, **numbers))
        drawn[str(number)] = {f"p{i}": float(value) for i, value in enumerate(values)}
    return Evidence(measured=Measured(rows, ()), raw=DrawnRows(drawn if has_rows else {}))


EPOCHS = [("sft_epoch", {"metric": "validation_loss", "epoch": epoch}) for epoch in range(1, 9)]
SWEEPS = [("ptx_sweep", {"metric": "skill", "ptx_coef": coef}) for coef in range(8)] + [
    ("kl_sweep", {"metric": "skill"})
]


@pytest.mark.parametrize("has_rows", [True, False])
@pytest.mark.parametrize(
    ("quantity", "conditions"),
    [(LastEpochMinusLowestLoss("validation_loss"), EPOCHS), (BestOfSweeps("ptx_sweep", "kl_sweep", "skill"), SWEEPS)],
)
def test_the_best_of_what_is_all_alike_is_seldom_better(quantity, conditions, has_rows):
    generator = np.random.default_rng(1)
    found = [quantity.read(flat(generator, conditions, has_rows=has_rows)) for _ in range(600)]
    verdicts = [above(0).verdict(own) for own in found]
    # 2.5 % by the interval; 600 draws have a standard error of 0.6 points.
    assert verdicts.count("reproduced") / 600 <= 0.035


def test_what_is_truly_better_is_found_though_chosen_by_halves():
    generator, verdicts = np.random.default_rng(1), []
    for _ in range(100):
        evidence = flat(generator, EPOCHS, has_rows=True)
        for place, means in enumerate(evidence.raw.drawn.values()):
            means.update({unit: mean + 0.3 * abs(place - 2) for unit, mean in means.items()})
        rows = [row.model_copy(update={"mean": sum(own.values()) / 40})
                for row, own in zip(evidence.measured.rows, evidence.raw.drawn.values(), strict=True)]  # fmt: skip
        evidence = replace(evidence, measured=Measured(rows, ()))
        verdicts.append(above(0).verdict(LastEpochMinusLowestLoss("validation_loss").read(evidence)))
    assert verdicts.count("reproduced") >= 90


def test_labelers_inside_and_outside_are_compared_on_the_same_rankings(tmp_path):
    # The group of p1's and p4's labelers is left out in fold 0, that of p2's and p3's in fold 1.
    values = {
        (0, "outside"): {"p1": [1.0, 0.0], "p4": [0.0]},
        (0, "inside"): {"p2": [1.0], "p3": [0.0]},
        (1, "outside"): {"p2": [0.0], "p3": [1.0]},
        (1, "inside"): {"p1": [1.0, 1.0], "p4": [1.0]},
    }
    rows = [
        {"measure": "reward_model_accuracy", "condition": {"fold": fold, "labelers": labelers}}
        | {"unit": prompt, "value": value}
        for (fold, labelers), own in values.items()
        for prompt, found in own.items()
        for value in found
    ]
    written(tmp_path, "reward_folds.jsonl", rows)
    about = {"measure": "reward_model_accuracy", "low": 0.0, "high": 1.0, "source": "evaluation/reward_folds.jsonl"}
    means = {key: [value for found in own.values() for value in found] for key, own in values.items()}
    write_measurements(
        tmp_path,
        [
            about | {"condition": {"fold": fold, "labelers": labelers}, "mean": sum(own) / len(own)}
            for (fold, labelers), own in means.items()
        ],
    )
    gap = next(claim for claim in CLAIMS if claim.name == "reward-model").parts[0].quantity
    found = gap.read(evidence_of(tmp_path))
    # p1: 1 - 1/2, p2: 1 - 0, p3: 0 - 1, p4: 1 - 0.
    assert found.mean == pytest.approx(1.5 / 4) and found.n == 4
    assert found.source == "evaluation/reward_folds.jsonl"
    written(
        tmp_path, "reward_folds.jsonl", [row for row in rows if row["condition"] != {"fold": 1, "labelers": "outside"}]
    )
    # Without all rows the two folds are what was drawn: 1/2 - 1/3 and 1 - 1/2.
    assert gap.read(evidence_of(tmp_path)).mean == pytest.approx(1 / 3)


def write_measurements(path: Path, rows: list[dict]) -> Path:
    (path / "evaluation").mkdir(parents=True, exist_ok=True)
    lines = [{"arm": "", "size": "", "condition": {}, "n": 9, "source": "evaluation/x.jsonl"} | row for row in rows]
    (path / "evaluation/measurements.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return path


def epochs(losses: list[float], scores: list[float]) -> list[dict]:
    return [
        {"measure": "sft_epoch", "condition": {"epoch": epoch, "metric": metric}, "mean": mean}
        | {"low": mean - 0.01, "high": mean + 0.01}
        for metric, means in (("validation_loss", losses), ("score", scores))
        for epoch, mean in enumerate(means, start=1)
    ]


@pytest.mark.parametrize(
    ("losses", "scores", "verdict"),
    [
        ([2.0, 1.5, 1.7, 1.9], [0.0, 0.3, 0.5, 0.6], "reproduced"),
        ([2.0, 1.9, 1.7, 1.5], [0.0, 0.3, 0.5, 0.6], "not reproduced"),
        ([2.0, 1.5, 1.7, 1.9], [0.0, 0.6, 0.5, 0.2], "not reproduced"),
        ([2.0, 1.5, 1.505], [0.0, 0.3, 0.6], "too noisy to say"),
    ],
)
def test_the_loss_turns_up_while_the_score_rises(tmp_path, losses, scores, verdict):
    path = write_measurements(tmp_path, epochs(losses, scores))
    assert assessed(path)["sft-epochs"].verdict == verdict
    if losses[-1] == 1.9:
        found = LastEpochMinusLowestLoss("validation_loss").read(evidence_of(path))
        assert found.mean == pytest.approx(1.9 - 1.5)


def test_without_rows_the_interval_is_widened_for_three_epochs_to_choose_from(tmp_path):
    found = LastEpochMinusLowestLoss("validation_loss").read(
        evidence_of(write_measurements(tmp_path, epochs([2.0, 1.5, 1.7, 1.9], [0.0, 0.3, 0.5, 0.6])))
    )
    # Halves of 0.01 combine to 0.01414, times z(1 - 0.025 / 3) / z(0.975) = 2.393980 / 1.959964.
    assert found.low == pytest.approx(0.4 - 0.0172738, abs=1e-6)


def test_the_best_of_a_sweep_is_its_highest():
    rows = [("ptx_sweep", 0.2), ("ptx_sweep", 0.9), ("kl_sweep", 0.5), ("kl_sweep", 0.1)]
    measured = [
        Row(measure=sweep, condition={"metric": "skill"}, mean=mean, n=4, source=str(place))
        for place, (sweep, mean) in enumerate(rows)
    ]
    drawn = DrawnRows({str(place): dict.fromkeys("abcd", mean) for place, (_, mean) in enumerate(rows)})
    evidence = Evidence(measured=Measured(measured, ()), raw=drawn)
    assert BestOfSweeps("ptx_sweep", "kl_sweep", "skill").read(evidence).mean == pytest.approx(0.4)


def folds(insides: list[float], outsides: list[float]) -> list[dict]:
    return [
        {"measure": "reward_model_accuracy", "condition": {"fold": fold, "labelers": side}, "mean": mean}
        for side, means in (("inside", insides), ("outside", outsides))
        for fold, mean in enumerate(means)
    ]


def test_folds_are_what_cross_validation_drew(tmp_path):
    path = write_measurements(tmp_path, folds([0.72, 0.73, 0.71], [0.70, 0.70, 0.68]))
    terms = tuple(
        MeanTerm(weight, "reward_model_accuracy", condition={"labelers": side})
        for weight, side in ((1.0, "inside"), (-1.0, "outside"))
    )
    found = Contrast(terms, across="fold").read(evidence_of(path))
    assert found.mean == pytest.approx((0.02 + 0.03 + 0.03) / 3)
    assert found.n == 3


def sized_win_rates(names: tuple[str, str]) -> list[dict]:
    """The smallest PPO-ptx wins 80 % against the largest GPT, and 30 % against that of its own size; SFT as usual."""
    small, large = names
    wins = [
        ("ppo_ptx", small, "base", small, 0.3),
        ("ppo_ptx", small, "base", large, 0.8),
        ("ppo_ptx", large, "base", large, 0.2),
        ("ppo_ptx", small, "sft", large, 0.1),
        ("ppo_ptx", large, "sft", large, 0.7),
        ("base", large, "sft", large, 0.4),
    ]
    return [
        {"measure": "win_rate", "arm": arm, "size": size, "mean": mean, "low": mean - 0.05, "high": mean + 0.05}
        | {"condition": JUDGED, "baseline": other, "baseline_size": other_size}
        for arm, size, other, other_size, mean in wins
    ]


@pytest.mark.parametrize("names", [("small", "large"), ("xs", "xl"), ("large", "small"), ("1-3b", "3b")])
def test_a_verdict_asks_for_the_place_of_a_size_and_never_for_its_name(tmp_path, names):
    path = write_measurements(tmp_path, sized_win_rates(names))
    sizes = [{"name": name, "parameters": count} for name, count in zip(names, (10, 20), strict=True)]
    (path / "summary.json").write_text(json.dumps({"sizes": sizes}))
    found = assessed(path)
    assert found["small-beats-large"].verdict == found["ppo-ptx"].verdict == "reproduced"
    assert found["small-beats-large"].findings[0].estimate.mean == 0.8
    assert found["ppo-ptx"].findings[0].estimate.mean == 0.7
    assert evidence_of(path).measured.one("win_rate", baseline=SizedArm("base", SMALLEST)).mean == 0.3


def test_all_verdicts_are_the_same_whatever_the_largest_size_is_called(full, claims, tmp_path):
    renamed = shutil.copytree(full, tmp_path / "renamed")
    for file in ("summary.json", *(f"evaluation/{path.name}" for path in (full / "evaluation").glob("*.jsonl"))):
        text = (full / file).read_text()
        (renamed / file).write_text(text.replace('"large"', '"xl"'))
    assert read_run(renamed).largest == "xl"
    found = assessed(renamed)
    assert {name: own.verdict for name, own in found.items()} == {name: own.verdict for name, own in claims.items()}
    for name, own in found.items():
        assert [part.estimate for part in own.findings] == [part.estimate for part in claims[name].findings], name


def test_a_run_of_another_version_is_refused_with_one_message(tmp_path):
    old = {"measure": "win_rate", "arm": "base", "mean": 0.2, "condition": {"baseline": "sft-large"}}
    path = write_measurements(tmp_path / "run", [old] * 9)
    with pytest.raises(DataError, match=r"measurements.jsonl was not written by this version.*--redo judgements"):
        read_run(path)
    written(tmp_path / "rows", "comparisons.jsonl", [{"prompt_id": "p", "arm": "ppo", "outcome": 1.0}] * 9)
    with pytest.raises(DataError, match=r"comparisons.jsonl was not written by this version.*field 'baseline'"):
        read_run(tmp_path / "rows")


def test_a_single_size_is_never_small_and_large_at_once(tmp_path):
    rows = [row for row in sized_win_rates(("large", "large")) if row["mean"] == 0.8]
    assert assessed(write_measurements(tmp_path, rows))["small-beats-large"].verdict == "not measured"


def test_the_reward_model_serves_all_sizes_and_its_rows_name_none(tmp_path):
    sized = [{"measure": "likert", "arm": "base", "size": size, "mean": 3.0} for size in ("small", "large")]
    path = write_measurements(tmp_path, sized + folds([0.72, 0.73, 0.71], [0.69, 0.70, 0.68]))
    assert assessed(path)["reward-model"].verdict != "not measured"


def test_a_difference_of_two_sizes_needs_two_sizes(full, tmp_path):
    terms = (
        MeanTerm(1.0, "win_rate", "ppo_ptx", JUDGED, SMALLEST, AGAINST),
        MeanTerm(-1.0, "win_rate", "base", JUDGED, LARGEST, AGAINST),
    )
    assert Contrast(terms).read(evidence_of(full)) is not None
    assert Contrast(terms).read(evidence_of(write_synthetic_run(tmp_path / "quick", num_prompts=12, stages=()))) is None


def test_a_quick_run_is_judged_on_its_measurements_and_rows(tmp_path):
    found = assessed(write_synthetic_run(tmp_path / "quick", num_prompts=120, stages=()))
    assert found["order"].verdict in ("reproduced", "too noisy to say")
    assert found["hallucination"].verdict != "not measured"
    assert found["reward-model"].verdict == "agrees, without interval"
    assert found["truthfulness"].verdict == "not measured"


def test_measurements_are_asked_by_arm_size_and_condition(full):
    measured = evidence_of(full).measured
    assert measured.sizes == ("small", "medium", "large")
    assert measured.one("win_rate", JUDGED, arm="base", size=LARGEST, baseline=AGAINST).against == ("sft", "large")
    assert {row.arm for row in measured.where("win_rate", baseline=SizedArm("flan", "medium"))} == {"ppo_ptx"}
    assert measured.where("win_rate", baseline=SizedArm("flan", "large")) == []
    assert measured.where("win_rate", arm="nobody") == []
    assert measured.values("toxicity", "prompt") == ["none", "respectful", "biased"]
    assert list(measured.by_arm("toxicity", {"prompt": "none"}, size="small")) == ["base", "sft", "ppo", "ppo_ptx"]


def test_every_number_stands_in_its_line(full):
    lines = [json.loads(line) for line in (full / "evaluation/measurements.jsonl").read_text().splitlines()]
    rows = evidence_of(full).measured.rows
    assert len(rows) == len(lines)
    for row in rows:
        file, place = row.estimate.interval_source.split("#/")
        line = lines[int(place)]
        assert file == "evaluation/measurements.jsonl"
        assert (line["measure"], line["arm"], line["mean"]) == (row.measure, row.arm, row.estimate.mean)
        assert row.estimate.source == f"{file}#/{place}/mean" and row.estimate.raw == line["source"]


def test_a_source_that_leads_out_of_the_run_is_not_read(tmp_path):
    line = TaskRow(measure="toxicity", unit="a", arm="base", value=1.0).model_dump_json()
    (tmp_path / "secret.jsonl").write_text(line)
    sources = ("../secret.jsonl", "evaluation/../../secret.jsonl", "evaluation/own.jsonl")
    toxic = {"measure": "toxicity", "arm": "base", "mean": 1.0}
    run = write_measurements(tmp_path / "run", [toxic | {"source": source} for source in sources])
    (run / "evaluation/own.jsonl").write_text(line)
    evidence = evidence_of(run)
    assert [evidence.raw.means(row) for row in evidence.measured.rows] == [None, None, {"a": 1.0}]


def test_broken_measurements_are_left_out_and_named(tmp_path):
    path = write_measurements(tmp_path, [{"measure": "toxicity", "arm": "base", "mean": 0.2}])
    with (path / "evaluation/measurements.jsonl").open("a") as handle:
        handle.write('{"measure": "toxicity", "mean": "high"}\n{"measure": "toxicity", "arm": "ppo", "mean": 0.4, ')
        handle.write('"n": 1, "source": "x"}\n')
    run = read_run(path)
    assert [row.mean for row in run.measured.rows] == [0.2, 0.4]
    assert [row.entry.rsplit("/", 1)[1] for row in run.measured.rows] == ["0", "2"]
    assert len(run.warnings) == 1
