"""Effects of training on policies and the reward model (3.5, 4.1, 4.2, Appendix E; Figures 29, 33 and 34)."""

from __future__ import annotations

from tutelage.report.assessment import Claim, Part
from tutelage.report.measured import ANY
from tutelage.report.notation import signed, signed_points
from tutelage.report.rules import Between, above, below
from tutelage.reproduction.claims.choices import BestOfSweeps, LastEpochMinusLowestLoss
from tutelage.reproduction.claims.quantities import Contrast, MeanTerm

_FEW_SHOT = {"shots": "few"}


def _skills(*weights: tuple[float, str]) -> Contrast:
    return Contrast(tuple(MeanTerm(weight, "skill", arm, _FEW_SHOT) for weight, arm in weights), over="skill")


def _losses(*weights: tuple[float, str]) -> Contrast:
    return Contrast(tuple(MeanTerm(weight, "pretraining_loss", arm) for weight, arm in weights))


# PPO-ptx against the middle between PPO and the base model: on the base model's side of it, more than half is back.
_HALFWAY = ((1.0, "ppo_ptx"), (-0.5, "ppo"), (-0.5, "base"))


def reward_accuracy(weight: float, labelers: str) -> MeanTerm:
    """Accuracy of the reward model on a labeler group. One model serves all sizes; its rows have no size."""
    return MeanTerm(weight, "reward_model_accuracy", condition={"labelers": labelers}, size=ANY)


_ACCURACY_DROP = Part(
    label="training − held-out labelers, accuracy",
    quantity=Contrast(
        (
            reward_accuracy(1.0, "training"),
            reward_accuracy(-1.0, "heldout"),
        )
    ),
    rule=Between(0.01, 0.06),
    form=signed_points,
)

TRAINING: tuple[Claim, ...] = (
    Claim(
        name="alignment-tax",
        statement="PPO costs skills, and mixing in pretraining text (ptx) brings back most of them",
        paper="few-shot DROP, 175B: GPT 35, PPO 28, PPO-ptx 33; SQuADv2: 70, 52, 70 (Fig. 29, Table 14)",
        parts=(
            Part(
                label="PPO − base, mean over skills",
                quantity=_skills((1.0, "ppo"), (-1.0, "base")),
                rule=below(0),
                form=signed_points,
            ),
            Part(
                label="PPO-ptx − middle of PPO and base, mean over skills",
                quantity=_skills(*_HALFWAY),
                rule=above(0),
                form=signed_points,
            ),
        ),
        note="“Most” is more than half of the way back from PPO to the base model.",
    ),
    Claim(
        name="forgetting",
        statement="PPO forgets pretraining text, and ptx brings back most of it",
        paper="not measured; the reason given for ptx (3.5)",
        parts=(
            Part(
                label="PPO − base, nats per token",
                quantity=_losses((1.0, "ppo"), (-1.0, "base")),
                rule=above(0),
                form=signed(3),
            ),
            Part(
                label="PPO-ptx − middle of PPO and base, nats per token",
                quantity=_losses(*_HALFWAY),
                rule=below(0),
                form=signed(3),
            ),
        ),
    ),
    Claim(
        name="ptx-beats-kl",
        statement="Mixing in pretraining text restores skills better than any KL coefficient does",
        paper="DROP F1, 1.3B: at best 27 along ptx, 22 along KL, GPT 25 (Fig. 33, 34)",
        parts=(
            Part(
                label="best along the ptx sweep − best along the KL sweep, skills",
                quantity=BestOfSweeps("ptx_sweep", "kl_sweep", "skill"),
                rule=above(0),
                form=signed_points,
            ),
        ),
        note="The best of each sweep is selected on one half of the items and measured on the other, both ways; if "
        "the rows are missing, the interval is widened for the selection.",
    ),
    Claim(
        name="reward-model",
        statement="The reward model is 1 to 6 points less accurate on labelers outside its training set",
        paper="72.4\u202f% inside, 69.6\u202f% outside (4.1, five groups of labelers)",
        parts=(
            Part(
                label="inside − outside, accuracy over the folds",
                quantity=Contrast(
                    (
                        reward_accuracy(1.0, "inside"),
                        reward_accuracy(-1.0, "outside"),
                    ),
                    across="fold",
                ),
                rule=Between(0.01, 0.06),
                form=signed_points,
                otherwise=_ACCURACY_DROP,
            ),
        ),
        note="The paper’s gap is 2.8 points; the bounds leave room on both sides.",
    ),
    Claim(
        name="sft-epochs",
        statement="The validation loss of SFT turns up while the reward model’s score keeps rising",
        paper="overfits after 1 epoch of 16, yet more epochs raise score and ratings (3.5)",
        parts=(
            Part(
                label="validation loss, last epoch − lowest",
                quantity=LastEpochMinusLowestLoss("validation_loss"),
                rule=above(0),
                form=signed(3),
            ),
            Part(
                label="score, last epoch − epoch of the lowest loss",
                quantity=LastEpochMinusLowestLoss("score"),
                rule=above(0),
                form=signed(3),
            ),
        ),
        note="The epoch of lowest loss is selected on one half of the demonstrations and measured on the other. "
        "If the rows are missing, the interval is widened for the selection.",
    ),
)
