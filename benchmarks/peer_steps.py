"""When each step of one of TRL's training runs ended, and the settings that both of its trainers share."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback
from worker import Place, now


class StepEnds(TrainerCallback):
    """Collects the time at the end of every optimizer step (PPO: of every update)."""

    def __init__(self) -> None:
        self.stamps: list[tuple[float, float]] = []

    def on_step_end(self, *given: Any, **others: Any) -> None:
        self.stamps.append(now())


def shared_settings(place: Place) -> dict[str, Any]:
    """Float32, nothing reported, saved or recomputed: all that costs the peer time and is not the work."""
    return {
        "output_dir": str(place.scratch / "peer"),
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "learning_rate": 1e-6,
        "lr_scheduler_type": "constant",
        "optim": "adamw_torch_fused",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": place.seed,
    }
