"""Pure math on human data: rates, intervals, agreement. No file, no clock, no random state.

Judgments of one prompt are not independent of each other (the same responses, often the same labeler), so every
interval here is clustered: the prompt, not the judgment, is the sampling unit.
"""

from tutelage.statistics.agreement import pairwise_agreement, ranking_outcomes
from tutelage.statistics.best_of_n import BestOfN, best_of_n_curve, best_of_n_kl, expected_best_of_n
from tutelage.statistics.calibration import CalibrationBin, calibration_bins, expected_calibration_error
from tutelage.statistics.contrast import combined_contrast, paired_contrast
from tutelage.statistics.interval import Interval, bounded_mean, clustered_variance
from tutelage.statistics.length_control import length_controlled_win_rate
from tutelage.statistics.likert import likert_mean
from tutelage.statistics.over_optimisation import OverOptimisation, fit_over_optimisation
from tutelage.statistics.reliability import (
    Coefficient,
    fleiss_kappa,
    kendall_tau_b,
    krippendorff_alpha,
    krippendorff_alpha_of_orders,
    krippendorff_alphas,
    ranking_concordance,
)
from tutelage.statistics.selection import choose_by_halves, contrast_of_choices, widen_for_choice
from tutelage.statistics.win_rate import OUTCOMES, win_rate, win_rate_difference

__all__ = [
    "OUTCOMES",
    "BestOfN",
    "CalibrationBin",
    "Coefficient",
    "Interval",
    "OverOptimisation",
    "best_of_n_curve",
    "best_of_n_kl",
    "bounded_mean",
    "calibration_bins",
    "choose_by_halves",
    "clustered_variance",
    "combined_contrast",
    "contrast_of_choices",
    "expected_best_of_n",
    "expected_calibration_error",
    "fit_over_optimisation",
    "fleiss_kappa",
    "kendall_tau_b",
    "krippendorff_alpha",
    "krippendorff_alpha_of_orders",
    "krippendorff_alphas",
    "length_controlled_win_rate",
    "likert_mean",
    "paired_contrast",
    "pairwise_agreement",
    "ranking_concordance",
    "ranking_outcomes",
    "widen_for_choice",
    "win_rate",
    "win_rate_difference",
]
