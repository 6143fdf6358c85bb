"""Preferences between policies (4.1, Figures 1, 3, 4 and 5 of the paper)."""

from __future__ import annotations

from tutelage.evaluation.records import HELDOUT, INSTRUCT, TRAINING, SizedArm
from tutelage.report.assessment import Claim, Part
from tutelage.report.measured import ANY, LARGEST, SMALLEST
from tutelage.report.notation import percent, signed_points
from tutelage.report.results import AGAINST
from tutelage.report.rules import Between, above, below
from tutelage.reproduction.claims.quantities import Contrast, MeanTerm, difference, value

_JUDGED = {"labelers": HELDOUT, "distribution": INSTRUCT}


def _win_rate(arm: str, label: str, rule: Between) -> Part:
    return Part(label=label, quantity=value("win_rate", arm, _JUDGED, baseline=AGAINST), rule=rule, form=percent)


def _win_rate_gain(label: str, arm: str, other: str) -> Part:
    gain = difference("win_rate", arm, other, _JUDGED, baseline=AGAINST)
    return Part(label=label, quantity=gain, rule=above(0), form=signed_points)


def _head_to_head(arm: str, baseline: SizedArm, label: str, *, size: str = LARGEST, otherwise: Part) -> Part:
    direct = value("win_rate", arm, _JUDGED, size=size, baseline=baseline)
    return Part(label=label, quantity=direct, rule=above(0.5), form=percent, otherwise=otherwise)


_PROMPTED_GAIN = _win_rate_gain("Base (prompted) − base, against SFT", "prompted", "base")
_SMALL_AGAINST_LARGE = Part(
    label="smallest PPO-ptx − largest base, against SFT",
    quantity=Contrast(
        (
            MeanTerm(1.0, "win_rate", "ppo_ptx", _JUDGED, SMALLEST, AGAINST),
            MeanTerm(-1.0, "win_rate", "base", _JUDGED, LARGEST, AGAINST),
        )
    ),
    rule=above(0),
    form=signed_points,
)

PREFERENCE: tuple[Claim, ...] = (
    Claim(
        name="small-beats-large",
        statement="A small PPO-ptx policy is preferred to a much larger base model",
        paper="1.3B PPO-ptx wins 64\u202f%, 175B GPT 25\u202f%, against the same baseline (Fig. 3)",
        parts=(
            _head_to_head(
                "ppo_ptx",
                SizedArm("base", LARGEST),
                "smallest PPO-ptx wins against the largest base",
                size=SMALLEST,
                otherwise=_SMALL_AGAINST_LARGE,
            ),
        ),
    ),
    Claim(
        name="ppo-ptx",
        statement="PPO-ptx is preferred to SFT",
        paper="71\u202f% at 175B (Fig. 3, held-out labelers)",
        parts=(_win_rate("ppo_ptx", "PPO-ptx wins against SFT", above(0.5)),),
    ),
    Claim(
        name="order",
        statement="The order is PPO-ptx, SFT, prompted base, base",
        paper="71\u202f%, 50\u202f%, 43\u202f%, 25\u202f% against SFT at 175B (Fig. 3, held-out labelers)",
        parts=(
            _win_rate("ppo_ptx", "PPO-ptx wins against SFT", above(0.5)),
            _win_rate("prompted", "Base (prompted) wins against SFT", below(0.5)),
            _PROMPTED_GAIN,
        ),
    ),
    Claim(
        name="ppo",
        statement="PPO without ptx is preferred to SFT, too",
        paper="69\u202f% at 175B (Fig. 3, held-out labelers)",
        parts=(_win_rate("ppo", "PPO wins against SFT", above(0.5)),),
    ),
    Claim(
        name="heldout-labelers",
        statement="Labelers who made no training data prefer PPO-ptx about as often as those who made it",
        paper="71\u202f% and 66\u202f% at 175B (Fig. 3)",
        parts=(
            Part(
                label="held-out − training labelers, PPO-ptx against SFT",
                quantity=Contrast(
                    (
                        MeanTerm(1.0, "win_rate", "ppo_ptx", _JUDGED, baseline=AGAINST),
                        MeanTerm(-1.0, "win_rate", "ppo_ptx", _JUDGED | {"labelers": TRAINING}, baseline=AGAINST),
                    )
                ),
                rule=Between(-0.05, 0.05),
                form=signed_points,
            ),
        ),
        note="The paper’s own two groups differ by five points.",
    ),
    Claim(
        name="flan-t0",
        statement="PPO-ptx is preferred to models tuned on public tasks, FLAN and T0",
        paper="78\u202f% against FLAN, 79\u202f% against T0 (4.1)",
        parts=(
            _head_to_head(
                "ppo_ptx",
                SizedArm("flan", ANY),
                "PPO-ptx wins against FLAN",
                otherwise=_win_rate_gain("PPO-ptx − FLAN, against SFT", "ppo_ptx", "flan"),
            ),
            _head_to_head(
                "ppo_ptx",
                SizedArm("t0", ANY),
                "PPO-ptx wins against T0",
                otherwise=_win_rate_gain("PPO-ptx − T0, against SFT", "ppo_ptx", "t0"),
            ),
        ),
    ),
    Claim(
        name="generalisation",
        statement="PPO-ptx follows instructions of kinds that fine-tuning never saw",
        paper="shown by examples: code, other languages (4.3, Fig. 8)",
        parts=(
            Part(
                label="PPO-ptx wins against SFT, use case held out",
                quantity=value("generalisation", "ppo_ptx", {"set": "use_case"}),
                rule=above(0.5),
                form=percent,
            ),
            Part(
                label="PPO-ptx wins against SFT, language held out",
                quantity=value("generalisation", "ppo_ptx", {"set": "language"}),
                rule=above(0.5),
                form=percent,
            ),
        ),
    ),
)
