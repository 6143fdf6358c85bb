"""Claims of the paper beside what this run measured: reproduced, not reproduced, too noisy to say. Numbers decide."""

from tutelage.report.assessment import Claim
from tutelage.reproduction.claims.behaviour import BEHAVIOUR
from tutelage.reproduction.claims.preference import PREFERENCE
from tutelage.reproduction.claims.training import TRAINING

# In the order of the paper's Section 4. Where a claim does not say otherwise it is about the largest model size,
# prompts written for instructed models, and labelers who made no training data.
CLAIMS: tuple[Claim, ...] = (*PREFERENCE, *BEHAVIOUR, *TRAINING)
