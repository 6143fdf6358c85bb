"""SFT epoch by epoch: validation loss, and score by the reward model, of the policy after each [3.5]."""

from __future__ import annotations

from tutelage.evaluation.completions import Arm
from tutelage.evaluation.records import Condition, SizedArm
from tutelage.model.loading import load_tokenizer
from tutelage.model.policy import Policy
from tutelage.records import Demonstration
from tutelage.reproduction.checkpoints import policy_of_checkpoint
from tutelage.reproduction.experiment import Reproduction
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.sweeps import score_values
from tutelage.statistics.unbounded import clustered_mean
from tutelage.store.sources import load_demonstrations
from tutelage.training.config import SFTConfig
from tutelage.training.data import LengthLimits, SkippedRecords, TokenizedExample, encode_demonstrations
from tutelage.training.prompting import teach_prompting
from tutelage.training.sft import sft
from tutelage.workflow.measuring import loss_rows

FILE = "sft_epochs"


def measure_sft_epochs(run: Reproduction) -> None:
    """Loss on the validation demonstrations and score on validation prompts, which no policy was trained on."""
    view = run.middle
    view.train(sft, view.sft_long())
    needs = {
        "sft_long": view.model("sft_long"),
        "reward": view.model("reward"),
        "prompts": run.prompts_path,
        "demonstrations": run.data("demonstrations_valid"),
    }
    settings = {"num_prompts": run.measuring.num_sweep_prompts}
    view.measure("sft_epochs", _measure_sft_epochs, needs=needs, settings=settings)


def _measure_sft_epochs(view: Reproduction) -> Findings:
    config, folder = view.sft_long(), view.folder("sft_long")
    demonstrations = _demonstrations(config)
    found, arm = Findings(), SizedArm("sft", view.size)
    places = [*sorted((folder / "checkpoints").glob("step-*")), folder / "model"]
    for epoch, place in enumerate(places, start=1):
        policy, model = policy_of_checkpoint(place, like=folder / "model")
        losses = loss_rows(
            policy,
            [own.group for own in demonstrations],
            measure="sft_epoch",
            units=[own.name for own in demonstrations],
        )
        scores = score_values(view, Arm(name="sft", model=model), measure="sft_epoch")
        for metric, rows in (("validation_loss", losses), ("score", scores)):
            about: Condition = {"epoch": epoch, "metric": metric}
            found.add(FILE, [row.about(arm, about) for row in rows], clustered_mean)
    return found


def _demonstrations(config: SFTConfig) -> list[TokenizedExample[Demonstration]]:
    left_out = SkippedRecords(skip_bad=config.skip_bad)
    assert config.validation is not None, "a run's SFT has its own validation demonstrations"
    records: list[Demonstration] = left_out.load(load_demonstrations, config.validation)
    renderer = teach_prompting(load_tokenizer(config.model), config.text, config.model)
    context = Policy.load(config.model, renderer=renderer).context_limit
    return encode_demonstrations(records, renderer, LengthLimits(text=config.text, context=context, left_out=left_out))
