"""Supervised fine-tuning on demonstrations; with a pretraining mix and two epochs, the initialisation of PPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from tutelage.model.adapters import add_lora
from tutelage.model.loading import (
    check_same_vocabulary,
    context_limit,
    load_policy,
    load_scalar_model,
    load_tokenizer,
    residual_dropout,
)
from tutelage.model.measure import mean_language_loss
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Demonstration
from tutelage.seeds import derived_seed
from tutelage.store.sources import load_demonstrations
from tutelage.text.render import Renderer
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import SFTConfig
from tutelage.training.corpus import Corpus, load_training_corpus
from tutelage.training.data import (
    Encoded,
    LeftOut,
    Limits,
    encode_demonstrations,
    require_some,
    training_and_validation,
)
from tutelage.training.learning import add_language_gradient
from tutelage.training.optim import Optimizer, require_finite
from tutelage.training.rollout import mean_score_of_samples
from tutelage.training.stage import Stage, run_stage

# Of pretraining text, for the mix: what `pretrain` holds out stays held out.
VALIDATION_SHARE = 0.01


def sft(config: SFTConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train and save `out/model`, the chosen epoch's; returns the summary."""
    if config.reward_model is not None:
        check_same_vocabulary(config.model, config.reward_model)
    return run_stage("sft", config, resume=resume, loop=lambda stage: _loop(stage, config))


@dataclass(slots=True, kw_only=True)
class _Data:
    training: list[Encoded[Demonstration]]
    validation: list[Encoded[Demonstration]]
    pretraining: Corpus | None
    left_out: LeftOut


def _loop(stage: Stage, config: SFTConfig) -> dict[str, Any]:
    tokenizer = load_tokenizer(config.model)
    renderer = Renderer(tokenizer=tokenizer, prompt_format=config.text.prompt_format, separator=config.text.separator)
    policy = load_policy(config.model, device=stage.device)
    if config.lora.rank:
        add_lora(policy, rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
    residual_dropout(policy, config.residual_dropout)
    data = _load(config, renderer, context_limit(policy))
    order = ShuffledEpochs(len(data.training), seed=derived_seed(config.seed, "sft"))
    steps_per_epoch = order.batches_per_epoch(config.demonstrations_per_step)
    num_steps = config.num_epochs * steps_per_epoch
    optimizer = Optimizer(policy, config.optimizer, num_steps)
    stage.components |= {"policy": policy, "optimizer": optimizer}
    evaluator = _Evaluator(stage, config, renderer, data.validation, context_limit(policy))
    mix_order = None
    if data.pretraining is not None:
        mix_order = ShuffledEpochs(len(data.pretraining), seed=derived_seed(config.seed, "mix"))
    policy.train()
    for step in stage.steps(num_steps):
        chosen = [data.training[i] for i in order.batch_of(step, config.demonstrations_per_step)]
        groups = [item.group for item in chosen]
        if data.pretraining is not None and mix_order is not None:
            groups += data.pretraining.groups(mix_order.take(*mixed_windows(config, step, len(chosen))))
        loss = add_language_gradient(
            policy,
            groups,
            tokens_per_microbatch=config.tokens_per_microbatch,
            device=stage.device,
            precision=stage.precision(),
        )
        names = ", ".join(item.name for item in chosen[:8])
        require_finite(loss, stage="sft", step=step, batch=names)
        metrics = {"loss": loss, "epoch": (step + 1) / steps_per_epoch, **optimizer.step(step, batch=names)}
        if (step + 1) % steps_per_epoch == 0:
            metrics |= evaluator.evaluate(policy, tokenizer, step, (step + 1) // steps_per_epoch)
        stage.note = f"loss {loss:.3f}"
        stage.log(step, metrics)
    if not config.should_select_checkpoint:
        stage.save_model(policy, tokenizer, config.out / "model")
    return {
        "num_demonstrations": len(data.training),
        "num_validation": len(data.validation),
        "num_validation_prompts_in_training": data.left_out.num_overlapping_prompts,
        **data.left_out.summary(),
        **evaluator.summary(),
    }


def _load(config: SFTConfig, renderer: Renderer, context: int) -> _Data:
    left_out = LeftOut(skip_bad=config.skip_bad)
    training, validation = training_and_validation(
        load_demonstrations,
        config.demonstrations,
        config.validation,
        "demonstrations",
        left_out,
        is_overlap_allowed=config.allow_prompt_overlap,
    )
    limits = Limits(text=config.text, context=context, left_out=left_out)
    encoded = encode_demonstrations(training, renderer, limits)
    encoded_validation = encode_demonstrations(validation, renderer, limits)
    remedy = (
        f"{len(left_out.messages)} records were left out; raise text.max_prompt_tokens or text.max_response_tokens."
    )
    require_some(encoded, "the training split of demonstrations", remedy)
    require_some(encoded_validation, "the validation split of demonstrations", remedy)
    pretraining = None
    if config.pretraining_text is not None:
        window = min(context - 1, config.text.max_prompt_tokens + config.text.max_response_tokens)
        pretraining = load_training_corpus(
            config.pretraining_text,
            renderer,
            context_tokens=window,
            validation_share=VALIDATION_SHARE,
            left_out=left_out,
        )
    return _Data(training=encoded, validation=encoded_validation, pretraining=pretraining, left_out=left_out)


def mixed_windows(config: SFTConfig, step: int, num_demonstrations: int) -> tuple[int, int]:
    """First and number of the windows of pretraining text in `step`: `pretraining_share` of its sequences.

    The last step of an epoch may have fewer demonstrations than the others, and then has fewer windows.
    """

    def beside(number: int) -> int:
        return max(1, round(number * config.pretraining_share / (1.0 - config.pretraining_share)))

    return step * beside(config.demonstrations_per_step), beside(num_demonstrations)


class _Evaluator:
    """After each epoch: validation loss, score of samples where there is a reward model, the best model so far."""

    def __init__(
        self,
        stage: Stage,
        config: SFTConfig,
        renderer: Renderer,
        validation: list[Encoded[Demonstration]],
        context: int,
    ) -> None:
        self.stage, self.config, self.renderer = stage, config, renderer
        self.groups = [item.group for item in validation]
        self.prompts = list({tuple(group.prompt): group.prompt for group in self.groups}.values())
        self.prompts = self.prompts[: config.validation_prompts]
        # A demonstration fits the context with its own response; a sampled one may be longer.
        room = context - max(map(len, self.prompts))
        self.settings = SamplingSettings(max_response_tokens=min(config.text.max_response_tokens, room))
        self.reward_model = None
        if config.reward_model is not None:
            self.reward_model = load_scalar_model(config.reward_model, device=stage.device)

    def evaluate(self, policy: PreTrainedModel, tokenizer: Any, step: int, epoch: int) -> dict[str, float]:
        loss = mean_language_loss(
            policy,
            self.groups,
            tokens_per_microbatch=self.config.tokens_per_microbatch,
            device=self.stage.device,
        )
        metrics = {"validation_loss": loss}
        if self.reward_model is not None:
            metrics["score"], samples = mean_score_of_samples(
                policy,
                self.reward_model,
                self.prompts,
                renderer=self.renderer,
                settings=self.settings,
                generator=self.stage.generator("validation"),
                tokens_per_microbatch=self.config.tokens_per_microbatch,
            )
            self.stage.folder.log_samples([{"epoch": epoch, **sample} for sample in samples[:8]], step=step + 1)
        self._keep_if_best(policy, tokenizer, epoch, metrics)
        return metrics

    def _keep_if_best(self, policy: PreTrainedModel, tokenizer: Any, epoch: int, metrics: dict[str, float]) -> None:
        merit = metrics.get("score", -metrics["validation_loss"])
        best = self.stage.notes.get("best")
        if best is None or merit > best["merit"]:
            self.stage.notes["best"] = {"merit": merit, "epoch": epoch, **metrics}
            if self.config.should_select_checkpoint:
                self.stage.save_model(policy, tokenizer, self.config.out / "model")

    def summary(self) -> dict[str, Any]:
        best = self.stage.notes["best"]
        chosen_by = "score" if self.reward_model is not None else "validation_loss"
        if not self.config.should_select_checkpoint:
            return {"chosen_by": "last epoch"}
        return {"chosen_by": chosen_by, "chosen_epoch": best["epoch"], chosen_by: best[chosen_by]}
