"""The policies of a stage's checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch

from tutelage.model.policy import Policy


def policy_of_checkpoint(place: Path, *, like: Path) -> tuple[Policy, Path]:
    """The policy of a stage's checkpoint, shaped as the model `like`, and a model folder of it beside the checkpoint's
    state; of a model folder, itself.
    """
    if place.name == "model":
        return Policy.load(place), place
    policy = Policy.load(like)
    policy.load_state_dict(torch.load(place / "state.pt", map_location="cpu", weights_only=True)["state"]["policy"])
    folder = place / "model"
    policy.save(folder)
    return policy, folder
