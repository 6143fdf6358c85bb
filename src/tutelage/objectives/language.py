"""The next-token loss: one function for pretraining, SFT and the ptx term of PPO-ptx."""

from __future__ import annotations

from torch import Tensor

from tutelage.objectives.tokens import LossTerm, masked_sum


def language_loss(logprobs: Tensor, loss_mask: Tensor) -> LossTerm:
    """Sum of -log p over the masked tokens, and their number.

    `logprobs` and `loss_mask` have the same shape; the mask is True on trained-on tokens: everywhere in pretraining
    text and ptx, only on the response (including the stop token) in SFT. The paper does not say whether SFT trains on
    prompt tokens; here it does not.
    """
    return LossTerm(total=-masked_sum(logprobs, loss_mask), count=loss_mask.sum())
