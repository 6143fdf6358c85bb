"""Supervised fine-tuning on demonstrations; with a pretraining mix and two epochs, the initialization of PPO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.errors import DataError
from tutelage.model.dropout import residual_dropout
from tutelage.model.inference import compute_mean_loss
from tutelage.model.loading import check_same_vocabulary, load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import Policy, ScoreModel
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Demonstration
from tutelage.seeds import derived_seed
from tutelage.store.sources import load_demonstrations
from tutelage.text.render import Renderer
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import SFTConfig
from tutelage.training.corpus import VALIDATION_SHARE, Corpus, load_training_corpus
from tutelage.training.data import (
    LengthLimits,
    SkippedRecords,
    TokenizedExample,
    encode_demonstrations,
    require_some,
    training_and_validation,
    warn_of_few,
)
from tutelage.training.language_modeling import language_term
from tutelage.training.loop import Term, Update, train, update
from tutelage.training.optim import Optimizer
from tutelage.training.prompting import check_prompted_alike, teach_prompting
from tutelage.training.rollout import score_samples
from tutelage.training.stage import TrainingRun, run_training


def sft(config: SFTConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train and save `out/model`, of the selected epoch; returns the summary."""
    if config.reward_model is not None:
        check_same_vocabulary(config.model, config.reward_model)
    return run_training("sft", config, resume=resume, loop=lambda stage: _loop(stage, config))


@dataclass(slots=True, kw_only=True)
class _Data:
    training: list[TokenizedExample[Demonstration]]
    validation: list[TokenizedExample[Demonstration]]
    mix: _Mix | None
    left_out: SkippedRecords


class _Mix:
    """Pretraining text mixed with the demonstrations, in its own order."""

    def __init__(self, corpus: Corpus, config: SFTConfig) -> None:
        self.corpus, self.config = corpus, config
        self.order = ShuffledEpochs(len(corpus), seed=derived_seed(config.seed, "mix"))

    def windows_of(self, step: int, num_demonstrations: int) -> list[Group]:
        return self.corpus.groups(self.order.take(*mixed_windows(self.config, step, num_demonstrations)))


def _loop(stage: TrainingRun, config: SFTConfig) -> dict[str, Any]:
    renderer = teach_prompting(load_tokenizer(config.model), config.text, config.model)
    if config.reward_model is not None:
        check_prompted_alike(renderer, config.model, config.reward_model)
    policy = Policy.load(config.model, renderer=renderer, device=stage.device, dtype=config.dtype)
    policy.add_adapters(rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
    residual_dropout(policy.model, config.residual_dropout)
    data = _load(config, renderer, policy.context_limit)
    order = ShuffledEpochs(len(data.training), seed=derived_seed(config.seed, "sft"))
    steps_per_epoch = order.batches_per_epoch(config.demonstrations_per_step)
    num_steps = config.num_epochs * steps_per_epoch
    optimizer = Optimizer(policy, config.optimizer, num_steps)
    stage.components |= {"policy": policy, "optimizer": optimizer}
    evaluator = _Evaluator(stage, config, data.validation)

    def take_step(step: int) -> dict[str, float]:
        chosen = [data.training[i] for i in order.batch_of(step, config.demonstrations_per_step)]
        windows = data.mix.windows_of(step, len(chosen)) if data.mix is not None else []
        terms = sft_terms(policy, chosen, windows, config)
        metrics = update(stage, step, Update(optimizer=optimizer, terms=terms))
        metrics["epoch"] = (step + 1) / steps_per_epoch
        if (step + 1) % steps_per_epoch == 0:
            metrics |= evaluator.evaluate(policy, step, (step + 1) // steps_per_epoch)
        return metrics

    stage.try_saving(policy)
    policy.train()
    train(stage, num_steps=num_steps, take_step=take_step, describe=lambda m: f"loss {m['loss']:.3f}")
    if not config.should_select_checkpoint:
        stage.save_model(policy)
    return {
        "num_demonstrations": len(data.training),
        "num_validation": len(data.validation),
        "num_validation_prompts_in_training": data.left_out.num_overlapping_prompts,
        **data.left_out.summary(),
        **evaluator.summary(),
    }


def _load(config: SFTConfig, renderer: Renderer, context: int) -> _Data:
    left_out = SkippedRecords(skip_bad=config.skip_bad)
    training, validation = training_and_validation(
        load_demonstrations,
        config.demonstrations,
        config.validation,
        "demonstrations",
        left_out,
        is_overlap_allowed=config.allow_prompt_overlap,
    )
    limits = LengthLimits(text=config.text, context=context, left_out=left_out)
    encoded = encode_demonstrations(training, renderer, limits)
    encoded_validation = encode_demonstrations(validation, renderer, limits)
    remedy = (
        f"{len(left_out.messages)} records were left out; raise text.max_prompt_tokens or text.max_response_tokens."
    )
    require_some(encoded, "the training split of demonstrations", remedy)
    require_some(encoded_validation, "the validation split of demonstrations", remedy)
    mix = None
    if config.pretraining_text is not None:
        window = min(context - 1, config.text.max_prompt_tokens + config.text.max_response_tokens)
        corpus = load_training_corpus(
            config.pretraining_text,
            renderer,
            context_tokens=window,
            validation_share=VALIDATION_SHARE,
            left_out=left_out,
        )
        mix = _Mix(corpus, config)
    return _Data(training=encoded, validation=encoded_validation, mix=mix, left_out=left_out)


def sft_terms(
    policy: Policy,
    demonstrations: Sequence[TokenizedExample[Demonstration]],
    windows: Sequence[Group],
    config: SFTConfig,
) -> list[Term]:
    """Both terms of the objective, each a mean per token over its own count, in nats.

    The demonstrations have weight 1, the `windows` of pretraining text `pretraining_coef`: however long the windows and
    however short the responses, a share of 0.1 of the sequences is a tenth of the objective.
    """
    records = ", ".join(item.name for item in demonstrations[:8])
    terms = [language_term(policy, [item.group for item in demonstrations], name="loss", records=records)]
    if windows:
        coef = config.weight_of_pretraining
        terms.append(language_term(policy, windows, name="pretraining_loss", records=records, coef=coef))
    return terms


def mixed_windows(config: SFTConfig, step: int, num_demonstrations: int) -> tuple[int, int]:
    """Index of the first window of pretraining text in `step`, and their number: `pretraining_share` of its sequences.

    The last step of an epoch may have fewer demonstrations, and then has fewer windows.
    """

    def beside(number: int) -> int:
        return max(1, round(number * config.pretraining_share / (1.0 - config.pretraining_share)))

    return step * beside(config.demonstrations_per_step), beside(num_demonstrations)


def draw_prompts(
    validation: Sequence[TokenizedExample[Demonstration]], config: SFTConfig, reward_context: int
) -> list[Sequence[int]]:
    """`validation_prompts` different prompts, drawn by the seed: the first of a sorted file would be of one kind."""
    different = {tuple(item.group.prompt): item for item in validation}
    items = list(different.values())
    order = ShuffledEpochs(len(items), seed=derived_seed(config.seed, "validation prompts"))
    chosen = [items[i] for i in order.take(0, min(config.validation_prompts, len(items)))]
    for item in chosen:
        if len(item.group.prompt) >= reward_context:
            raise DataError(
                f"{item.name} has {len(item.group.prompt)} tokens, which leaves no room for a response in the context "
                f"of {reward_context} tokens of reward_model {str(config.reward_model)!r}, which selects the epoch. "
                f"Set text.max_prompt_tokens to {reward_context - 1} or less, with text.too_long: skip"
            )
    return [item.group.prompt for item in chosen]


class _Evaluator:
    """After each epoch: validation loss, score of samples if there is a reward model, the best model so far."""

    def __init__(
        self,
        stage: TrainingRun,
        config: SFTConfig,
        validation: list[TokenizedExample[Demonstration]],
    ) -> None:
        self.stage, self.config = stage, config
        self.groups = [item.group for item in validation]
        self.settings = SamplingSettings(max_response_tokens=config.text.max_response_tokens)
        self.prompts: list[Sequence[int]] = []
        self.reward_model = None
        if config.reward_model is not None:
            self.reward_model = ScoreModel.load(config.reward_model, device=stage.device, dtype=config.dtype)
            self.prompts = draw_prompts(validation, config, self.reward_model.context_limit)
        if config.should_select_checkpoint:
            different = {tuple(group.prompt) for group in self.groups}
            warn_of_few(len(self.prompts or different), "the choice of the epoch that is saved")

    def evaluate(self, policy: Policy, step: int, epoch: int) -> dict[str, float]:
        loss = compute_mean_loss(policy, self.groups, tokens_per_microbatch=self.config.tokens_per_microbatch)
        metrics = {"validation_loss": loss}
        if self.reward_model is not None:
            metrics["score"], samples = score_samples(
                policy,
                self.reward_model,
                self.prompts,
                settings=self.settings,
                generator=self.stage.generator("validation"),
                tokens_per_microbatch=self.config.tokens_per_microbatch,
            )
            self.stage.folder.log_samples([{"epoch": epoch, **sample} for sample in samples[:8]], step=step + 1)
        self._keep_if_best(policy, epoch, metrics)
        return metrics

    def _keep_if_best(self, policy: Policy, epoch: int, metrics: dict[str, float]) -> None:
        merit = metrics.get("score", -metrics["validation_loss"])
        best = self.stage.notes.get("best")
        if best is None or merit > best["merit"]:
            self.stage.notes["best"] = {"merit": merit, "epoch": epoch, **metrics}
            if self.config.should_select_checkpoint:
                self.stage.save_model(policy)

    def summary(self) -> dict[str, Any]:
        best = self.stage.notes["best"]
        chosen_by = "score" if self.reward_model is not None else "validation_loss"
        if not self.config.should_select_checkpoint:
            return {"chosen_by": "last epoch"}
        own = {"num_validation_prompts": len(self.prompts)} if self.prompts else {}
        return {"chosen_by": chosen_by, "chosen_epoch": best["epoch"], chosen_by: best[chosen_by], **own}
