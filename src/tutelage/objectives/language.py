"""The next-token loss: one function for pretraining, SFT and the ptx term of PPO-ptx."""

from __future__ import annotations

from torch import Tensor

from tutelage.objectives.tokens import LossTerm, masked_sum


def language_loss(logprobs: Tensor, loss_mask: Tensor) -> LossTerm:
    """Sum of -log p over the masked tokens, and their number.

    `logprobs` and `loss_mask` have one shape; the mask is True where a token is learnt: everywhere in pretraining text
    and ptx, only on the response (stop token included) in SFT. The paper does not say whether prompt tokens are learnt
    in SFT; here they are not.
    """
    return LossTerm(total=-masked_sum(logprobs, loss_mask), count=loss_mask.sum())
