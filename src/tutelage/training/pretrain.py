"""A base model from text: next-token training on documents."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

from tutelage.model.inference import compute_mean_loss
from tutelage.model.loading import load_policy, load_tokenizer, new_language_model
from tutelage.model.policy import Policy
from tutelage.seeds import derived_seed
from tutelage.store.documents import load_text_documents
from tutelage.text.render import Renderer
from tutelage.text.tokenizers import train_tokenizer
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import PretrainConfig
from tutelage.training.corpus import Corpus, load_corpora, require_both_splits
from tutelage.training.data import SkippedRecords
from tutelage.training.language_modeling import language_term
from tutelage.training.loop import Update, train, update
from tutelage.training.optim import Optimizer
from tutelage.training.stage import TrainingRun, run_training

# Enough text to train a tokenizer of any size used here; more would only take longer.
TOKENIZER_CHARACTERS = 20_000_000
# For the validation loss; more would give the same loss and only take longer.
VALIDATION_WINDOWS = 1000


def pretrain(config: PretrainConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train and save `out/model`; returns the summary."""
    return run_training("pretrain", config, resume=resume, loop=lambda stage: _loop(stage, config))


def _loop(stage: TrainingRun, config: PretrainConfig) -> dict[str, Any]:
    left_out = SkippedRecords(skip_bad=config.skip_bad)
    require_both_splits(config.text, config.validation_share, skip_bad=config.skip_bad)
    policy = _make_policy(stage, config)
    training, validation = load_corpora(
        config.text,
        policy.renderer,
        context_tokens=policy.context_limit - 1,
        validation_share=config.validation_share,
        left_out=left_out,
    )
    optimizer = Optimizer(policy, config.optimizer, config.num_steps)
    stage.components |= {"model": policy, "optimizer": optimizer}
    order = ShuffledEpochs(len(training), seed=derived_seed(config.seed, "pretrain"))
    windows_per_step = max(1, round(config.tokens_per_step * len(training) / training.num_tokens))

    def take_step(step: int) -> dict[str, float]:
        first = step * windows_per_step
        groups = training.groups(order.take(first, windows_per_step))
        term = language_term(policy, groups, name="loss", records=f"windows {first} and following")
        metrics = update(stage, step, Update(optimizer=optimizer, terms=[term]))
        every = config.evaluate_every_num_steps
        if every and (step + 1) % every == 0 and step + 1 < config.num_steps:
            metrics["validation_loss"] = _validation_loss(config, policy, validation)
        return metrics

    stage.try_saving(policy)
    policy.train()
    train(stage, num_steps=config.num_steps, take_step=take_step, describe=lambda m: f"loss {m['loss']:.3f}")
    final = _validation_loss(config, policy, validation)
    stage.log(config.num_steps - 1, {"validation_loss": final})
    stage.save_model(policy)
    return {
        "validation_loss": final,
        "num_training_tokens": training.num_tokens,
        "num_parameters": sum(p.numel() for p in policy.parameters()),
        **left_out.summary(),
        "epochs": config.num_steps * windows_per_step / len(training),
    }


def _make_policy(stage: TrainingRun, config: PretrainConfig) -> Policy:
    """The model to continue from, or a new one; documents are read without a prompt format."""
    model, tokenizer = _model_and_tokenizer(config)
    model.to(stage.device)  # type: ignore[arg-type]
    return Policy(model, Renderer(tokenizer=tokenizer), dtype=config.dtype)


def _model_and_tokenizer(config: PretrainConfig) -> tuple[PreTrainedModel, Any]:
    if config.model is not None:
        return load_policy(config.model), load_tokenizer(config.model)
    new = config.new_model
    tokenizer = train_tokenizer(_first_characters(config), vocab_size=new.vocab_size, context_tokens=new.context_tokens)
    model = new_language_model(
        vocab_size=len(tokenizer),
        context_tokens=new.context_tokens,
        width=new.width,
        num_layers=new.num_layers,
        num_heads=new.num_heads,
        has_query_key_norm=new.has_query_key_norm,
        rope_theta=new.rope_theta,
        seed=derived_seed(config.seed, "weights"),
        tokenizer=tokenizer,
    )
    return model, tokenizer


def _first_characters(config: PretrainConfig) -> Any:
    seen = 0
    # Malformed records are noted when the windows are cut.
    for document in load_text_documents(config.text, skip_bad=config.skip_bad, on_skip=lambda _: None):
        yield document
        seen += len(document)
        if seen > TOKENIZER_CHARACTERS:
            return


def _validation_loss(config: PretrainConfig, policy: Policy, validation: Corpus) -> float:
    # Drawn at random instead of the first: documents in a file are often sorted by source.
    order = ShuffledEpochs(len(validation), seed=derived_seed(config.seed, "validation windows"))
    groups = validation.groups(sorted(order.take(0, min(len(validation), VALIDATION_WINDOWS))))
    return compute_mean_loss(policy, groups, tokens_per_microbatch=config.tokens_per_microbatch)
