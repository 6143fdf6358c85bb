"""SFT epoch by epoch: validation loss, and score by the reward model, of the policy after each [3.5]."""

from __future__ import annotations

from typing import Any

from tutelage.evaluation.completions import Arm
from tutelage.model.loading import load_tokenizer
from tutelage.model.policy import Policy
from tutelage.records import Demonstration
from tutelage.reproduction.distances import loss_interval, loss_rows
from tutelage.reproduction.findings import Condition, Findings, measured
from tutelage.reproduction.models import policy_of_checkpoint
from tutelage.reproduction.sizes import FullRun
from tutelage.reproduction.sweeps import validation_score
from tutelage.store.sources import load_demonstrations
from tutelage.training.config import SFTConfig
from tutelage.training.data import Encoded, LeftOut, Limits, encode_demonstrations
from tutelage.training.prompting import teach_prompting

FILE = "sft_epochs"


def measure_sft_epochs(view: FullRun) -> dict[str, int]:
    """Loss on the validation demonstrations and score on validation prompts, which no policy was trained on."""
    config, folder = view.sft_long(), view.folder("sft_long")
    demonstrations = _demonstrations(config)
    found = Findings(rows={FILE: []})
    places = [*sorted((folder / "checkpoints").glob("step-*")), folder / "model"]
    for epoch, place in enumerate(places, start=1):
        policy, model = policy_of_checkpoint(place, like=folder / "model")
        losses = loss_rows(policy, [own.group for own in demonstrations])
        named = [{"prompt_id": own.name, **row} for own, row in zip(demonstrations, losses, strict=True)]
        loss = "validation_loss", named, loss_interval(losses)
        for metric, rows, interval in (loss, validation_score(view, Arm(name="sft", model=model))):
            condition: Condition = {"epoch": epoch, "metric": metric}
            about: dict[str, Any] = {"arm": "sft", "size": view.size}
            found.measurements.append(
                measured("sft_epoch", interval, condition, source=f"evaluation/{FILE}.jsonl", **about)
            )
            found.rows[FILE] += [{**about, **condition, **row} for row in rows]
    return found.write(view.steps / "sft_epochs")


def _demonstrations(config: SFTConfig) -> list[Encoded[Demonstration]]:
    left_out = LeftOut(skip_bad=config.skip_bad)
    assert config.validation is not None, "a run's SFT has its own validation demonstrations"
    records: list[Demonstration] = left_out.load(load_demonstrations, config.validation)
    renderer = teach_prompting(load_tokenizer(config.model), config.text, config.model)
    context = Policy.load(config.model, renderer=renderer).context_limit
    return encode_demonstrations(records, renderer, Limits(text=config.text, context=context, left_out=left_out))
