"""Claims of the paper, judged by this run's measurements: reproduced, not reproduced, too noisy to say."""

from tutelage.report.assessment import Claim
from tutelage.reproduction.claims.behaviour import BEHAVIOUR
from tutelage.reproduction.claims.preference import PREFERENCE
from tutelage.reproduction.claims.training import TRAINING

# In the order of the paper's Section 4. By default a claim is about the largest model size, prompts written for
# instruction-following models, and labelers who made no training data.
CLAIMS: tuple[Claim, ...] = (*PREFERENCE, *BEHAVIOUR, *TRAINING)
